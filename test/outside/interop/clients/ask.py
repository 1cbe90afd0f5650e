"""Asks TLS servers on 127.0.0.1. ROOT is the file of the only trusted root. Each line of standard
input is a port, a tab and the name that the server should have. Prints a line for each: "accepted"
or "refused: " and the reason."""
import socket
import ssl
import sys

context = ssl.create_default_context(cafile=sys.argv[1])
for line in sys.stdin:
    port, name = line.rstrip("\n").split("\t")
    try:
        with socket.create_connection(("127.0.0.1", int(port))) as wire:
            context.wrap_socket(wire, server_hostname=name).close()
        print("accepted")
    except (OSError, ValueError) as error:
        print("refused:", str(error).replace("\n", " "))
