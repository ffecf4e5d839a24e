# SPDX-License-Identifier: Apache-2.0
"""Renewal (PROTOCOL 4.3): who gets a new certificate, who does not, and what a node does as time goes by."""
import contextlib
import glob
import json
import os
import sqlite3
import time
import unittest

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

import twinlatch
import wire
from prover import certificate_request, ulid
from renewer import Renewer
from twinlatch import until
from wire import RpcError

HOUR = 3600
DAY = 24 * HOUR
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


def end_of(der):
    return x509.load_der_x509_certificate(der).not_valid_after


def journal(gateway, kind, subject):
    """Details of the rows, oldest first."""
    with contextlib.closing(sqlite3.connect(f"file:{gateway.state}/twinlatch.db?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT detail FROM journal WHERE kind = ? AND ? IN (subject, json_extract(detail, '$.device_id'))"
                                " ORDER BY seq", (kind, subject))
        return [json.loads(detail) for (detail,) in rows]


def certificates(gateway, device_id):
    return gateway.admin.GetDevice(device=device_id).device.certificates


class WhoMayRenew(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway(limits=dict(twinlatch.RELAXED, **{"renewals-per-minute": 100000,
                                                               "renewals-per-minute-per-source": 100000}))

    def setUp(self):
        self.device = self.gw.pair_device(self._testMethodName[5:40])
        self.renewer = Renewer(self.gw, self.device)
        self.old = self.gw.connect(self.device)
        self.old.node.GetGatewayInfo()
        self.stranger = self.gw.connect()

    def info(self, connection):
        return connection.node.GetGatewayInfo(timeout=10)

    def test_over_mtls_and_the_old_leaf_ends_in_peace(self):
        before = self.device.certificate_der
        old_key = self.device.tls_key
        answer = self.renewer.by_certificate(self.old)
        self.assertEqual(list(answer.ca_bundle), list(self.device.ca_bundle))
        self.assertEqual((answer.ca_generation, list(answer.addresses)), (1, [self.gw.address]))
        self.assertGreater(answer.grace_ends_at_unix_ms, int(time.time() * 1000) + 30 * DAY * 1000)
        with self.gw.connect(self.device) as again:
            self.info(again)  # the old leaf starts handshakes until the new one completed one
        self.renewer.take(answer)
        self.info(self.gw.connect(self.device))
        until(lambda: [c.used for c in certificates(self.gw, self.device.device_id) if not c.revoked] == [True],
              "the old leaf's end in the store")
        self.info(self.old)  # a connection that was open has a minute
        new, self.device.certificate_der, self.device.tls_key = self.device.certificate_der, before, old_key
        with self.gw.connect(self.device) as refused:
            self.assertRaises(RpcError, self.info, refused)
        self.device.certificate_der = new
        self.assertEqual([r["how"] for r in journal(self.gw, "certificate.renewed", self.device.device_id)], ["certificate"])
        if twinlatch.FULL:
            began = time.monotonic()
            with self.assertRaises(RpcError):
                while time.monotonic() < began + 90:
                    self.info(self.old)
                    time.sleep(0.5)
            self.assertAlmostEqual(time.monotonic() - began, 60, delta=5)

    def test_with_the_identity_alone(self):
        self.renewer.take(self.renewer.by_identity(self.stranger))
        self.info(self.gw.connect(self.device))
        self.assertEqual([r["how"] for r in journal(self.gw, "certificate.renewed", self.device.device_id)], ["identity"])

    def test_a_lost_answer_is_given_again(self):
        first = self.renewer.by_certificate(self.old)
        self.assertEqual(self.renewer.by_certificate(self.old).certificate_der, first.certificate_der)
        self.assertEqual(self.renewer.by_identity(self.stranger).certificate_der, first.certificate_der)
        self.gw.restart(kill=True)
        self.assertEqual(self.renewer.by_identity(self.gw.connect()).certificate_der, first.certificate_der)
        self.assertEqual([r["repeated"] for r in journal(self.gw, "certificate.renewed", self.device.device_id)],
                         [False, True, True, True])

    def test_at_most_one_unused_leaf(self):
        first = self.renewer.by_certificate(self.old).certificate_der
        first_key, self.renewer.key = self.renewer.key, ec.generate_private_key(ec.SECP256R1())
        self.renewer.by_certificate(self.old)
        good = [c for c in certificates(self.gw, self.device.device_id) if not c.revoked]
        self.assertEqual(sorted(c.used for c in good), [False, True])
        self.device.certificate_der, self.device.tls_key = first, first_key
        with self.gw.connect(self.device) as refused:
            self.assertRaises(RpcError, self.info, refused)

    def assertNothingIssued(self, count=1):
        self.assertEqual(len(certificates(self.gw, self.device.device_id)), count)
        self.assertEqual(journal(self.gw, "certificate.renewed", self.device.device_id), [])
        until(lambda: journal(self.gw, "certificate.refused", self.device.device_id), "the refusal in the journal")

    def test_a_stolen_tls_key_renews_nothing(self):
        thief = ed25519.Ed25519PrivateKey.generate()
        for renew in (lambda **c: self.renewer.by_certificate(self.old, **c), lambda **c: self.renewer.by_identity(self.stranger, **c)):
            self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", renew, signer=thief)
            self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", renew, identity_signature=b"")
            self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", renew, identity_signature=bytes(64))
        # A signature of the device over another key of the thief's is none over this one.
        other = self.renewer.request(self.renewer.challenge(self.old))
        other.csr_der = certificate_request(ec.generate_private_key(ec.SECP256R1()))
        self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", self.old.node.RenewCertificate, other)
        self.assertNothingIssued()
        self.assertEqual(len(journal(self.gw, "certificate.refused", self.device.device_id)), 7)

    def test_a_challenge_is_good_once_and_for_one_device(self):
        challenge = self.renewer.challenge(self.stranger)
        self.assertEqual(len(challenge), 32)
        spoiled = self.renewer.request(challenge, signer=ed25519.Ed25519PrivateKey.generate())
        self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", self.stranger.pairing.RenewWithIdentity, spoiled)
        for replayed in (challenge, self.renewer.challenge(self.stranger, ulid()), bytes(32), b"", challenge + b"x"):
            self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", self.stranger.pairing.RenewWithIdentity,
                                self.renewer.request(replayed))
        self.assertNothingIssued()
        self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", self.stranger.pairing.GetChallenge, device_id="nonsense")

    def test_of_the_request_only_a_new_key_is_taken(self):
        other = self.gw.pair_device("another")
        used = certificate_request(self.device.tls_key)
        for renew in (lambda **c: self.renewer.by_certificate(self.old, **c), lambda **c: self.renewer.by_identity(self.stranger, **c)):
            error = self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", renew, csr_der=certificate_request(other.tls_key))
            self.assertIn("another device", error.message)
            error = self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", renew, csr_der=used)
            self.assertIn("used before", error.message)
            self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", renew, csr_der=used[:-1] + bytes([used[-1] ^ 1]))
            self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", renew,
                                csr_der=certificate_request(ec.generate_private_key(ec.SECP384R1())))
            self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", renew, csr_der=b"x" * 3000)
        self.assertNothingIssued()
        answer = self.renewer.by_identity(self.stranger, csr_der=certificate_request(self.renewer.key, other.device_id))
        subject = x509.load_der_x509_certificate(answer.certificate_der).subject.rfc4514_string()
        self.assertEqual(subject, f"CN={self.device.device_id}")

    def test_a_device_renews_for_itself_only(self):
        other = self.gw.pair_device("other")
        connection = self.gw.connect(other)
        error = self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", connection.pairing.GetChallenge,
                                    device_id=self.device.device_id)
        self.assertIn("not the certificate's", error.message)
        request = self.renewer.request(self.renewer.challenge(self.stranger))
        self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", connection.node.RenewCertificate, request)
        self.assertRpcError(wire.UNAUTHENTICATED, "unauthenticated", self.stranger.node.RenewCertificate, request)

    def test_what_the_gateway_says_to_those_it_does_not_renew(self):
        unknown = Renewer(self.gw, self.device)
        self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", unknown.by_identity, self.stranger, device_id=ulid())
        for change, reason, word in (("SuspendDevice", "suspended", "suspended"), ("ResumeDevice", None, None),
                                     ("RemoveDevice", "revoked", "removed")):
            with self.subTest(change):
                getattr(self.gw.admin, change)(device=self.device.device_id)
                if reason is None:
                    self.renewer.take(self.renewer.by_identity(self.stranger))
                    continue
                error = self.assertRpcError(wire.PERMISSION_DENIED, reason, self.renewer.by_identity, self.stranger)
                self.assertIn(word, error.message)
                self.assertEqual(journal(self.gw, "certificate.refused", self.device.device_id)[-1]["reason"], reason)
        self.device = self.gw.pair_device("revoked")
        self.renewer = Renewer(self.gw, self.device)
        self.gw.admin.RevokeDevice(device=self.device.device_id)
        error = self.assertRpcError(wire.PERMISSION_DENIED, "revoked", self.renewer.by_identity, self.stranger)
        self.assertIn("revoked", error.message)

    def test_a_restored_gateway_renews_nothing(self):
        """Until its operator confirmed the list of devices (PROTOCOL 4.4)."""
        self.gw.stop()
        (self.gw.state / "admission.log").unlink()
        self.gw.start()
        with self.gw.connect() as stranger:
            self.assertRpcError(wire.UNAVAILABLE, "unavailable", self.renewer.by_identity, stranger)
            self.gw.admin.ConfirmDevices()
            self.renewer.by_identity(stranger)


