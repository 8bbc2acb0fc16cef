"""A front end that ends TLS with the server's own key, passes requests on, and lets no change of protocols through.

usage: front.py SERVER_PORT KEY_FILE [STATUS]
Prints its port. Without STATUS it takes what asks for the change off the request, as many do that were never told of
such changes; with it, it answers such a request by itself. Ends with its input.
"""

import os
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

PROTOCOL = ["muster/1"]
HOP = (b"connection:", b"upgrade:")
LINE = 16 * 1024


def to_server(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(PROTOCOL)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20))


def context_with(key):
    """With a certificate of generation 1, which is what its serial number says, that the fleet's key signs itself."""
    serial = "0x4d757347" + "0000000000000001" + secrets.token_hex(8)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(PROTOCOL)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        command = ["openssl", "req", "-x509", "-key", key, "-set_serial", serial, "-days", "1000", "-subj", "/CN=front"]
        subprocess.run([*command, "-out", file.name], check=True, stdin=subprocess.DEVNULL)
        context.load_cert_chain(file.name, key)
    return context


def message(source):
    """A request's or an answer's head, as lines, and its body; no lines at the end."""
    head, length = [], 0
    while line := source.readline(LINE):
        head.append(line)
        if line == b"\r\n":
            break
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head, source.read(length)


def serve(tcp, context, server_port, status):
    with context.wrap_socket(tcp, server_side=True) as client, to_server(server_port) as server:
        requests, answers = client.makefile("rb"), server.makefile("rb")
        while True:
            head, body = message(requests)
            if not head:
                return
            if status and any(line.lower().startswith(b"upgrade:") for line in head):
                client.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
                continue
            server.sendall(b"".join(line for line in head if not line.lower().startswith(HOP)) + body)
            head, body = message(answers)
            client.sendall(b"".join(line for line in head if not line.lower().startswith(HOP)) + body)


def main():
    server_port, key = int(sys.argv[1]), sys.argv[2]
    status = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    context = context_with(key)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def until_its_end():
        sys.stdin.read()
        os._exit(0)

    def one(tcp):
        try:
            serve(tcp, context, server_port, status)
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr, flush=True)

    threading.Thread(target=until_its_end, daemon=True).start()
    while True:
        tcp, _ = listener.accept()
        # Longer than an agent is silent in the tests.
        tcp.settimeout(120)
        threading.Thread(target=one, args=(tcp,), daemon=True).start()


main()
