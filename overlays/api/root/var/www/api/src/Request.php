<?php

declare(strict_types=1);

/** A request, looked at before anything is done with it. */
final class Request
{
    /** Bytes of a body. Apache refuses more than 1 MiB, PHP more than 256 KiB; a note is far less. */
    private const MOST_BYTES = 65536;

    /** @var string */
    public $method;
    /** @var string */
    public $path;
    /** @var array<string, mixed> */
    private $query;
    /** @var string */
    private $type;

    /** @param array<string, mixed> $query */
    private function __construct(string $method, string $path, array $query, string $type)
    {
        $this->method = $method;
        $this->path = $path;
        $this->query = $query;
        $this->type = $type;
    }

    public static function fromServer(): self
    {
        $uri = (string) ($_SERVER['REQUEST_URI'] ?? '/');
        $path = strpos($uri, '?') === false ? $uri : substr($uri, 0, (int) strpos($uri, '?'));
        $method = (string) ($_SERVER['REQUEST_METHOD'] ?? '');
        return new self($method, $path, $_GET, (string) ($_SERVER['CONTENT_TYPE'] ?? ''));
    }

    /** A whole number of the query, or what is meant without one. */
    public function number(string $name, int $default, int $least, int $most): int
    {
        $text = $this->query[$name] ?? (string) $default;
        $options = ['options' => ['min_range' => $least, 'max_range' => $most]];
        $number = is_string($text) ? filter_var($text, FILTER_VALIDATE_INT, $options) : false;
        if ($number === false) {
            throw new Problem(400, "`$name` is to be a whole number from $least to $most.");
        }
        return $number;
    }

    /** Refuses what the query has beside these names: a mistyped one would be passed over in silence. */
    public function onlyQuery(string ...$names): void
    {
        if (array_diff(array_map('strval', array_keys($this->query)), $names) !== []) {
            $known = $names === [] ? 'Nothing is known here of a query.' : 'Of a query, only these are known here: ' . implode(', ', $names) . '.';
            throw new Problem(400, $known);
        }
    }

    /**
     * The body: one JSON object with text under exactly these keys.
     *
     * @param array<string, array{0: int, 1: int}> $fields least and most characters of each
     * @return array<string, string>
     */
    public function texts(array $fields): array
    {
        if (preg_match('#^application/json(\s*;\s*charset="?utf-8"?)?$#i', $this->type) !== 1) {
            throw new Problem(415, 'The body is to be JSON: Content-Type: application/json.');
        }
        $text = file_get_contents('php://input', false, null, 0, self::MOST_BYTES + 1);
        if ($text === false || strlen($text) > self::MOST_BYTES) {
            throw new Problem(413, 'The body is larger than ' . self::MOST_BYTES . ' bytes.');
        }
        try {
            $body = json_decode($text, false, 4, JSON_THROW_ON_ERROR);
        } catch (JsonException $error) {
            throw new Problem(400, 'The body is not JSON.');
        }
        if (!$body instanceof stdClass) {
            throw new Problem(422, 'The body is to be an object.');
        }
        $body = get_object_vars($body);
        if (array_diff_key($body, $fields) !== [] || array_diff_key($fields, $body) !== []) {
            throw new Problem(422, 'The body is to have exactly: ' . implode(', ', array_keys($fields)) . '.');
        }
        foreach ($fields as $name => [$least, $most]) {
            $value = $body[$name];
            // Characters, not bytes; lines and tabs, but no other control characters.
            if (!is_string($value) || preg_match('/\A[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]{' . "$least,$most" . '}\z/u', $value) !== 1) {
                throw new Problem(422, "`$name` is to be text of $least to $most characters, without control characters.");
            }
        }
        return $body;
    }
}
