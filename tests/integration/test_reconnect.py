# SPDX-License-Identifier: Apache-2.0
"""A node comes back by itself: after an outage of the gateway, when the network returns (in network namespaces), and when the
computer wakes (a mock of logind on a private system bus). What must happen at once is measured against the wait that was
planned."""
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

import twinlatch

FAR_MS = 4000  # a planned wait that no test machine takes for an immediate attempt
SOON_S = 3.0

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><policy context="default"><allow send_destination="*"/>
<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"""


class Relay:
    """A TCP relay whose old connections can be made deaf while new ones work: what a network does while a computer sleeps."""

    def __init__(self, target):
        self.target, self.server = target, socket.create_server(("127.0.0.1", 0))
        self.port, self.deaf, self.pairs = self.server.getsockname()[1], set(), []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.server.accept()
                far = socket.create_connection(self.target)
            except OSError:
                return
            pair = (near, far)
            self.pairs.append(pair)
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self._copy, args=(pair, source, sink), daemon=True).start()

    def _copy(self, pair, source, sink):
        try:
            while data := source.recv(65536):
                if pair not in self.deaf:
                    sink.sendall(data)
        except OSError:
            pass
        if pair not in self.deaf:
            for end in pair:
                end.close()

    def deafen(self):
        self.deaf |= set(self.pairs)

    def close(self):
        self.server.close()
        for pair in self.pairs:
            for end in pair:
                end.close()


class Reconnect(twinlatch.TestCase):
    def paired(self, name, address=None, **gateway):
        self.gw = self.gateway(name, gateway=gateway)
        node = self.node(name)
        node.pair(self.gw, address=address)
        return node

    def status(self, node):
        return node.cli.json("node", "status", *node.options())["items"][0]

    def wait_far(self, node):
        """The node waits, and its next attempt is a while away."""
        def look():
            status = self.status(node)
            planned = status["next_attempt_unix_ms"]
            return status if planned and planned - time.time() * 1000 > FAR_MS else None
        return twinlatch.until(look, "a long back-off", timeout=90, interval=0.2)

    def assertAttemptSoon(self, node, before, since):
        twinlatch.until(lambda: self.status(node)["attempts"] > before["attempts"]
                        or self.status(node)["state"] == "connected", "an attempt at once", timeout=SOON_S)
        self.assertLess(time.time() * 1000, before["next_attempt_unix_ms"], "that was the planned attempt, not one at once")
        self.assertLess(time.monotonic() - since, SOON_S)

    def test_the_gateway_was_away(self):
        node = self.paired("away")
        node.run(self.gw)
        status = self.status(node)
        self.assertEqual((status["state"], status["transport"], status["address"]), ("connected", "quic", self.gw.address))
        self.gw.stop()
        lost = twinlatch.until(lambda: (s := self.status(node))["attempts"] >= 2 and s, "attempts")
        self.assertEqual((lost["state"], lost["transport"], lost["address"], lost["running"]), ("connecting", None, None, True))
        self.gw.start()
        self.gw.wait_node(node.marker["device_id"], timeout=90)
        self.assertEqual(self.gw.execute("away", "echo", "1")[-1].output, "1")
        back = twinlatch.until(lambda: (s := self.status(node))["state"] == "connected" and s, "connected")
        self.assertEqual((back["attempts"], back["next_attempt_unix_ms"]), (0, None))

    # ---- suspend

    def bus(self):
        """A system bus of our own with a logind that sends what it is told to."""
        if not shutil.which("dbus-daemon"):
            self.skipTest("dbus-daemon is not installed")
        path, config = self.sandbox.root / "bus", self.sandbox.root / "bus.conf"
        config.write_text(BUS_CONFIG.format(path=path))
        address = f"unix:path={path}"
        daemon = twinlatch.Process(["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"], self.sandbox.environment)
        self.addCleanup(daemon.stop, signal.SIGKILL)
        daemon.wait_line("unix:path=")
        environment = dict(self.sandbox.environment, DBUS_SYSTEM_BUS_ADDRESS=address)
        mock = twinlatch.Process(["/usr/bin/python3", "-m", "dbusmock", "--system", "--template", "logind"], environment)
        self.addCleanup(mock.stop, signal.SIGKILL)
        self.call(address, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Peer.Ping")
        twinlatch.until(lambda: "true" in self.call(address, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                    "org.freedesktop.DBus.NameHasOwner", "org.freedesktop.login1"), "logind")
        return address

    def call(self, address, name, path, method, *arguments):
        return subprocess.run(["gdbus", "call", "--address", address, "--dest", name, "--object-path", path, "--method", method,
                               *arguments], capture_output=True, text=True, timeout=twinlatch.PATIENCE, check=True).stdout

    def sleep_signal(self, address, sleeping):
        self.call(address, "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.DBus.Mock.EmitSignal",
                  "org.freedesktop.login1.Manager", "PrepareForSleep", "b", f"[<{str(sleeping).lower()}>]")

    def subscribed(self, address, node):
        """The node listens to logind: it owns a match rule (nothing else says so)."""
        names = self.call(address, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.ListNames")
        rows = [n.strip(" '[]()\n,") for n in names.split(",")]
        for name in rows:
            if not name.startswith(":"):
                continue
            try:
                pid = self.call(address, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                "org.freedesktop.DBus.GetConnectionUnixProcessID", name)
            except subprocess.CalledProcessError:
                continue
            if f"uint32 {node.process.pid}," in pid:
                return True
        return False

    def run_on_bus(self, node, address):
        node.cli.environment["DBUS_SYSTEM_BUS_ADDRESS"] = address
        node.run()
        twinlatch.until(lambda: self.subscribed(address, node), "the node on the bus")

    def test_waking_ends_the_waiting(self):
        address, node = self.bus(), self.paired("wakes")
        self.gw.stop()
        self.run_on_bus(node, address)
        before = self.wait_far(node)
        self.sleep_signal(address, True)
        self.assertEqual(self.status(node)["attempts"], before["attempts"], "going to sleep is no reason to connect")
        began = time.monotonic()
        self.sleep_signal(address, False)
        self.assertAttemptSoon(node, before, began)

    def test_waking_replaces_a_connection_that_died_asleep(self):
        address, node = self.bus(), self.paired("asleep")
        relay = Relay(("127.0.0.1", self.gw.port))
        self.addCleanup(relay.close)
        node.move_gateway(f"127.0.0.1:{relay.port}")
        self.gw.settings["advertise"] = f"127.0.0.1:{relay.port}"
        self.gw.restart()
        self.run_on_bus(node, address)
        self.gw.wait_node(node.marker["device_id"])
        self.sleep_signal(address, True)
        relay.deafen()
        began = time.monotonic()
        self.sleep_signal(address, False)
        self.assertEqual(self.gw.execute("asleep", "echo", "2", timeout=twinlatch.PATIENCE)[-1].output, "2")
        self.assertLess(time.monotonic() - began, 8, "keep-alive would have taken half a minute to notice")

    # ---- network

    def test_the_network_comes_back(self):
        if os.geteuid() != 0:
            self.skipTest("network namespaces need root")
        done = subprocess.run([os.sys.executable, "-B", __file__, "--in-namespace"], capture_output=True, text=True, timeout=300,
                              env=dict(os.environ, TL_IN_NAMESPACE="1"))
        if done.returncode == 77:
            self.skipTest(done.stderr.strip().splitlines()[-1])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class InNamespace(Reconnect):
    """Run by the test above in a process of its own: this process is the gateway's side."""

    test_the_gateway_was_away = test_waking_ends_the_waiting = None
    test_waking_replaces_a_connection_that_died_asleep = None

    def ip(self, *arguments, inside=False):
        command = [*(self.inside if inside else []), "ip", *arguments]
        subprocess.run(command, check=True, capture_output=True, text=True)

    def test_the_network_comes_back(self):
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        mine = os.readlink("/proc/self/ns/net")
        twinlatch.until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != mine, "a namespace")
        self.inside = ["nsenter", "-t", str(holder.pid), "-n"]
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", "tl0", "type", "veth", "peer", "name", "tl1", "netns", str(holder.pid))
        self.ip("addr", "add", "10.99.0.1/24", "dev", "tl0")
        self.ip("link", "set", "tl0", "up")
        self.ip("link", "set", "lo", "up", inside=True)
        self.ip("addr", "add", "10.99.0.2/24", "dev", "tl1", inside=True)
        self.up()

        node = self.paired("net", "127.0.0.1:29444", listen="0.0.0.0:29444", advertise="10.99.0.1:29444")
        node.move_gateway("10.99.0.1:29444")
        node.process = twinlatch.Process([*self.inside, twinlatch.program("twinlatch"), "node", "run", *node.options()],
                                         node.cli.environment)
        self.gw.wait_node(node.marker["device_id"])

        self.gw.stop()  # the loss of the connection is seen, and the back-off grows
        self.ip("link", "set", "tl1", "down", inside=True)
        self.gw.start()
        before = self.wait_far(node)
        began = time.monotonic()
        self.up()
        self.assertAttemptSoon(node, before, began)
        self.gw.wait_node(node.marker["device_id"])

        self.ip("link", "set", "tl1", "down", inside=True)  # nobody notices the dead connection now
        self.ip("addr", "del", "10.99.0.2/24", "dev", "tl1", inside=True)
        self.ip("addr", "add", "10.99.0.3/24", "dev", "tl1", inside=True)
        began = time.monotonic()
        self.up()
        self.assertEqual(self.gw.execute("net", "echo", "3", timeout=twinlatch.PATIENCE)[-1].output, "3")
        self.assertLess(time.monotonic() - began, 8, "keep-alive would have taken half a minute to notice\n" + node.process.text)

    def up(self):
        self.ip("link", "set", "tl1", "up", inside=True)
        self.ip("route", "add", "default", "via", "10.99.0.1", inside=True)


def load_tests(loader, standard, pattern):
    """InNamespace is not for this process."""
    return loader.loadTestsFromTestCase(InNamespace if os.environ.get("TL_IN_NAMESPACE") else Reconnect)


if __name__ == "__main__":
    if os.environ.get("TL_IN_NAMESPACE"):
        CLONE_NEWNET = 0x40000000
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
            print(f"no network namespace: {os.strerror(ctypes.get_errno())}", file=os.sys.stderr)
            os.sys.exit(77)
        os.sys.argv = os.sys.argv[:1]
    unittest.main()
