"""Clients that mean harm or do not care: garbage, too much, too slow, silent.

usage: hostile.py PORT ATTACK [PATH]
Prints one JSON object: what the server answered (an HTTP status, or null), whether it ended the connection, and
how many bytes it took from us. Gives up after PATIENCE seconds, which the caller takes as "was never cut".
"""

import json
import os
import random
import select
import socket
import ssl
import sys
import time

PATIENCE = 100
CHUNK = b"x" * 65536


def connect(port):
    # From an address of their own, as on a real network: what the server holds against one is not held against all.
    return socket.create_connection(("127.0.0.1", port), timeout=20, source_address=("127.0.0.2", 0))


def secure(port, alpn=("muster/1",)):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(connect(port))


def readable(sock, seconds):
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return True
    return bool(select.select([sock], [], [], seconds)[0])


def outcome(sock, source=(), pause=0.0):
    """Sends what `source` yields while the server lets us, and reports how it ended."""
    started, taken, answer, ended = time.monotonic(), 0, b"", False
    source = iter(source)
    sock.settimeout(10)
    while not ended and time.monotonic() - started < PATIENCE:
        piece = next(source, None)
        try:
            if piece is not None:
                sock.sendall(piece)
                taken += len(piece)
            wait = pause if piece is not None else 1.0
            while readable(sock, wait):
                got = sock.recv(65536)
                if not got:
                    ended = True
                    break
                answer = (answer + got)[:4096]
                wait = 0
        except (TimeoutError, ssl.SSLWantReadError):
            continue
        except (OSError, ssl.SSLError):
            ended = True
    status = None
    if answer.startswith(b"HTTP/1."):
        status = int(answer[9:12])
    sock.close()
    return {"status": status, "ended": ended, "taken": taken}


def repeat(piece):
    while True:
        yield piece


def one_by_one(data):
    for byte in data:
        yield bytes([byte])


def head(method, path, *lines):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def main():
    port, attack = int(sys.argv[1]), sys.argv[2]
    path = sys.argv[3] if len(sys.argv) > 3 else "/api/v1/hosts"
    rng = random.Random(attack)
    noise = bytes(rng.randrange(256) for _ in range(65536))
    if attack == "garbage":
        result = outcome(connect(port), [noise])
    elif attack == "plain_http":
        result = outcome(connect(port), [head("GET", path)])
    elif attack == "silent":
        result = outcome(connect(port))
    elif attack == "slow_handshake":
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise[:506]
        result = outcome(connect(port), one_by_one(hello), 1.0)
    elif attack == "silent_after_tls":
        result = outcome(secure(port))
    elif attack == "garbage_in_tls":
        result = outcome(secure(port), [noise])
    elif attack == "garbage_in_browser_tls":
        result = outcome(secure(port, ("http/1.1",)), [noise])
    elif attack == "slow_head":
        result = outcome(secure(port), one_by_one(head("GET", path, "X-Slow: " + "y" * 4096)), 1.0)
    elif attack == "slow_body":
        lines = ("Content-Length: 4096", "Content-Type: application/json")
        pieces = [head("POST", path, *lines), *one_by_one(b"{" * 4096)]
        result = outcome(secure(port), pieces, 1.0)
    elif attack == "oversized_head":
        result = outcome(secure(port), [b"GET / HTTP/1.1\r\nHost: x\r\nX-Big: ", *([CHUNK] * 512)])
    elif attack == "many_heads":
        result = outcome(secure(port), [b"GET / HTTP/1.1\r\nHost: x\r\n", *([b"X-Many: y\r\n" * 1000] * 500)])
    elif attack == "long_path":
        result = outcome(secure(port), [head("GET", path + "?name=" + "z" * 200000)])
    elif attack == "announced_body":
        result = outcome(secure(port), [head("POST", path, "Content-Length: 99999999999"), *([CHUNK] * 512)])
    elif attack == "endless_body":
        piece = b"%x\r\n" % len(CHUNK) + CHUNK + b"\r\n"
        result = outcome(secure(port), [head("POST", path, "Transfer-Encoding: chunked"), *([piece] * 512)])
    elif attack == "two_lengths":
        lines = ("Content-Length: 5", "Content-Length: 50", "Transfer-Encoding: chunked")
        result = outcome(secure(port), [head("POST", path, *lines) + b"0\r\n\r\nGET /api/v1/hosts HTTP/1.1\r\n\r\n"])
    elif attack == "deaf":
        # Asks and asks, and never reads an answer.
        sock = secure(port)
        sock.settimeout(20)
        taken, ended, started = 0, False, time.monotonic()
        while not ended and time.monotonic() - started < PATIENCE:
            try:
                sock.sendall(head("GET", "/healthz") * 64)
                taken += 64
            except (OSError, ssl.SSLError):
                ended = True
        result = {"status": None, "ended": ended, "taken": taken}
    elif attack == "crowd":
        # Holds many connections open without a word until its input ends.
        crowd = []
        for _ in range(int(os.environ.get("CROWD", "300"))):
            try:
                crowd.append(connect(port))
            except OSError:
                break
        print("holding", len(crowd), flush=True)
        sys.stdin.read()
        return
    else:
        sys.exit(f"no such attack: {attack}")
    print(json.dumps(result))


main()
