"""Sends datagrams as it is told, and says what arrives.

usage: datagrams.py PORT

Input, a line each: `ADDRESS PORT TEXT`, to be sent. Output: `ready`, then `sent` for each, and `ADDRESS PORT TEXT` of each
that came.
"""

import select
import socket
import sys

own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.bind(("0.0.0.0", int(sys.argv[1])))
print("ready", flush=True)
while True:
    ready, _, _ = select.select([own, sys.stdin], [], [])
    if own in ready:
        try:
            text, (address, port) = own.recvfrom(2048)
            print(address, port, text.decode(errors="replace"), flush=True)
        except OSError:
            pass  # Somebody did not take what was sent before.
    if sys.stdin in ready:
        line = sys.stdin.buffer.raw.read(4096)
        if not line:
            break
        for order in line.decode().splitlines():
            address, port, text = order.split(" ", 2)
            try:
                own.sendto(text.encode(), (address, int(port)))
            except OSError:
                pass  # There is no way there.
            print("sent", flush=True)
