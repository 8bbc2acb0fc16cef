"""Keeps all that passes an interface, as it is.

usage: capture.py INTERFACE|any FILE LIST

Prints `ready` once it listens. In FILE each packet follows the one before it without anything between them; LIST has a line
for each: seconds since the first, bytes without Ethernet's, protocol, from, to, the first byte that it carries, and `whole` or
`part`: a fragment.
"""

import socket
import sys
import time

ALL = 0x0003
FORCED_BUFFER = 33  # SO_RCVBUFFORCE
own = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
own.setsockopt(socket.SOL_SOCKET, FORCED_BUFFER, 32 << 20)
if sys.argv[1] != "any":
    own.bind((sys.argv[1], 0))
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}
began = time.monotonic()


def describe(packet):
    """What a line of the list says of a packet."""
    kind, inner = packet[12:14], packet[14:]
    if kind == b"\x86\xdd" and len(inner) >= 48 and PROTOCOLS.get(inner[6]) in ("tcp", "udp"):
        ends = [socket.inet_ntop(socket.AF_INET6, inner[at : at + 16]) for at in (8, 24)]
        ports = [int.from_bytes(inner[at : at + 2], "big") for at in (40, 42)]
        return f"{PROTOCOLS[inner[6]]}6 [{ends[0]}]:{ports[0]} [{ends[1]}]:{ports[1]} - whole"
    if kind != b"\x08\x00" or len(inner) < 28:
        return "other - - - whole"
    place = int.from_bytes(inner[6:8], "big")
    part = "part" if place & 0x3FFF else "whole"
    at, protocol = (inner[0] & 15) * 4, PROTOCOLS.get(inner[9], "other")
    addresses = [socket.inet_ntoa(inner[12:16]), socket.inet_ntoa(inner[16:20])]
    if place & 0x1FFF:
        # What stands where ports would be is something else.
        return f"{protocol} {addresses[0]} {addresses[1]} - {part}"
    if protocol in ("tcp", "udp"):
        ports = inner[at : at + 2], inner[at + 2 : at + 4]
        addresses = [f"{address}:{int.from_bytes(port, 'big')}" for address, port in zip(addresses, ports)]
    at += {"tcp": (inner[at + 12] >> 4) * 4 if len(inner) > at + 12 else 20}.get(protocol, 8)
    total = int.from_bytes(inner[2:4], "big")
    first = inner[at] if at < min(total, len(inner)) else "-"
    return f"{protocol} {addresses[0]} {addresses[1]} {first} {part}"


with open(sys.argv[2], "wb", buffering=0) as kept, open(sys.argv[3], "w", buffering=1) as listed:
    print("ready", flush=True)
    while True:
        packet = own.recv(65536)
        kept.write(packet)
        listed.write(f"{time.monotonic() - began:.3f} {len(packet) - 14} {describe(packet)}\n")
