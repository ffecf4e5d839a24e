# SPDX-License-Identifier: Apache-2.0
"""Independent implementations (issue 2, Must show 6): OpenSSL reads our certificates, grpc-go speaks to us."""
import os
import pathlib
import re
import subprocess
import unittest

import twinlatch
from cryptography import x509
from cryptography.hazmat.primitives import serialization

GO = "/usr/lib/go-1.19/bin/go"


def openssl(*arguments, data=None):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


class Certificates(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway(gateway={"server-names": "gateway.example.org;192.0.2.7;2001:db8::7"})
        cls.device = cls.gw.pair_device("interop")
        cls.folder = cls.sandbox.root / "pem"
        cls.folder.mkdir()
        cls.ca, cls.leaf, cls.server = (cls.folder / n for n in ("ca.pem", "device.pem", "server.pem"))
        exported = twinlatch.Cli(cls.gw.environment).run("ca", "export").stdout
        cls.ca.write_text(exported)
        cls.leaf.write_bytes(cls.device.chain_pem)
        cls.server.write_bytes(x509.load_der_x509_certificate(cls.gw.server_leaf()).public_bytes(serialization.Encoding.PEM))

    def text(self, path):
        code, out, err = openssl("x509", "-noout", "-text", "-in", str(path))
        self.assertEqual(code, 0, err)
        return out

    def verify(self, *arguments):
        code, out, err = openssl("verify", "-x509_strict", "-check_ss_sig", "-CAfile", str(self.ca), *arguments)
        self.assertEqual(code, 0, out + err)

    def test_the_ca(self):
        text = self.text(self.ca)
        self.assertIn(f"Twinlatch CA {self.gw.gateway_id} G1", text)
        self.assertRegex(text, r"Basic Constraints: critical\s+CA:TRUE, pathlen:1")
        self.assertRegex(text, r"Key Usage: critical\s+Certificate Sign, CRL Sign\n")
        self.assertIn("prime256v1", text)
        self.assertIn("Subject Key Identifier", text)
        self.verify(str(self.ca))

    def test_the_device_leaf(self):
        self.verify("-purpose", "sslclient", str(self.leaf))
        text = self.text(self.leaf)
        self.assertRegex(text, rf"Subject: CN = {self.device.device_id}\n")
        self.assertIn(f"URI:twinlatch:device:{self.gw.gateway_id}:{self.device.device_id}", text)
        self.assertRegex(text, r"Extended Key Usage:[^\n]*\n\s+TLS Web Client Authentication\n")
        self.assertRegex(text, r"Key Usage: critical\s+Digital Signature\n")
        code, _, _ = openssl("verify", "-CAfile", str(self.ca), "-purpose", "sslserver", str(self.leaf))
        self.assertNotEqual(code, 0, "a device leaf must not be good for a server")
        certificate = x509.load_der_x509_certificate(self.device.certificate_der)
        lifetime = certificate.not_valid_after - certificate.not_valid_before
        self.assertEqual(lifetime.total_seconds(), 24 * 3600 + 600)
        self.assertGreater(certificate.serial_number.bit_length(), 96)

    def test_the_server_leaf(self):
        self.verify("-purpose", "sslserver", "-verify_hostname",
                    self.gw.gateway_id.lower() + ".gateway.twinlatch.internal", str(self.server))
        self.verify("-purpose", "sslserver", "-verify_hostname", "gateway.example.org", str(self.server))
        self.verify("-purpose", "sslserver", "-verify_ip", "192.0.2.7", str(self.server))
        self.verify("-purpose", "sslserver", "-verify_ip", "2001:db8::7", str(self.server))
        code, _, _ = openssl("verify", "-CAfile", str(self.ca), "-verify_hostname", "other.example.org", str(self.server))
        self.assertNotEqual(code, 0)
        self.assertRegex(self.text(self.server), r"Extended Key Usage:[^\n]*\n\s+TLS Web Server Authentication\n")

    def test_s_client_verifies_the_connection(self):
        code, out, err = openssl("s_client", "-connect", self.gw.address, "-CAfile", str(self.ca), "-verify_return_error",
                                 "-alpn", "h2", "-servername", "x", data=b"")
        self.assertEqual(code, 0, err)
        self.assertIn("Verify return code: 0", out)
        self.assertIn("ALPN protocol: h2", out)
        self.assertRegex(out, r"New, TLSv1\.3")


class Go(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.folder = cls.sandbox.root / "go"
        cls.folder.mkdir()
        cls.program = cls.folder / "health"
        environment = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="", GOROOT="/usr/lib/go-1.19",
                           GOCACHE=str(cls.folder / "cache"), HOME=str(cls.folder), CGO_ENABLED="0")
        done = subprocess.run([GO, "build", "-o", str(cls.program), str(pathlib.Path(__file__).parent / "go" / "health.go")],
                              env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError("go build failed:\n" + done.stdout + done.stderr)
        (cls.folder / "ca.pem").write_bytes(cls.gw.ca_pem)

    def call(self, *more):
        name = self.gw.gateway_id.lower() + ".gateway.twinlatch.internal"
        done = subprocess.run([str(self.program), self.gw.address, str(self.folder / "ca.pem"), name, *more],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return dict(re.findall(r"^(\w+): (.*)$", done.stdout, re.M))

    def test_grpc_go_calls_health_and_is_refused_node_service(self):
        answer = self.call()
        self.assertEqual(answer["health"], "SERVING")
        self.assertEqual(answer["register"], "Unauthenticated unauthenticated")

    def test_grpc_go_with_a_devices_certificate(self):
        device = self.gw.pair_device("gopher")
        (self.folder / "device.pem").write_bytes(device.chain_pem + device.key_pem)
        answer = self.call(str(self.folder / "device.pem"))
        self.assertEqual(answer["health"], "SERVING")
        self.assertEqual(answer["register"].split()[0], "PermissionDenied", "an empty device id is not the certificate's")

    def test_grpc_go_refuses_another_gateways_name(self):
        name = "0" * 26 + ".gateway.twinlatch.internal"
        done = subprocess.run([str(self.program), self.gw.address, str(self.folder / "ca.pem"), name], capture_output=True,
                              text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("certificate", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
