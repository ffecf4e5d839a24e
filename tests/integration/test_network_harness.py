# SPDX-License-Identifier: Apache-2.0
"""What the network tests stand on does what it says: netns.py (namespaces, NAT, loss, MTU, moves) and udp_relay.py. A rule that lets
everything through would make every one of those tests pass."""
import os
import re
import socket
import subprocess
import sys
import time
import unittest

import netns
from udp_relay import Relay

# Answers every datagram with the address it came from.
ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 7000))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(65536)
    s.sendto(b"%s %d" % (peer[0].encode(), peer[1]), peer)
"""

LISTEN = """
import signal, socket
s = socket.create_server(("", 7001))
print("ready", flush=True)
signal.pause()
"""

# Sends COUNT datagrams of SIZE from one port, a millisecond apart, and counts what comes back within WAIT after the last.
ASK = """
import select, socket, sys, time
host, port, count, size, wait, tcp = sys.argv[1], 7000, *map(float, sys.argv[2:6])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
if tcp:
    try:
        socket.create_connection((host, 7001), wait).close()
        print("connected")
    except OSError as e:
        print("no", e)
    sys.exit()
s = socket.socket(family, socket.SOCK_DGRAM)
s.bind(("", 5555))
try:
    s.connect((host, port))
except OSError as e:
    print(0, 1, e)
    sys.exit()
if size > 1200:
    s.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
got, refused = [], 0
def take(until):
    global refused
    while select.select([s], [], [], max(0, until - time.monotonic()))[0]:
        try:
            got.append(s.recv(65536).decode())
        except OSError:
            refused += 1
for i in range(int(count)):
    try:
        s.send(b"x" * int(size))
    except OSError:
        refused += 1
    take(time.monotonic() + 0.001)
end = time.monotonic() + wait
while len(got) + refused < count and time.monotonic() < end:
    take(min(end, time.monotonic() + 0.05))
