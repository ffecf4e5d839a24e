# SPDX-License-Identifier: Apache-2.0
"""A real node over QUIC, and what it still needs gRPC for: registration, results too large for a frame, renewals; and how it comes
back over whichever transport there is."""
import json
import pathlib
import shutil
import time
import unittest

import twinlatch

LARGE = "x" * 700000  # more than a frame
OWN_THREADS = ("twinlatch", "gmain", "gdbus", "pool")  # any other is one that gRPC started, or that serves it
QUIC_AGAIN_S = 60


class QuicNode(twinlatch.TestCase):
    def paired(self, name, config="", **gateway):
        self.gw = self.gateway(name, gateway=gateway)
        node = self.node(name, config="[node]\nreconnect-max=1s\n" + config + "[policy]\ndefault=allow\n")
        node.pair(self.gw)
        return node

    def status(self, node):
        return node.cli.json("node", "status", *node.options())["items"][0]

    def on(self, node, transport, timeout=twinlatch.PATIENCE):
        return twinlatch.until(lambda: (s := self.status(node))["transport"] == transport and s["state"] == "connected" and s,
                               f"on {transport}", timeout=timeout)

    def echo(self, name, text="1", **fields):
        return self.gw.execute(name, "echo", json.dumps(text), **fields)[-1]

    def grpc_threads(self, node):
        found = []
        for task in pathlib.Path(f"/proc/{node.process.pid}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
            except OSError:
                continue
            if not name.startswith(OWN_THREADS):
                found.append(name)
        return found

    def quiet(self, node):
        twinlatch.until(lambda: not self.grpc_threads(node), "gRPC gone", timeout=20)

    def test_on_quic_without_grpc(self):
        node = self.paired("idle")
        node.run(self.gw)
        status = self.on(node, "quic")
        self.assertEqual((status["transport_reason"], status["address"]), ("", self.gw.address))
        self.assertGreater(status["rtt_us"], 0)
        self.assertLess(abs(time.time() * 1000 - status["connected_since_unix_ms"]), 60000)
        self.quiet(node)
        self.assertEqual(self.echo("idle", "small").output, '"small"')
        self.assertEqual(self.grpc_threads(node), [], "a small result needs no gRPC")
        answer = self.echo("idle", LARGE, max_payload_bytes=4 << 20, timeout=60)
        self.assertEqual(len(answer.output), len(LARGE) + 2)
        self.quiet(node)
        self.assertEqual(self.on(node, "quic")["connected_since_unix_ms"], status["connected_since_unix_ms"], "the same connection")

    def test_the_gateway_restarts(self):
        node = self.paired("restart")
        node.run(self.gw)
        self.on(node, "quic")
        for kill in (False, True):
            self.gw.restart(kill=kill)
            self.gw.wait_node(node.marker["device_id"], timeout=60)
            self.assertEqual(self.echo("restart").output, '"1"')
            self.assertEqual(self.on(node, "quic")["transport_reason"], "")

    def test_grpc_when_there_is_no_quic_and_back(self):
        node = self.paired("fallback", **{"listen-quic": "none"})
        node.run(self.gw)
        status = self.on(node, "grpc")
        self.assertTrue(status["transport_reason"])
        self.assertIn("tl-rpc", self.grpc_threads(node), "else nothing is shown by there being none")
        self.assertEqual(self.echo("fallback").output, '"1"')
        del self.gw.settings["listen-quic"]
        self.gw.restart()
        self.on(node, "quic", QUIC_AGAIN_S)
        self.assertEqual(self.echo("fallback").output, '"1"')
        self.quiet(node)

    def test_quic_only_says_so(self):
        node = self.paired("only", "transport=quic\n", **{"listen-quic": "none"})
        node.run()
        status = twinlatch.until(lambda: ((s := self.status(node))["attempts"] or 0) >= 3 and s, "attempts", timeout=60)
        self.assertEqual((status["state"], status["transport"]), ("connecting", None))
        self.assertIn("UDP", status["detail"] + status["transport_reason"])
        self.assertFalse(self.gw.wait_node(node.marker["device_id"], connected=False).connected)

    def test_pinned_to_another_gateway(self):
        """Whatever the transport: who blocks UDP does not get around the pin."""
        for transport in ("auto", "grpc"):
            with self.subTest(transport):
                node = self.paired("pinned-" + transport, f"transport={transport}\nserver-pin={'ab' * 32}\n")
                node.run()
                status = twinlatch.until(lambda: ((s := self.status(node))["attempts"] or 0) >= 2 and s["state"] == "connecting" and s,
                                         "attempts", timeout=60)
                self.assertRegex(status["detail"], "not the one expected|not the pinned one")

    def test_pinned(self):
        for transport in ("quic", "grpc"):
            with self.subTest(transport):
                node = self.paired("pin-" + transport, f"transport={transport}\n")
                pin = self.gw.leaf_sha256()
                pin = pin if isinstance(pin, str) else pin.hex()
                node.config.write_text(f"[node]\ntransport={transport}\nserver-pin={pin.upper()}\n")
                node.run(self.gw)
                self.on(node, transport)

    def test_revoked_and_suspended(self):
        node = self.paired("refused")
        node.run(self.gw)
        self.on(node, "quic")
        self.gw.admin.SuspendDevice(device="refused")
        self.assertIn("suspended", twinlatch.until(lambda: (s := self.status(node))["state"] == "refused" and s, "refused")["detail"])
        self.gw.admin.ResumeDevice(device="refused")
        node.stop()
        node.run(self.gw)
        self.on(node, "quic")
        self.gw.admin.RevokeDevice(device="refused")
        self.assertIn("revoked", twinlatch.until(lambda: (s := self.status(node))["state"] == "refused" and s, "refused")["detail"])

    def test_renewed_over_quic(self):
        node = self.paired("renew")
        node.run(self.gw)
        before = self.on(node, "quic")
        certificate = node.identity()["certificate"]
        self.gw.admin.RotateDevice(device="renew")
        twinlatch.until(lambda: node.identity()["certificate"] != certificate, "a new certificate")
        after = twinlatch.until(lambda: (s := self.on(node, "quic"))["connected_since_unix_ms"] > before["connected_since_unix_ms"] and s,
                                "a connection with it")
        self.assertEqual(after["transport"], "quic")
        self.assertEqual(self.echo("renew").output, '"1"')
        self.quiet(node)

    def test_a_cloned_state_folder(self):
        """The second process supersedes the first, which stops: coming back would look like a clone, and does when it is one."""
        node = self.paired("clone")
        node.run(self.gw)
        self.on(node, "quic")
        clone = self.node("clone-2", config=node.config.read_text())
        shutil.rmtree(clone.folder)
        shutil.copytree(node.folder, clone.folder)
        clone.run()
        process, node.process = node.process, None
        self.assertNotEqual(process.wait(timeout=30), 0)
        self.assertIn("another process connected", process.text)
        self.on(clone, "quic")


if __name__ == "__main__":
    unittest.main()
