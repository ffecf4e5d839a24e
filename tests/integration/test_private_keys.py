# SPDX-License-Identifier: Apache-2.0
"""No device private key on the wire, in the gateway's files, or in a core of the gateway (PROTOCOL 1, P; issue 2, Must show 5).

A recording proxy that holds the gateway's own server key sits between node and gateway, so it sees every message in plaintext."""
import base64
import os
import re
import shutil
import subprocess
import unittest

from cryptography.hazmat.primitives import serialization

import mitm
import twinlatch
from prover import Device


def spellings(value):
    """How a key could be written down: raw, reversed, hex, base64 at each alignment (with and without url alphabet)."""
    found = {value, value[::-1], value.hex().encode(), value.hex().upper().encode()}
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + value)
        whole = text[4 if shift else 0:-4]  # without what neighbours change
        found |= {whole, whole.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def secrets_of(identity):
    """(name, bytes) of everything private in a stored device identity."""
    def decode(text):
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    seed, key_der = decode(identity["identity"]["key"]), decode(identity["tls"]["key"])
    key = serialization.load_der_private_key(key_der, None)
    return {"identity seed": seed, "TLS scalar": key.private_numbers().private_value.to_bytes(32, "big"), "TLS key DER": key_der}


def find(keys, data):
    """Names of the keys that data holds in any spelling."""
    return [name for name, value in keys.items() if any(s in data for s in spellings(value))]


class PrivateKeys(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.proxy = mitm.TlsProxy(cls.gw, *cls.gw.server_pems())
        cls.nodes = []
        for method in ("pin", "link"):
            node = cls.node(f"recorded-{method}")
            secret = cls.gw.mint(method).text
            if method == "link":
                secret = re.sub(r"a=[^&]*", f"a={cls.proxy.address}", secret)
            node.pair(cls.gw, method, secret, cls.proxy.address)
            cls.nodes.append(node)
        cls.keys = {}
        for node in cls.nodes:
            cls.keys.update({f"{node.name} {k}": v for k, v in secrets_of(node.identity()).items()})
        cls.proxy.stop()
        # The nodes also work (they know the gateway's own address by now), so that whatever would be sent later was sent.
        for node in cls.nodes:
            node.run(cls.gw)
            cls.gw.execute(node.name, "system.identity")

    def test_the_scanner_finds_a_planted_key(self):
        self.assertEqual(len(self.keys), 6)
        for name, value in self.keys.items():
            for spelling in (value, value.hex().encode(), base64.b64encode(b"xy" + value + b"tail"),
                             base64.urlsafe_b64encode(b"x" + value + b"tail"), value[::-1]):
                self.assertIn(name, find(self.keys, b"noise" * 10 + spelling + b"noise"))
        self.assertEqual(find(self.keys, Device().identity_public * 100), [])

    def test_the_recording_is_complete(self):
        methods = [m.rsplit("/", 1)[1] for m, _, _ in self.proxy.record]
        for method in ("StartPairing", "ExchangePairing", "CompletePairing", "WatchPairing"):
            self.assertGreaterEqual(methods.count(method), 4, "both directions of both pairings")
        self.assertIn(b"recorded-pin", self.proxy.bytes_seen)

    def test_not_on_the_wire(self):
        self.assertEqual(find(self.keys, self.proxy.bytes_seen), [])

    def test_not_in_gateway_files(self):
        files = [p for p in self.gw.folder.rglob("*") if p.is_file()]
        self.assertTrue(any(p.name == "twinlatch.db" for p in files))
        everything = b"".join(p.read_bytes() for p in files)
        self.assertIn(b"recorded-pin", everything, "the database was really read")
        for path in files:
            self.assertEqual(find(self.keys, path.read_bytes()), [], path)
        self.assertEqual(find(self.keys, self.gw.process.text.encode()), [])

    @unittest.skipIf(twinlatch.SANITIZED, "a core of a sanitizer build is 20 TB of shadow memory")
    def test_not_in_a_core_of_the_gateway(self):
        core, root = self.sandbox.root / "core", []
        if os.geteuid() != 0:  # the daemon is not dumpable, so that even its own user cannot look into it
            root = ["sudo", "-n"]
            if not shutil.which("sudo") or subprocess.run([*root, "true"], capture_output=True).returncode != 0:
                self.skipTest("a core of the daemon can be taken by root only")
        done = subprocess.run([*root, "gdb", "--batch", "-nx", "-p", str(self.gw.process.pid), "-ex", "set use-coredump-filter off",
                               "-ex", "set dump-excluded-mappings on", "-ex", f"generate-core-file {core}"],
                              capture_output=True, text=True, timeout=120)
        self.assertTrue(core.exists(), done.stdout + done.stderr)
        data = subprocess.run([*root, "cat", str(core)], capture_output=True).stdout
        subprocess.run([*root, "rm", "-f", str(core)])
        # Positive control: what the gateway does hold is found, so the core is readable and the search works.
        self.assertIn(self.gw.gateway_id.encode(), data)
        self.assertIn(b"recorded-pin", data)
        self.assertEqual(find(self.keys, data), [])

    def test_the_gateways_files_are_private(self):
        for path in self.gw.state.rglob("*"):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)
        for node in self.nodes:
            for path in node.folder.rglob("*"):
                if "secrets" in path.parts:
                    self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_the_gateway_keeps_no_code(self):
        """3.1: the gateway keeps salt, w0 and L, never the code."""
        codes = [self.gw.mint("pin"), self.gw.mint("link")]
        data = b"".join(p.read_bytes() for p in self.gw.state.rglob("*") if p.is_file())
        for code in codes:
            self.assertIn(code.record.code_id.encode(), data)
            self.assertNotIn(code.secret.encode(), data)


if __name__ == "__main__":
    unittest.main()
