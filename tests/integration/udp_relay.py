# SPDX-License-Identifier: Apache-2.0
"""A UDP relay that does to datagrams what networks do: delays and reorders, loses, doubles, comes from another port, is silent.

udp_relay.py LISTEN TARGET (host:port each). Prints "ready", then takes lines on stdin and answers each with one line:
  delay MS [JITTER]   every datagram MS ms later, plus up to JITTER at random: what overtakes is reordered
  lose PERCENT        at random, both directions
  double PERCENT      sent twice, the second time after another delay
  rebind              from now on the target sees every client come from another port; what it sends to the old one is lost
  pause / resume      nothing gets through meanwhile
  stats               JSON: up, down, lost, doubled, reordered
Ends with its stdin."""
import heapq
import json
import random
import selectors
import socket
import subprocess
import sys
import time

BUFFER = 4 << 20


def parse(address):
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)


def udp_socket(host):
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    made.setblocking(False)
    return made


class Engine:
    """Runs in the process of its own."""

    def __init__(self, listen, target):
        self.target, self.near = parse(target), udp_socket(parse(listen)[0])
        self.near.bind(parse(listen))
        self.far, self.old = {}, []  # client -> socket towards the target
        self.delay = self.jitter = 0.0
        self.loss = self.doubling = 0.0
        self.paused, self.waiting, self.number, self.sent = False, [], 0, {}
        self.stats = dict(up=0, down=0, lost=0, doubled=0, reordered=0)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.near, selectors.EVENT_READ, self.from_client)
        self.selector.register(sys.stdin, selectors.EVENT_READ, self.command)
        self.running = True

    def from_client(self, near):
        for data, client in self.receive(near):
            if client not in self.far:
                self.far[client] = made = udp_socket(self.target[0])
                made.connect(self.target)
                self.selector.register(made, selectors.EVENT_READ, lambda s, c=client: self.from_target(s, c))
            self.carry("up", data, client)

    def from_target(self, far, client):
        for data, _ in self.receive(far):
            if self.far[client] is far:
                self.carry("down", data, client)

    @staticmethod
    def receive(sock):
        while True:
            try:
                yield sock.recvfrom(65536)
            except (BlockingIOError, ConnectionError):
                return

    def carry(self, way, data, client):
        if self.paused or random.random() * 100 < self.loss:
            self.stats["lost"] += 1
            return
        self.stats[way] += 1
        copies = 1
        if random.random() * 100 < self.doubling:
            self.stats["doubled"] += 1
            copies = 2
        for _ in range(copies):
            self.number += 1
            heapq.heappush(self.waiting, (time.monotonic() + self.delay + random.random() * self.jitter, self.number, way, data, client))

    def send_due(self):
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            _, number, way, data, client = heapq.heappop(self.waiting)
            self.stats["reordered"] += number < self.sent.get((way, client), 0)
            self.sent[way, client] = max(number, self.sent.get((way, client), 0))
            try:
                if way == "up":
                    self.far[client].send(data)
                else:
                    self.near.sendto(data, client)
            except OSError:  # a full buffer, or nobody there: a datagram may get lost
                self.stats["lost"] += 1

    def command(self, stdin):
        words = stdin.readline().split()
        if not words:
            self.running = False
            return
        answer = "ok"
        if words[0] == "delay":
            self.delay, self.jitter = float(words[1]) / 1000, float((words + [0])[2]) / 1000
        elif words[0] == "lose":
            self.loss = float(words[1])
        elif words[0] == "double":
            self.doubling = float(words[1])
        elif words[0] == "rebind":
            for sock in self.far.values():  # stays bound: its port is nobody else's, and what comes there is lost
                self.selector.unregister(sock)
                self.old.append(sock)
            self.far = {}
            self.waiting = [w for w in self.waiting if w[2] == "down"]
            heapq.heapify(self.waiting)
        elif words[0] in ("pause", "resume"):
            self.paused = words[0] == "pause"
            if self.paused:
                self.waiting = []
        elif words[0] == "stats":
            answer = json.dumps(self.stats)
        else:
            answer = f"unknown command {words[0]}"
        print(answer, flush=True)

    def run(self):
        print("ready", flush=True)
        while self.running:
            wait = max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else None
            for key, _ in self.selector.select(wait):
                key.data(key.fileobj)
            self.send_due()


class Relay:
    """What tests use: the relay in a process of its own, in a namespace when `inside` says so."""

    def __init__(self, listen, target, inside=()):
        self.process = subprocess.Popen([*inside, sys.executable, "-B", __file__, listen, target], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError(f"no relay at {listen}")

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer == "ok" or answer.startswith("{"), answer
        return answer

    def stats(self):
        return json.loads(self.tell("stats"))

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


if __name__ == "__main__":
    Engine(*sys.argv[1:]).run()
