"""Keeps all that passes an interface, as it is.

usage: capture.py INTERFACE FILE

Prints `ready` once it listens. Each packet follows the one before it without anything between them.
"""

import socket
import sys

ALL = 0x0003
FORCED_BUFFER = 33  # SO_RCVBUFFORCE
own = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
own.setsockopt(socket.SOL_SOCKET, FORCED_BUFFER, 32 << 20)
own.bind((sys.argv[1], 0))
with open(sys.argv[2], "wb", buffering=0) as kept:
    print("ready", flush=True)
    while True:
        kept.write(own.recv(65536))
