<?php

declare(strict_types=1);

/** Notes, as the database keeps them. Every statement is a constant; every value is bound. */
final class Notes
{
    private const FIELDS = 'id, title, body, created_at';

    /** @var PDO */
    private $database;

    public function __construct(PDO $database)
    {
        $this->database = $database;
    }

    /** @return list<array<string, mixed>> those after an id, in its order */
    public function after(int $id, int $most): array
    {
        $fields = self::FIELDS;
        return $this->run("SELECT $fields FROM note WHERE id > :id ORDER BY id LIMIT :most", ['id' => $id, 'most' => $most])->fetchAll();
    }

    /** @return array<string, mixed> */
    public function one(int $id): array
    {
        $fields = self::FIELDS;
        $row = $this->run("SELECT $fields FROM note WHERE id = :id", ['id' => $id])->fetch();
        if ($row === false) {
            throw self::absent();
        }
        return $row;
    }

    /** @param array<string, string> $note */
    public function add(array $note): int
    {
        $this->run('INSERT INTO note (title, body) VALUES (:title, :body)', $note);
        return (int) $this->database->lastInsertId();
    }

    /** @param array<string, string> $note */
    public function replace(int $id, array $note): void
    {
        if ($this->run('UPDATE note SET title = :title, body = :body WHERE id = :id', $note + ['id' => $id])->rowCount() === 0) {
            throw self::absent();
        }
    }

    public function remove(int $id): void
    {
        if ($this->run('DELETE FROM note WHERE id = :id', ['id' => $id])->rowCount() === 0) {
            throw self::absent();
        }
    }

    /** @param array<string, int|string> $values */
    private function run(string $statement, array $values): PDOStatement
    {
        $prepared = $this->database->prepare($statement);
        foreach ($values as $name => $value) {
            $prepared->bindValue($name, $value, is_int($value) ? PDO::PARAM_INT : PDO::PARAM_STR);
        }
        $prepared->execute();
        return $prepared;
    }

    private static function absent(): Problem
    {
        return new Problem(404, 'There is no such note.');
    }
}
