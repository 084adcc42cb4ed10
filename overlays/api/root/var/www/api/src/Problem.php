<?php

declare(strict_types=1);

/** What a client did wrong, or what is wrong here, in the words of RFC 9457 (application/problem+json). */
final class Problem extends Exception
{
    /** @var array<string, string> */
    private $headers;

    /** @param array<string, string> $headers */
    public function __construct(int $status, string $detail, array $headers = [])
    {
        parent::__construct($detail, $status);
        $this->headers = $headers;
    }

    /** @return array{0: int, 1: array<string, mixed>, 2: array<string, string>} */
    public function answer(): array
    {
        $body = ['status' => $this->getCode(), 'detail' => $this->getMessage()];
        return [$this->getCode(), $body, ['Content-Type' => 'application/problem+json'] + $this->headers];
    }
}
