#!/usr/bin/env python3
"""How the kernel spreads connections over SO_REUSEPORT listeners, one per core: reuseport.py (loopback only)."""
import collections
import select
import socket
import statistics

ROUNDS = 50


def spread(listeners, connections):
    """Opens connections and returns how many each listener got."""
    ports = []
    first = socket.socket()
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    first.bind(("127.0.0.1", 0))
    ports.append(first)
    for _ in range(listeners - 1):
        other = socket.socket()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(first.getsockname())
        ports.append(other)
    for port in ports:
        port.listen(1024)
    clients = [socket.create_connection(first.getsockname()) for _ in range(connections)]
    got = collections.Counter()
    accepted = []
    while sum(got.values()) < connections:
        for port in select.select(ports, [], [], 1)[0]:
            accepted.append(port.accept()[0])
            got[port.fileno()] += 1
    for one in clients + accepted + ports:
        one.close()
    return [got[port] for port in got] + [0] * (listeners - len(got))


def main():
    print("| listeners | connections | busiest core's share over an even one: median | worst of %d | cores without any: median |" % ROUNDS)
    print("| --- | --- | --- | --- | --- |")
    for listeners in (2, 4, 8):
        for connections in (4, 16, 64, 256, 1000):
            rounds = [spread(listeners, connections) for _ in range(ROUNDS)]
            share = [max(one) * listeners / connections for one in rounds]
            idle = [sum(1 for count in one if count == 0) for one in rounds]
            print(f"| {listeners} | {connections} | {statistics.median(share):.2f} | {max(share):.2f} | {statistics.median(idle):.0f} |", flush=True)


if __name__ == "__main__":
    main()
