<?php

declare(strict_types=1);

/**
 * Which request is answered by what:
 *
 *     GET    /health        200, or 503 if the database is not reached
 *     GET    /notes         200  ?limit=1…100 ?after=ID
 *     POST   /notes         201  {"title", "body"}
 *     GET    /notes/ID      200
 *     PUT    /notes/ID      200  {"title", "body"}
 *     DELETE /notes/ID      204
 *
 * HEAD is GET without the body. Anything else is 404, or 405 with what is allowed.
 */
final class Api
{
    private const NOTE = ['title' => [1, 200], 'body' => [0, 10000]];
    private const JSON = ['Content-Type' => 'application/json'];

    /** @return array{0: int, 1: mixed, 2: array<string, string>} status, body (null: none), headers */
    public static function answer(Request $request): array
    {
        if ($request->path === '/health') {
            self::allow($request, 'GET', 'HEAD');
            $request->onlyQuery();
            $reached = Database::isReached();
            return [$reached ? 200 : 503, ['status' => 'ok', 'database' => $reached ? 'reached' : 'not reached'], self::JSON];
        }
        if ($request->path === '/notes') {
            return self::notes($request);
        }
        // Ids of the database are BIGINT: 18 digits are within PHP's.
        if (preg_match('#\A/notes/([1-9][0-9]{0,17})\z#', $request->path, $match) === 1) {
            return self::note($request, (int) $match[1]);
        }
        throw new Problem(404, 'There is nothing here.');
    }

    /** @return array{0: int, 1: mixed, 2: array<string, string>} */
    private static function notes(Request $request): array
    {
        self::allow($request, 'GET', 'HEAD', 'POST');
        if ($request->method === 'POST') {
            $request->onlyQuery();
            $note = $request->texts(self::NOTE);
            $notes = new Notes(Database::connect());
            $id = $notes->add($note);
            return [201, $notes->one($id), self::JSON + ['Location' => "/notes/$id"]];
        }
        $request->onlyQuery('limit', 'after');
        $most = $request->number('limit', 20, 1, 100);
        $after = $request->number('after', 0, 0, PHP_INT_MAX);
        return [200, ['notes' => (new Notes(Database::connect()))->after($after, $most)], self::JSON];
    }

    /** @return array{0: int, 1: mixed, 2: array<string, string>} */
    private static function note(Request $request, int $id): array
    {
        self::allow($request, 'GET', 'HEAD', 'PUT', 'DELETE');
        $request->onlyQuery();
        $new = $request->method === 'PUT' ? $request->texts(self::NOTE) : null;
        $notes = new Notes(Database::connect());
        if ($request->method === 'DELETE') {
            $notes->remove($id);
            return [204, null, []];
        }
        if ($new !== null) {
            $notes->replace($id, $new);
        }
        return [200, $notes->one($id), self::JSON];
    }

    private static function allow(Request $request, string ...$methods): void
    {
        if (!in_array($request->method, $methods, true)) {
            throw new Problem(405, "{$request->method} is not for this.", ['Allow' => implode(', ', $methods)]);
        }
    }
}