class Limits(twinlatch.TestCase):
    def test_strangers_are_limited_devices_are_not_crowded_out(self):
        gw = self.gateway("limits", limits=dict(twinlatch.RELAXED, **{"renewals-per-minute-per-source": 6}))
        device = gw.pair_device("limited")
        renewer = Renewer(gw, device)
        with gw.connect() as stranger:
            for _ in range(6):
                renewer.challenge(stranger)
            self.assertRpcError(wire.RESOURCE_EXHAUSTED, "resource_exhausted", renewer.challenge, stranger)
            self.assertRpcError(wire.RESOURCE_EXHAUSTED, "resource_exhausted", stranger.pairing.RenewWithIdentity,
                                renewer.request(bytes(32)))
        with gw.connect(device) as connection:
            renewer.take(renewer.by_certificate(connection))
        with gw.connect(device) as connection:
            connection.node.GetGatewayInfo()


@unittest.skipUnless(FAKETIME, "libfaketime is not installed")
class AsTimeGoesBy(twinlatch.TestCase):
    """Both programs under libfaketime, whose offset is in a file: time moves while they run."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.clock = cls.sandbox.root / "clock"
        cls.sandbox.environment.update(LD_PRELOAD=FAKETIME, FAKETIME_TIMESTAMP_FILE=str(cls.clock), FAKETIME_CACHE_DURATION="1",
                                       FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1")

    def at(self, seconds):
        """Moves both programs' clocks to so long after the test's start."""
        passed = int(time.monotonic() - self.began)
        step = self.sandbox.root / "clock.new"
        step.write_text(f"{seconds - passed:+d}")
        os.replace(step, self.clock)

    def setUp(self):
        self.began = time.monotonic()
        # Threads of gRPC wait for moments of the kernel's clock, which is not moved: ahead of it they wait for ever, behind
        # it not at all. What one of them has to do is therefore seen at the kernel's own time only, coming from behind.
        self.at(-5 * DAY if "live" in self._testMethodName else 0)
        self.gw = self.gateway(self._testMethodName[5:25], gateway={"device-certificate-lifetime": self.lifetime()})
        self.addCleanup(self.gw.stop)
        self.laptop = self.node(self._testMethodName[5:25])
        self.laptop.pair(self.gw)
        self.device_id = self.laptop.marker["device_id"]

    def lifetime(self):
        return "90d" if "live" in self._testMethodName else "24h"

    def test_the_server_certificate_is_replaced_live(self):
        """At two thirds of its seven days, by itself; who is connected stays so, who comes sees the new one."""
        first, status = self.gw.server_leaf(), self.gw.admin.GetStatus()
        life = status.server_leaf_not_after_unix_ms - int(x509.load_der_x509_certificate(first).not_valid_before.timestamp() * 1000)
        self.assertAlmostEqual(status.server_leaf_not_after_unix_ms - status.server_leaf_renews_at_unix_ms, life / 3, delta=60000)
        self.laptop.run(self.gw)
        connected = self.gw.wait_node(self.device_id).connected_at_unix_ms
        self.at(0)
        second = until(lambda: (leaf := self.gw.server_leaf()) != first and leaf, "a new server certificate")
        self.assertGreater(end_of(second), end_of(first))
        self.assertEqual(self.gw.execute(self.device_id, "echo", '{"a":1}')[-1].output, '{"a":1}')
        self.assertEqual(self.gw.wait_node(self.device_id).connected_at_unix_ms, connected)
        self.laptop.stop()
        self.laptop.run(self.gw)
        self.assertEqual(self.renewed(), [])

    def renewed(self):
        return [row["how"] for row in journal(self.gw, "certificate.renewed", self.device_id)]

    def state_of_node(self):
        return self.laptop.cli.json("node", "status", *self.laptop.options())["items"][0]

    def test_three_points(self):
        self.laptop.run(self.gw)
        self.laptop.stop()
        # Before two thirds (less jitter): the certificate stays.
        self.at(13 * HOUR)
        self.laptop.run(self.gw)
        self.assertEqual(self.renewed(), [])
        self.laptop.stop()
        # After two thirds (more jitter), before the end: at start, over mTLS.
        self.at(19 * HOUR)
        self.laptop.run(self.gw)
        until(lambda: self.renewed() == ["certificate"], "the renewal over mTLS")
        until(lambda: [(c.used, c.revoked) for c in certificates(self.gw, self.device_id)] == [(True, False), (True, True)],
              "the first use of the new certificate")
        until(lambda: not list(self.laptop.folder.glob("*/secrets/identity-next.secret")), "the end of the renewal on disk")
        self.laptop.stop()
        # Ten days later, long after the end, within the grace: with the identity.
        self.at(11 * DAY)
        self.gw.restart()  # its own certificate has ended too
        self.laptop.run(self.gw)
        self.assertEqual(self.renewed(), ["certificate", "identity"])
        until(lambda: not self.state_of_node()["certificate_ended"], "the new certificate on disk")
        self.laptop.stop()
        # Beyond the grace: refused, says so, and forgets nothing.
        self.at(11 * DAY + 26 * HOUR + 30 * DAY)
        self.gw.restart()
        self.laptop.run()
        until(lambda: self.state_of_node()["state"] == "refused", "the refusal")
        self.assertIn("pair again", self.state_of_node()["detail"])
        self.assertTrue(self.state_of_node()["certificate_ended"])
        self.assertEqual(journal(self.gw, "certificate.refused", self.device_id)[-1]["reason"], "expired")
        self.assertTrue(self.laptop.identity()["certificate"])

    def test_a_running_node_notices_by_wall_clock(self):
        self.laptop.run(self.gw)
        self.assertIn("CERTIFICATE ENDS", twinlatch.Cli(self.gw.environment).run("devices", "list").stdout)
        self.assertIn("replaced by itself", twinlatch.Cli(self.gw.environment).run("status").stdout)
        self.assertIn("renews it by itself", self.laptop.cli.run("node", "status", *self.laptop.options()).stdout)
        self.assertEqual(self.renewed(), [])
        self.at(19 * HOUR)
        until(lambda: self.renewed() == ["certificate"], "the renewal", timeout=60)
        self.gw.wait_node(self.device_id)
        until(lambda: [(c.used, c.revoked) for c in certificates(self.gw, self.device_id)] == [(True, False), (True, True)],
              "the use of the new certificate")
        fingerprint = certificates(self.gw, self.device_id)[0].fingerprint
        answer = self.gw.execute(self.device_id, "system.identity")[-1]
        self.assertEqual(json.loads(answer.output)["certificate_fingerprint"], fingerprint)
        self.laptop.stop()


if __name__ == "__main__":
    unittest.main()
