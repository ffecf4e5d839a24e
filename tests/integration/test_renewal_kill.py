# SPDX-License-Identifier: Apache-2.0
"""kill -9 of either side at every step of a renewal leaves one working certificate (PROTOCOL 4.3, P)."""
import base64
import contextlib
import re
import signal
import sqlite3
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes

import twinlatch
import wire
from twinlatch import Process, until


def steps(header, prefix):
    """The names of the steps, from the code that has them: a new one is tested without being listed here."""
    source = (wire.SOURCE / header).read_text()
    names = re.findall(rf"case {prefix}(\w+):\n\s+return \"([a-z-]+)\";", source)
    assert len(names) >= 7, names
    return [text for _, text in names]


NODE_STEPS = steps("agent/node/tl-renewal.c", "TL_RENEWAL_")
GATEWAY_STEPS = steps("daemon/tl-renewal-desk.c", "TL_DESK_")


class Killed(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway(limits=dict(twinlatch.RELAXED, **{"renewals-per-minute": 1000, "renewals-per-minute-per-source": 1000}))
        cls.laptop = cls.node("laptop")
        cls.laptop.pair(cls.gw)
        cls.device_id = cls.laptop.marker["device_id"]
        cls.laptop.run(cls.gw)
        cls.laptop.stop()

    def helper(self, name, *arguments, environment):
        process = Process([str(twinlatch.BUILD / "tests/helpers" / name), *map(str, arguments)], environment)
        self.addCleanup(process.stop, signal.SIGKILL)
        return process

    def ask(self):
        """Of a device that is away; the gateway is stopped after it."""
        twinlatch.Cli(self.gw.environment).run("devices", "rotate", self.device_id)
        self.gw.stop()

    def working(self):
        """Fingerprints that the gateway admits."""
        found = self.gw.admin.GetDevice(device=self.device_id).device.certificates
        return [(c.fingerprint, c.used) for c in found if not c.revoked]

    def on_disk(self):
        text = self.laptop.identity()["certificate"]
        der = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return x509.load_der_x509_certificate(der).fingerprint(hashes.SHA256()).hex()

    def assert_one_works(self, before):
        """The node is connected, with a new certificate, which is the only one on both sides."""
        until(lambda: not list(self.laptop.folder.glob("*/secrets/identity-next.secret"))
              and self.working() == [(self.on_disk(), True)] and self.on_disk() != before, "one working certificate on both sides")
        until(lambda: self.gw.admin.GetDevice(device=self.device_id).device.connected, "the node's connection")
        # Else the next `devices rotate` says that it was asked already.
        until(lambda: (n := self.gw.admin.GetDevice(device=self.device_id).node).acknowledged_seq == n.latest_seq, "acknowledgements")
        self.assertEqual(self.gw.execute(self.device_id, "echo", '{"x":1}')[-1].output, '{"x":1}')
        # The identity would help in any case; what is on disk has to do without.
        with contextlib.closing(sqlite3.connect(f"file:{self.gw.state}/twinlatch.db?mode=ro", uri=True)) as database:
            ways = database.execute("SELECT DISTINCT json_extract(detail, '$.how') FROM journal WHERE kind = 'certificate.renewed'")
            self.assertEqual(ways.fetchall(), [("certificate",)])

    def test_the_node_dies(self):
        for step in NODE_STEPS:
            with self.subTest(step):
                before = self.on_disk()
                self.ask()
                self.gw.start()
                node = self.helper("renewal-node", self.laptop.folder, step, environment=self.laptop.cli.environment)
                self.assertEqual(node.wait(), -signal.SIGKILL, node.text)
                self.laptop.run(self.gw)
                self.assert_one_works(before)
                self.laptop.stop()

    def test_the_gateway_dies(self):
        for step in GATEWAY_STEPS:
            with self.subTest(step):
                before = self.on_disk()
                self.ask()
                gateway = self.helper("renewal-gateway", self.gw.config, self.gw.state, self.gw.socket, step,
                                      environment=self.gw.environment)
                gateway.wait_line('"ready"')
                self.laptop.run()
                self.assertEqual(gateway.wait(), -signal.SIGKILL, gateway.text)
                self.gw.start()
                self.assert_one_works(before)
                self.laptop.stop()


if __name__ == "__main__":
    unittest.main()
