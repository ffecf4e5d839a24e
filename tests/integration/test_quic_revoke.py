# SPDX-License-Identifier: Apache-2.0
"""What ends a live QUIC connection, each with its code (issue 4, Must show 6; PROTOCOL 4.3, 4.4, 5), seen by quic-go."""
import datetime
import time
import types
import unittest

from cryptography.hazmat.primitives.asymmetric import ec

import goquic
import mitm
import twinlatch
import wire
from prover import Device
from quicnode import QuicNode
from renewer import Renewer
from wire import messages

ROUNDS = 50 if twinlatch.FULL else 5
CONNECTIONS = 3  # of a device that is revoked


def now_us():
    return time.time_ns() // 1000


class Base(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = goquic.build(cls.sandbox.root)
        cls.gw = cls.gateway()

    def connect(self, device, **options):
        peer = goquic.client(self.program, self.gw, self.sandbox.root, device, **options)
        self.addCleanup(peer.close)
        return peer

    def live(self, device):
        """A connection that carries an event stream."""
        node = QuicNode(self.program, self.gw, device, self.sandbox.root)
        self.addCleanup(node.close)
        node.open()
        return node.peer

    def assertCloses(self, peer, code):
        closed = peer.wait("closed")
        self.assertEqual((closed["kind"], hex(closed["code"]), closed["remote"]), ("application", hex(code), True))
        return closed["at_us"]

    def assertRefused(self, device, code=goquic.REVOKED):
        closed = self.connect(device).wait("closed")
        self.assertEqual((closed["kind"], hex(closed["code"]), closed["remote"]), ("tls", hex(code), True))

    def assertAdmitted(self, device):
        self.connect(device).wait("confirmed")


class Admission(Base):
    def test_revoked(self):
        """With 0x101, at once, whatever of the device's is connected; the next handshake is refused."""
        after_call, after_answer = [], []
        for number in range(ROUNDS):
            device = self.gw.pair_device(f"revoked {number}")
            peers = [self.live(device), *(self.connect(device) for _ in range(CONNECTIONS - 1))]
            for peer in peers[1:]:
                peer.request("node.health")
            called = now_us()
            self.gw.admin.RevokeDevice(device=device.device_id)
            answered = now_us()
            closed = max(self.assertCloses(peer, goquic.CLOSE_REVOKED) for peer in peers)
            after_call.append(closed - called)
            after_answer.append(closed - answered)
            self.assertRefused(device)
        print(f"# revoked: {ROUNDS} x {CONNECTIONS} connections; last close after the call, us: median {sorted(after_call)[ROUNDS // 2]},"
              f" most {max(after_call)}; after its answer: most {max(after_answer)}", flush=True)

    def test_revoked_by_the_command_line(self):
        device = self.gw.pair_device("revoked by hand")
        peer = self.live(device)
        twinlatch.Cli(self.gw.environment).run("devices", "revoke", device.device_id, "--yes")
        answered = now_us()
        closed = self.assertCloses(peer, goquic.CLOSE_REVOKED)
        print(f"# revoked by the command line: closed {(closed - answered) / 1000:.1f} ms after it ended", flush=True)
        self.assertRefused(device)

    def test_another_device_stays(self):
        device, other = self.gw.pair_device("goes"), self.gw.pair_device("stays")
        peer, stays = self.live(device), self.live(other)
        self.gw.admin.RevokeDevice(device=device.device_id)
        self.assertCloses(peer, goquic.CLOSE_REVOKED)
        self.assertEqual(stays.request("node.health")["kind"], "health")

    def test_suspended_and_resumed(self):
        device = self.gw.pair_device("suspended")
        peer = self.live(device)
        self.gw.admin.SuspendDevice(device=device.device_id)
        self.assertCloses(peer, goquic.CLOSE_SUSPENDED)
        self.assertRefused(device)
        self.gw.admin.ResumeDevice(device=device.device_id)
        self.assertAdmitted(device)

    def test_removed(self):
        device = self.gw.pair_device("removed")
        peer = self.live(device)
        self.gw.admin.RemoveDevice(device=device.device_id)
        self.assertCloses(peer, goquic.CLOSE_REVOKED)
        self.assertRefused(device)

    def test_unpaired(self):
        device = self.gw.pair_device("unpairs")
        peer = self.live(device)
        try:
            self.gw.connect(device).node.Unpair(device_id=device.device_id)
        except wire.RpcError:
            pass  # the call may end with the connection it is about
        self.assertCloses(peer, goquic.CLOSE_REVOKED)
        self.assertRefused(device)

    def test_another_role(self):
        """Ends the device's streams; it may come back at once."""
        device = self.gw.pair_device("promoted")
        peer = self.live(device)
        self.gw.admin.SetDeviceRole(device=device.device_id, role=messages.enum("Role", "ROLE_OPERATOR"))
        self.assertCloses(peer, goquic.CLOSE_GOING_AWAY)
        self.live(device)


class Certificates(Base):
    def test_the_end_of_the_certificate(self):
        device = self.gw.pair_device("expires")
        key = ec.generate_private_key(ec.SECP256R1())
        end = (datetime.datetime.utcnow() + datetime.timedelta(seconds=6)).replace(microsecond=0)
        leaf = mitm.gateways_authority(self.gw).device(key.public_key(), device.device_id, end=end)
        mitm.record(self.gw, device.device_id, leaf, with_times=True)
        pems = dict(chain_pem=mitm.pem(leaf), key_pem=mitm.key_pem(key))
        peer = self.connect(None, **pems)
        self.assertEqual(peer.request("node.health")["kind"], "health")
        self.assertCloses(peer, goquic.CLOSE_CERTIFICATE_ENDED)
        closed = self.connect(None, **pems).wait("closed")
        self.assertEqual((closed["kind"], hex(closed["code"])), ("tls", hex(goquic.EXPIRED)))

    def test_paired_again(self):
        """The certificate of before ends when the new one was used."""
        device = self.gw.pair_device("paired again")
        old = types.SimpleNamespace(chain_pem=device.chain_pem, key_pem=device.key_pem)
        peer = self.live(device)
        device.tls_key = Device().tls_key
        session = self.gw.session(self.gw.mint("link"), device)
        session.start()
        session.exchange()
        session.complete()
        self.gw.approve(session.request_id, session.comparison)
        session.finish()
        self.assertEqual(peer.request("node.health")["kind"], "health")
        self.assertAdmitted(old)
        self.connect(device).wait("confirmed")
        self.assertCloses(peer, goquic.CLOSE_CERTIFICATE_SUPERSEDED)
        self.assertRefused(old)

    def test_renewed(self):
        """The old leaf starts no handshake once the new one was used; what it opened before has a minute."""
        device = self.gw.pair_device("renews")
        old = types.SimpleNamespace(chain_pem=device.chain_pem, key_pem=device.key_pem)
        peer, renewer = self.live(device), Renewer(self.gw, device)
        renewer.take(renewer.by_certificate(self.gw.connect(device)))
        self.assertAdmitted(old)
        self.connect(device).wait("confirmed")
        twinlatch.until(lambda: [c.used for c in self.gw.admin.GetDevice(device=device.device_id).device.certificates
                                 if not c.revoked] == [True], "the old leaf's end in the store")
        self.assertRefused(old)
        self.assertEqual(peer.request("node.health")["kind"], "health")
        if twinlatch.FULL:
            began = now_us()
            closed = peer.wait("closed", timeout=90, kind="application", code=goquic.CLOSE_CERTIFICATE_SUPERSEDED)
            self.assertAlmostEqual((closed["at_us"] - began) / 1e6, 60, delta=5)


class Others(Base):
    def test_the_newest_stream_wins(self):
        device = self.gw.pair_device("twice")
        first = self.live(device)
        second = self.live(device)
        self.assertCloses(first, goquic.CLOSE_SUPERSEDED)
        self.assertEqual(second.request("node.health")["kind"], "health")

    def test_a_cloned_identity(self):
        device = self.gw.pair_device("cloned")
        first, second = (QuicNode(self.program, self.gw, device, self.sandbox.root) for _ in range(2))
        for node in (first, second):
            self.addCleanup(node.close)
            node.open()
        self.assertCloses(first.peer, goquic.CLOSE_SUPERSEDED)
        third = self.connect(device)
        third.send(dict(protocol_version=1, method="node.stream_events", resume_from=0, resume_id="",
                        instance_id=first.grpc.instance_id), open=True)
        self.assertCloses(second.peer, goquic.CLOSE_SUSPENDED)
        self.assertCloses(third, goquic.CLOSE_SUSPENDED)
        state = self.gw.admin.GetDevice(device=device.device_id).device.state
        self.assertEqual(messages.enum_name("DeviceState", state), "DEVICE_STATE_SUSPENDED")

    def test_the_gateway_stops(self):
        gw = self.gateway("stops")
        device = gw.pair_device("left behind")
        peer = goquic.client(self.program, gw, self.sandbox.root, device)
        self.addCleanup(peer.close)
        peer.request("node.health")
        gw.stop()
        self.assertCloses(peer, goquic.CLOSE_GOING_AWAY)

    def test_the_gateway_is_killed(self):
        """It knows nothing of the connection any more, but its secret outlives it: a stateless reset, not silence."""
        gw = self.gateway("is killed")
        device = gw.pair_device("forgotten")
        peer = goquic.client(self.program, gw, self.sandbox.root, device)
        self.addCleanup(peer.close)
        peer.request("node.health")
        gw.restart(kill=True)
        peer.send(dict(protocol_version=1, method="node.health"))
        self.assertEqual(peer.wait("closed")["kind"], "stateless_reset")


if __name__ == "__main__":
    unittest.main()
