"""A name server for the tests: it knows one name, and says of all others that there is no such name.

usage: outside_names.py NAME ADDRESS

Listens on UDP port 53 of all addresses. Prints `ready`.
"""

import socket
import struct
import sys

KNOWN, ADDRESS = sys.argv[1].lower(), socket.inet_aton(sys.argv[2])
A, AAAA = 1, 28
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.bind(("0.0.0.0", 53))
print("ready", flush=True)
while True:
    query, client = own.recvfrom(512)
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
    question = query[12 : at + 5]
    known = ".".join(labels).lower() == KNOWN
    answer = b""
    if known and kind == A:
        answer = b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 60, 4) + ADDRESS
    flags = 0x8180 if known else 0x8183
    head = query[:2] + struct.pack("!HHHHH", flags, 1, 1 if answer else 0, 0, 0)
    own.sendto(head + question + answer, client)