print(len(got), refused, sorted(set(got)))
"""


class Namespaces(unittest.TestCase):
    def setUp(self):
        self.network = netns.make(self, nat=self._testMethodName.startswith("test_nat"))
        self.serve(ECHO)

    def serve(self, script):
        server = subprocess.Popen([*self.network.gateway.enter, sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.assertEqual(server.stdout.readline(), "ready\n")

    def ask(self, host=netns.GATEWAY[0], count=1, size=100, wait=0.3, tcp=0):
        """(answers, refused, "addresses it came from")"""
        text = self.network.client.run(sys.executable, "-c", ASK, host, str(count), str(size), str(wait), str(tcp))
        if tcp:
            return text.split()[0]
        answers, refused, seen = text.split(" ", 2)
        return int(answers), int(refused), seen.strip()

    def test_both_families_get_through(self):
        self.assertEqual(self.ask(wait=5), (1, 0, "['::ffff:10.88.1.2 5555']"))
        self.assertEqual(self.ask(netns.GATEWAY[1], wait=5), (1, 0, "['fd88:1::2 5555']"))

    def test_drop_is_silent_and_by_protocol(self):
        self.serve(LISTEN)
        for what, udp, tcp in (("udp", 0, "connected"), ("tcp", 1, "no"), ("", 0, "no")):
            with self.subTest(what):
                self.network.drop(what)
                self.assertEqual(self.ask(wait=5 if udp else 0.3)[:2], (udp, 0))
                self.assertEqual(self.ask(tcp=1, wait=5 if tcp == "connected" else 0.3), tcp)
        self.network.reject()
        self.assertEqual(self.ask(tcp=1, wait=5), "no")
        self.network.pass_all()
        self.assertEqual((self.ask(wait=5)[0], self.ask(tcp=1, wait=5)), (1, "connected"))

    def test_loss_is_what_it_says(self):
        self.network.lose(5)
        answers, _, _ = self.ask(count=1000, wait=1)
        self.assertEqual(self.network.lost, 1000 - answers)
        print(f"# 1000 asked, {answers} answered with 5 % lost each way", flush=True)
        self.assertTrue(840 < answers < 960, answers)  # 902 expected; 6 standard deviations are 56

    def test_nat_rebinding(self):
        seen = []
        for _ in range(3):
            answers, _, where = self.ask(wait=5)
            self.assertEqual(answers, 1)
            self.assertIn(netns.OUTSIDE[0], where)
            seen.append(int(re.search(r" (\d+)'", where).group(1)))
            self.network.rebind()
        self.assertEqual(len(set(seen)), 3, seen)
        self.assertEqual([port // 100 for port in seen], [201, 202, 203])

    def test_moving(self):
        self.network.move()
        self.assertEqual(self.ask(wait=5)[2], "['::ffff:10.88.2.2 5555']")
        self.assertEqual(self.ask(netns.GATEWAY[1], wait=5)[2], "['fd88:2::2 5555']")
        self.network.leave()
        self.assertEqual(self.ask()[0], 0)
        self.network.arrive()
        self.assertEqual(self.ask(wait=5)[2], "['::ffff:10.88.3.2 5555']")

    def test_mtu_in_the_middle(self):
        self.assertEqual(self.ask(size=1400, wait=5)[0], 1)
        self.network.set_mtu(1280)
        self.assertEqual(self.ask(size=1252, wait=5)[0], 1)
        self.assertEqual(self.ask(size=1400)[0], 0, "larger than the link, and not to be fragmented")

    def test_nothing_is_left_when_it_dies(self):
        script = "import netns, sys; n = netns.Network(); print(n.router.pid, flush=True); import os; os.kill(os.getpid(), 9)"
        done = subprocess.run([sys.executable, "-B", "-c", script], cwd=os.path.dirname(os.path.abspath(__file__)), capture_output=True, text=True)
        end = time.monotonic() + 10
        while os.path.exists(f"/proc/{int(done.stdout)}/ns/net") and time.monotonic() < end:
            time.sleep(0.01)
        self.assertFalse(os.path.exists(f"/proc/{int(done.stdout)}/exe"), "a namespace outlives its test")


class UdpRelay(unittest.TestCase):
    def setUp(self):
        self.server = self.udp()
        self.server.bind(("127.0.0.1", 0))
        self.client = self.udp()
        probe = self.udp()
        probe.bind(("127.0.0.1", 0))
        listen = "127.0.0.1:%d" % probe.getsockname()[1]
        probe.close()
        self.relay = Relay(listen, "127.0.0.1:%d" % self.server.getsockname()[1])
        self.addCleanup(self.relay.close)
        self.client.connect(("127.0.0.1", int(listen.rsplit(":", 1)[1])))

    def udp(self):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.settimeout(5)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.addCleanup(made.close)
        return made

    def send(self, count):
        for i in range(count):
            self.client.send(b"%d" % i)

    def arrived(self, count=None):
        """So many; without a number all that comes until nothing came for a while."""
        self.server.settimeout(10 if count else 0.5)
        got = []
        try:
            while len(got) != count:
                got.append(int(self.server.recv(100)))
        except socket.timeout:
            pass
        return got

    def test_both_ways(self):
        self.send(1)
        data, peer = self.server.recvfrom(100)
        self.assertNotEqual(peer, self.client.getsockname(), "it comes from the relay")
        self.server.sendto(b"back", peer)
        self.assertEqual((data, self.client.recv(100)), (b"0", b"back"))

    def test_delay_keeps_the_order_and_jitter_does_not(self):
        self.relay.tell("delay", 100)
        began = time.monotonic()
        self.send(50)
        first = int(self.server.recv(100))
        self.assertGreaterEqual(time.monotonic() - began, 0.1)
        self.assertEqual([first, *self.arrived(49)], list(range(50)))
        self.assertEqual(self.relay.stats()["reordered"], 0)
        self.relay.tell("delay", 100, 40)
        self.send(50)
        got = self.arrived(50)
        self.assertEqual(sorted(got), list(range(50)))
        self.assertNotEqual(got, list(range(50)))
        self.assertGreater(self.relay.stats()["reordered"], 5)

    def test_loss_and_doubling(self):
        self.relay.tell("lose", 100)
        self.send(20)
        self.assertEqual(self.arrived(), [])
        self.relay.tell("lose", 0)
        self.relay.tell("double", 100)
        self.send(20)
        self.assertEqual(sorted(self.arrived(40)), sorted(list(range(20)) * 2))
        self.relay.tell("double", 0)
        self.relay.tell("lose", 20)
        self.send(500)
        got = self.arrived()
        self.assertTrue(330 < len(got) < 470, len(got))  # 400 expected; 6 standard deviations are 54

    def test_rebinding(self):
        self.send(1)
        before = self.server.recvfrom(100)[1]
        self.relay.tell("rebind")
        self.server.sendto(b"to the old port", before)
        self.send(1)
        after = self.server.recvfrom(100)[1]
        self.assertNotEqual(before, after)
        self.server.sendto(b"to the new port", after)
        self.assertEqual(self.client.recv(100), b"to the new port")

    def test_pausing(self):
        self.relay.tell("pause")
        self.send(3)
        self.assertEqual(self.arrived(), [])
        self.relay.tell("resume")
        self.send(3)
        self.assertEqual(self.arrived(3), [0, 1, 2])


if __name__ == "__main__":
    unittest.main()
