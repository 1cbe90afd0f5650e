<?php
// Asks TLS servers on 127.0.0.1. The argument is the file of the only trusted root. Each line of
// standard input is a port, a tab and the name that the server should have. Prints a line for each:
// "accepted" or "refused: " and the reason.
set_error_handler(function ($level, $text) use (&$reason) {
    $reason .= ' ' . str_replace("\n", ' ', $text);
    return true;
});
while (($line = fgets(STDIN)) !== false) {
    [$port, $name] = explode("\t", rtrim($line, "\n"));
    $reason = '';
    $options = ['cafile' => $argv[1], 'peer_name' => $name, 'verify_peer' => true, 'verify_peer_name' => true];
    $context = stream_context_create(['ssl' => $options]);
    $wire = stream_socket_client("tls://127.0.0.1:$port", $code, $text, 30, STREAM_CLIENT_CONNECT, $context);
    echo $wire ? "accepted\n" : "refused:$reason\n";
}
