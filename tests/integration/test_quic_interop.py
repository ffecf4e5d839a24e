# SPDX-License-Identifier: Apache-2.0
"""QUIC between independent implementations (issue 4, Must show 4): quic-go's client with our gateway, our client with quic-go's server."""
import unittest

from cryptography.hazmat.primitives.asymmetric import ec

import goquic
import mitm
import prover
import twinlatch


class EachOther(twinlatch.TestCase):
    """The two Go programs with one another: what the other tests stand on."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = goquic.build(cls.sandbox.root)
        cls.authority = mitm.Authority(prover.ulid())

    def serve(self, **flags):
        peer = goquic.server(self.program, self.authority, self.sandbox.root, **flags)
        self.addCleanup(peer.close)
        return peer

    def connect(self, server, authority=None, certificate=True, **flags):
        files = {}
        if certificate:
            key = ec.generate_private_key(ec.SECP256R1())
            pems = mitm.pem((authority or self.authority).device(key.public_key(), prover.ulid())) + mitm.key_pem(key)
            files["certificate"] = self.sandbox.root / f"{prover.ulid()}.pem"
            files["certificate"].write_bytes(pems)
        name = self.authority.gateway_id.lower() + ".gateway.twinlatch.internal"
        peer = goquic.Peer(self.program, "client", **dict(dict(address=server.address, ca=server.ca, name=name), **files, **flags))
        self.addCleanup(peer.close)
        return peer

    def test_health_and_events(self):
        server = self.serve()
        client = self.connect(server)
        self.assertEqual(client.wait("connected")["alpn"], "twinlatch/1")
        server.wait("accepted")
        client.wait("confirmed")
        self.assertEqual(client.request("node.health")["gateway_id"], self.authority.gateway_id)
        events = client.send(dict(protocol_version=1, method="node.stream_events", resume_from=0, resume_id="",
                                  instance_id=prover.ulid()), open=True)
        client.answer(events, kind="ready")
        server.tell("event", event=dict(seq=1, id=prover.ulid(), type="policy.update", data="{}"))
        self.assertEqual(client.answer(events)["seq"], 1)
        self.assertEqual(client.request("node.ack_events", seq=1, id="")["kind"], "ack")
        server.tell("close", code=goquic.CLOSE_REVOKED, reason="revoked")
        closed = client.wait("closed")
        self.assertEqual((closed["kind"], closed["code"], closed["reason"]), ("application", goquic.CLOSE_REVOKED, "revoked"))

    def test_a_retry_and_another_version(self):
        client = self.connect(self.serve(retry=True))
        client.wait("retry")
        client.wait("confirmed")
        client = self.connect(self.serve(), versions="v2,v1")
        self.assertEqual(client.wait("version_negotiation")["theirs"][-1:], [goquic.QUIC_V1])
        client.wait("confirmed")

    def test_refusals(self):
        server = self.serve()
        for code, options in ((goquic.NO_ALPN, dict(alpn="h3")), (goquic.BAD_CERTIFICATE, dict(authority=mitm.Authority(prover.ulid()))),
                              (goquic.BAD_CERTIFICATE, dict(certificate=False))):
            with self.subTest(options):
                closed = self.connect(server, **options).wait("closed")
                self.assertEqual((closed["kind"], closed["code"], closed["remote"]), ("tls", code, True))


if __name__ == "__main__":
    unittest.main()
