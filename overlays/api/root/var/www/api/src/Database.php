<?php

declare(strict_types=1);

/**
 * The way to the database: over TLS, with the certificate's issuer pinned and its name compared. There is no way without: an API
 * that is not told whom to trust says that it has no database.
 */
final class Database
{
    /** What this instance is told (goldsmith-instance.service); readable to all, without secrets. */
    private const FACTS = '/run/goldsmith/facts.json';

    public static function connect(): PDO
    {
        $database = self::told();
        $secrets = (string) getenv('CREDENTIALS_DIRECTORY');
        $password = self::secret("$secrets/database-password");
        $ca = "$secrets/ca.pem";
        if ($password === '' || self::secret($ca) === '') {
            throw self::unreachable('the instance is told no database-password, or no tls.ca');
        }
        $dsn = sprintf('mysql:host=%s;port=%d;dbname=%s;charset=utf8mb4', $database['host'], $database['port'] ?? 3306, $database['name']);
        try {
            return new PDO($dsn, $database['user'], $password, [
                PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
                PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
                PDO::ATTR_TIMEOUT => 3,
                PDO::ATTR_PERSISTENT => false,
                // A value never becomes part of a statement: the server gets both apart.
                PDO::ATTR_EMULATE_PREPARES => false,
                PDO::ATTR_STRINGIFY_FETCHES => false,
                PDO::MYSQL_ATTR_MULTI_STATEMENTS => false,
                PDO::MYSQL_ATTR_LOCAL_INFILE => false,
                // A row that is set to what it was counts as found.
                PDO::MYSQL_ATTR_FOUND_ROWS => true,
                PDO::MYSQL_ATTR_SSL_CA => $ca,
                PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => true,
            ]);
        } catch (Throwable $error) {
            throw self::unreachable($error->getMessage());
        }
    }

    /** Whether a statement gets through. Why not is in the log. */
    public static function isReached(): bool
    {
        try {
            return (int) self::connect()->query('SELECT 1')->fetchColumn() === 1;
        } catch (Throwable $error) {
            if (!$error instanceof Problem) {
                error_log('database: ' . $error->getMessage());
            }
            return false;
        }
    }

    /** @return array<string, mixed> */
    private static function told(): array
    {
        $facts = is_readable(self::FACTS) ? json_decode((string) file_get_contents(self::FACTS), true) : null;
        $database = $facts['database'] ?? null;
        if (!is_array($database) || !isset($database['host'], $database['name'], $database['user'])) {
            throw self::unreachable('the instance is told no database');
        }
        return $database;
    }

    /** What a credential says; nothing, where the instance was not told it (the unit has a blank one then). */
    private static function secret(string $path): string
    {
        $text = is_readable($path) ? (string) file_get_contents($path) : '';
        return trim($text) === '' ? '' : $text;
    }

    private static function unreachable(string $why): Problem
    {
        error_log("database: $why");
        return new Problem(503, 'The database is not reached.', ['Retry-After' => '5']);
    }
}
