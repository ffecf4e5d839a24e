# SPDX-License-Identifier: Apache-2.0
"""Datagrams of strangers (issue 4, Must show 5; "Bad input gets"): spoofed Initials, garbage, replayed tokens from many addresses cost
bounded memory, are counted, and stop neither the daemon nor the nodes that are connected. Round trips under a flood are
measured by tests/bench (quic_flood_p99)."""
import json
import pathlib
import statistics
import subprocess
import threading
import time
import types
import unittest

import goquic
import mitm
import prover
import twinlatch

RATE = 10000  # a second
SECONDS = 10 if twinlatch.FULL else 2
SHORT = 5 if twinlatch.FULL else 0.5  # each of the other kinds
NODES = 4
SLACK_KIB = 4096  # the allocator's
HALF_OPEN_KIB = 80  # measured: 56 kB a half-open connection
COUNTERS = ("half_open", "accepted", "refused", "retries", "bad_tokens", "garbage", "resets", "versions", "over_limit")


def memory_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])


def flood(port, mode, seconds, rate=RATE):
    """What was sent and what came back (tests/helpers/quic-flood.c)."""
    done = subprocess.run([str(twinlatch.BUILD / "tests/helpers/quic-flood"), "--port", str(port), "--mode", mode, "--rate", str(rate),
                           "--seconds", str(seconds)], capture_output=True, text=True, timeout=seconds + twinlatch.PATIENCE)
    if done.returncode != 0:
        raise AssertionError(f"quic-flood ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class Asker:
    """A connected node that asks for health without a pause, until it is stopped; `times` in microseconds."""

    def __init__(self, peer):
        self.peer, self.times, self.error, self.on = peer, [], None, True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while self.on:
                began = time.monotonic_ns()
                self.peer.request("node.health")
                self.times.append((time.monotonic_ns() - began) // 1000)
        except Exception as error:
            self.error = error

    def stop(self):
        self.on = False
        self.thread.join(twinlatch.PATIENCE)
        if self.error is not None:
            raise self.error
        return self.times


class Generator(twinlatch.TestCase):
    """Its packets are what they should be: another implementation takes them for a client's."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program, cls.authority = goquic.build(cls.sandbox.root), mitm.Authority(prover.ulid())

    def flood(self, mode, **flags):
        with goquic.server(self.program, self.authority, self.sandbox.root, **flags) as server:
            return flood(server.address.rsplit(":", 1)[1], mode, 0.3, rate=200)

    def test_initials(self):
        done = self.flood("initial")
        self.assertGreater(done["answer_bytes"], done["sent_bytes"], "certificates come of them")
        done = self.flood("initial", retry=True)
        self.assertEqual(done["retries"], done["sent"])

    def test_tokens(self):
        self.assertEqual(self.flood("token", retry=True)["retries"], 0)
        done = self.flood("replay", retry=True)
        self.assertGreater(done["answer_bytes"], 2000, "one handshake is answered")
        self.assertLess(done["answer_bytes"], done["sent_bytes"])

    def test_versions(self):
        done = self.flood("version")
        self.assertEqual(done["version_negotiations"], done["sent"])


class Base(twinlatch.TestCase):
    quic = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = goquic.build(cls.sandbox.root)
        cls.gw = cls.gateway(quic=cls.quic)
        cls.device = cls.gw.pair_device("connected")
        cls.connected = 0

    def flood(self, mode, seconds):
        return flood(self.gw.port, mode, seconds)

    def counters(self):
        """What `status` says; it may be a second old."""
        status = self.gw.admin.GetStatus()
        return types.SimpleNamespace(**{name: getattr(status, "quic_" + name) for name in COUNTERS})

    def settled(self):
        """Nothing half open is left: what was taken for a flood is given back by then. Nobody but our nodes was let in."""
        twinlatch.until(lambda: self.counters().half_open == 0 and self.counters().accepted >= type(self).connected,
                        "the last half-open connection's end")
        counters = self.counters()
        self.assertEqual(counters.accepted, type(self).connected)
        return memory_kib(self.gw.process.pid), counters

    def connect(self):
        peer = goquic.client(self.program, self.gw, self.sandbox.root, self.device)
        self.addCleanup(peer.close)
        peer.wait("confirmed")
        type(self).connected += 1
        return peer

    def grown(self, before, names):
        """How the counters grew, as soon as one of the named did."""
        def look():
            now = self.counters()
            grown = {n: getattr(now, n) - getattr(before, n) for n in COUNTERS if getattr(now, n) != getattr(before, n)}
            return grown if any(grown.get(n, 0) > 0 for n in names) else None
        return twinlatch.until(look, f"one of the counters {names} to grow")

    def assertKept(self, peers):
        """The connections of before are those of now."""
        for peer in peers:
            self.assertEqual(peer.request("node.health")["kind"], "health")
            self.assertEqual(peer.has_said("closed"), [])
        self.assertTrue(self.gw.process.running)

    def assertNoAmplifier(self, done):
        self.assertLessEqual(done["answer_bytes"], 3 * done["sent_bytes"])


class WithRetry(Base):
    quic = {"retry-threshold": 0}

    def test_spoofed_initials(self):
        peers = [self.connect() for _ in range(NODES)]
        self.flood("initial", 0.5)  # what is allocated once
        memory, before = self.settled()
        askers = [Asker(peer) for peer in peers]
        done = self.flood("initial", SECONDS)
        times = sorted(t for asker in askers for t in asker.stop())
        twinlatch.until(lambda: self.counters().retries >= before.retries + done["retries"], "every Retry counted")
        left, after = self.settled()
        print(f"# {done['sent']} Initials in {done['seconds']} s, {done['retries']} Retries seen; {len(times)} answers to nodes, us: p50"
              f" {statistics.median(times):.0f}, p99 {times[len(times) * 99 // 100]}, most {times[-1]}; RssAnon {memory} kB before,"
              f" {left} after", flush=True)
        self.assertKept(peers)
        self.assertNoAmplifier(done)
        self.assertGreater(done["retries"], 0)
        self.assertEqual(after.refused, before.refused, "nothing is kept of an address that was not proven")
        if not twinlatch.SANITIZED:
            self.assertLess(left, memory + SLACK_KIB)

    def test_everything_else(self):
        """Each kind is counted as what it is, and leaves nothing behind."""
        peers = [self.connect() for _ in range(NODES)]
        counted = {"garbage": ["garbage"], "truncated": ["garbage"], "short": ["garbage", "resets"], "version": ["versions"],
                   "token": ["bad_tokens"], "mix": ["garbage", "versions", "bad_tokens", "retries"]}
        for mode, names in counted.items():
            with self.subTest(mode):
                memory, before = self.settled()
                done = self.flood(mode, SHORT)
                grown = self.grown(before, names)
                left, _ = self.settled()
                print(f"# {mode}: {done['sent']} sent, {done['answers']} answers; counted {grown}; RssAnon {memory} kB before,"
                      f" {left} after", flush=True)
                self.assertNoAmplifier(done)
                self.assertKept(peers)
                if not twinlatch.SANITIZED:
                    self.assertLess(left, memory + SLACK_KIB)

    def test_a_replayed_initial_with_a_right_token(self):
        """Is one connection, not one for each."""
        peers = [self.connect()]
        _, before = self.settled()
        done = self.flood("replay", SHORT)
        self.assertGreater(done["answer_bytes"], 0)
        twinlatch.until(lambda: self.counters().refused > before.refused, "the end of what was half open")
        _, after = self.settled()
        self.assertLessEqual(after.refused, before.refused + 1 + SHORT // 5, "one at a time, until its handshake has had its time")
        self.assertNoAmplifier(done)
        self.assertKept(peers)


class WithoutRetry(Base):
    """Below the threshold a stranger's Initial is believed: so many of them, and no more, are half open at a time."""

    quic = {"retry-threshold": 16}

    def test_the_threshold_bounds_what_is_half_open(self):
        peers = [self.connect() for _ in range(NODES)]
        self.flood("initial", 0.2)
        memory, before = self.settled()
        most = []
        watching = threading.Event()

        def watch():
            while not watching.is_set():
                most.append((self.counters().half_open, memory_kib(self.gw.process.pid)))
        thread = threading.Thread(target=watch)
        thread.start()
        try:
            done = self.flood("initial", SECONDS / 2)
        finally:
            watching.set()
            thread.join()
        half_open = max(h for h, _ in most)
        self.assertGreater(half_open, 0)
        self.assertLessEqual(half_open, 17)
        self.assertNoAmplifier(done)
        self.assertKept(peers)
        left, after = self.settled()
        print(f"# at most {half_open} half open; RssAnon {memory} kB before, {max(m for _, m in most)} at most, {left} after",
              flush=True)
        self.assertGreater(after.retries, before.retries)
        self.assertGreater(after.refused, before.refused, "a handshake that nobody went on with is a refused one")
        if not twinlatch.SANITIZED:
            self.assertLess(max(m for _, m in most), memory + SLACK_KIB + 17 * HALF_OPEN_KIB)
            self.assertLess(left, memory + SLACK_KIB)


if __name__ == "__main__":
    unittest.main()
