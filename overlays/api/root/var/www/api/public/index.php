<?php

declare(strict_types=1);

// The only file that a request can run. Everything else of the API lies outside of what Apache serves. Whatever goes wrong is an
// answer in JSON that names the kind of mistake and nothing of the machine; the rest is in the journal.

require __DIR__ . '/../src/Problem.php';
require __DIR__ . '/../src/Request.php';
require __DIR__ . '/../src/Database.php';
require __DIR__ . '/../src/Notes.php';
require __DIR__ . '/../src/Api.php';

// A warning is a mistake too: nothing goes on with half a value.
set_error_handler(static function (int $severity, string $message, string $file, int $line): bool {
    throw new ErrorException($message, 0, $severity, $file, $line);
});

header_remove('X-Powered-By');
header('Cache-Control: no-store');
try {
    [$status, $body, $headers] = Api::answer(Request::fromServer());
} catch (Problem $problem) {
    [$status, $body, $headers] = $problem->answer();
} catch (Throwable $error) {
    // Without the trace: its arguments may be what the client or the operator wants to keep for himself.
    error_log(sprintf('%s: %s (%s:%d)', get_class($error), $error->getMessage(), basename($error->getFile()), $error->getLine()));
    [$status, $body, $headers] = (new Problem(500, 'Something went wrong here. It is in the log.'))->answer();
}

http_response_code($status);
foreach ($headers as $name => $value) {
    header("$name: $value");
}
if ($body !== null && ($_SERVER['REQUEST_METHOD'] ?? '') !== 'HEAD') {
    echo json_encode($body, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_HEX_TAG), "\n";
}
