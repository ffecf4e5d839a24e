# SPDX-License-Identifier: Apache-2.0
"""A node's event log while everything around it breaks: node and gateway are killed (-9), one, the other, both, and the network is cut,
rejects, forgets its NAT mappings, gives the node another address. Every event is seen exactly once, in order; every request ends
once, and what is not idempotent never runs twice. TL_TEST_SEED repeats a run."""
import collections
import os
import random
import time
import unittest

import netns
import test_kill
import twinlatch
import wire
from event_node import EventNode, Producers

ROUNDS = 200 if twinlatch.FULL else 12
EVENTS_A_ROUND = 50
PORT = 7444


def announce(rounds):
    seed = int(os.environ.get("TL_TEST_SEED", random.SystemRandom().getrandbits(32)))
    print(f"# TL_TEST_SEED={seed} rounds={rounds}", flush=True)
    return random.Random(seed)


def disturbances(rng, rounds):
    """What happens in each round: everything as often as anything else, in random order."""
    kinds = ["node", "gateway", "both", "network", "network"] * (rounds // 5 + 1)
    rng.shuffle(kinds)
    return kinds


def make_gateway(test):
    """In a network of its own, listening as it is shipped."""
    test.network = netns.make(test, nat=True)
    address = f"{netns.GATEWAY[0]}:{PORT}"
    return test.gateway(gateway=dict(listen=f"0.0.0.0:{PORT};[::]:{PORT}", advertise=address), address=address,
                        inside=test.network.gateway.enter)


def cut(network, rng, longest=40):
    """The network is away for a moment, in one of its ways; sometimes for longer than any patience of the programs."""
    way = rng.choice(("drop", "drop", "drop udp", "drop tcp", "reject", "rebind", "move", "leave"))
    away = rng.uniform(3, longest) if twinlatch.FULL and rng.random() < 0.02 else rng.uniform(0.05, 1.5)
    if way == "rebind":
        network.rebind()
    elif way == "move":
        network.move()
    elif way == "leave":
        network.leave()
        time.sleep(away)
        network.arrive()
    else:
        network.reject() if way == "reject" else network.drop(way[5:])
        time.sleep(away)
        network.pass_all()
    return way


class Events(twinlatch.TestCase):
    """The event log alone: a device that writes down what it gets."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = make_gateway(cls)
        node = cls.node("events", inside=cls.network.client.enter)
        node.pair(cls.gw, "link")
        cls.paired, cls.device_id = node, node.marker["device_id"]

    def disturb(self, rng, what):
        away = rng.choice((0, rng.random() * 0.5))
        if what in ("node", "both"):
            self.node_process.kill()
        if what in ("gateway", "both"):
            self.gw.kill()
        time.sleep(away)
        if what == "network":
            what = cut(self.network, rng)
        starts = [p for p, dead in ((self.node_process.start, what in ("node", "both")), (self.gw.start, what in ("gateway", "both"))) if dead]
        rng.shuffle(starts)
        for start in starts:
            start()
        self.counts[what] += 1

    def latest(self):
        with wire.connect_local(self.gw.socket) as connection:
            return connection.admin.GetDevice(device=self.device_id).node.latest_seq

    def test_every_event_is_seen_exactly_once_in_order(self):
        rng = announce(ROUNDS)
        self.counts, total = collections.Counter(), EVENTS_A_ROUND * ROUNDS
        self.node_process = EventNode(self, self.paired, self.sandbox.root / "seen")
        self.node_process.start()
        self.node_process.process.wait_line("^open ")
        producers = Producers(self.gw, self.device_id)
        try:
            for what in disturbances(rng, ROUNDS)[:ROUNDS]:
                producers.release(EVENTS_A_ROUND)
                before = sum(self.node_process.opened.values())
                time.sleep(rng.random() * 0.4)  # the moment is what is random here; nothing is waited for
                self.disturb(rng, what)
                producers.look()
                if rng.random() < 0.7:  # else it is hit again on its way back
                    self.wait_back(before)
            producers.wait(total)
        finally:
            producers.stop()
        count = self.node_process.check(self, self.gw, self.device_id, producers.sent)
        print("#", dict(self.counts), "events", count, "committed but not answered", producers.unanswered, "links",
              dict(self.node_process.opened), flush=True)
        self.assertGreaterEqual(count, total)

    def wait_back(self, before):
        """A new link, or the old one still answers: an event gets through."""
        latest = self.latest()
        twinlatch.until(lambda: sum(self.node_process.opened.values()) > before or self.node_process.last_seen() >= latest,
                        "the node to be back", 90)


class Requests(test_kill.Kill):
    """The real node: the same, and what it runs."""

    rounds, node_count = (200 if twinlatch.FULL else 10), 2

    @classmethod
    def setUpClass(cls):
        twinlatch.TestCase.setUpClass.__func__(cls)
        cls.gw, cls.ahead = make_gateway(cls), []
        cls.add_nodes(inside=cls.network.client.enter)

    def work(self):
        return [lambda w, d=d: self.execute(w, d) for d in self.device_ids * 2] + [self.cancel]

    def disturb(self, rng):
        if not self.ahead:
            self.ahead += disturbances(rng, self.rounds)
        what = self.ahead.pop()
        if what == "network":
            self.acked.counts[cut(self.network, rng, 15)] += 1  # not until what ran is called timed out
            return
        self.acked.counts["killed " + what] += 1
        node = rng.choice(self.nodes) if what in ("node", "both") else None
        if node:
            node.kill()
        if what in ("gateway", "both"):
            self.gw.kill()
            time.sleep(rng.choice((0, rng.random() * 0.3)))
            self.gw.start()
        if node:
            node.run()


if __name__ == "__main__":
    unittest.main()
