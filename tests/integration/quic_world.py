# SPDX-License-Identifier: Apache-2.0
"""A gateway and a node of the real programs, in a network that can be made as bad as networks are (netns.py)."""
import concurrent.futures
import json
import os
import threading
import time

import netns
import twinlatch
import wire
from test_requests import state_name

PORT = 7444


def comment(text):
    print("# " + text, flush=True)


class Running:
    """A capability that is under way: process.run of a program that waits until its pipe is written to."""

    def __init__(self, world):
        self.world, self.answers, self.running = world, [], threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()
        if not self.running.wait(twinlatch.PATIENCE):
            raise AssertionError(f"it does not run: {self.answers}")

    def _follow(self):
        try:
            for answer in self.world.gw.admin.ExecuteCapability(device=self.world.device_id, capability="process.run",
                                                                input='{"program":"wait"}', timeout=180, timeout_ms=120_000):
                self.answers.append(answer)
                if state_name(answer) == "running":
                    self.running.set()
        except wire.RpcError as error:
            self.answers.append(error)
        self.running.set()

    def release(self, text):
        with open(self.world.pipe, "w") as pipe:
            pipe.write(text)

    def result(self, timeout=120):
        self.thread.join(timeout)
        if self.thread.is_alive() or not self.answers or isinstance(self.answers[-1], wire.RpcError):
            raise AssertionError(f"no result within {timeout} s: {self.answers}")
        assert state_name(self.answers[-1]) == "succeeded", self.answers[-1]
        return json.loads(self.answers[-1].output)["stdout"]


class World:
    """A gateway and a paired node. owner: the test (class) whose end is its end."""

    def __init__(self, owner, name, settings, config="", address=None, network=None):
        self.network = network
        sides = dict(gateway=network.gateway.enter, node=network.client.enter) if network else dict(gateway=(), node=())
        self.gw = owner.gateway(f"gateway-{name}", gateway=settings, address=address, inside=sides["gateway"])
        self.pipe = owner.sandbox.root / f"pipe-{name}"
        os.mkfifo(self.pipe)
        self.node = owner.node(name, inside=sides["node"], config=(
            f"[node]\nreconnect-max=1s\n{config}[program wait]\ncommand=/usr/bin/cat {self.pipe}\n[policy process.run]\nmode=allow\n"))
        self.node.pair(self.gw, "link")
        self.device_id = self.node.marker["device_id"]

    @classmethod
    def in_network(cls, owner, name, host=netns.GATEWAY[0], config="", **network):
        """In a network of its own; the gateway listens as it is shipped."""
        address = f"[{host}]:{PORT}" if ":" in host else f"{host}:{PORT}"
        return cls(owner, name, dict(listen=f"0.0.0.0:{PORT};[::]:{PORT}", advertise=address), config, address, netns.make(owner, **network))

    @property
    def shown(self):
        return self.gw.admin.GetDevice(device=self.device_id).node

    def on(self, transport, timeout=twinlatch.PATIENCE):
        """How the gateway shows the node once it is connected over that."""
        return twinlatch.until(lambda: (n := self.shown).connected and n.transport == transport and n, f"{self.node.name} on {transport}", timeout)

    @property
    def status(self):
        """What the node says of itself."""
        return self.node.cli.json("node", "status", *self.node.options())["items"][0]

    def echo(self, value='"here"', timeout=twinlatch.PATIENCE, **fields):
        """One request from the operator to the node and back; seconds."""
        began = time.monotonic()
        last = self.gw.execute(self.device_id, "echo", value, timeout=timeout, **fields)[-1]
        assert (state_name(last), last.output) == ("succeeded", value), (state_name(last), last.error)
        return time.monotonic() - began

    def echoes(self, count, at_once=16):
        """All of them answered, each with its own."""
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            return sorted(pool.map(lambda i: self.echo(f'"request {i}"', timeout=120), range(count)))
