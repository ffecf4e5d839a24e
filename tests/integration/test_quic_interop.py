# SPDX-License-Identifier: Apache-2.0
"""QUIC between independent implementations (issue 4, Must show 4): quic-go's client with our gateway, our client with quic-go's server."""
import datetime
import json
import threading
import time
import unittest

from cryptography.hazmat.primitives.asymmetric import ec

import goquic
import mitm
import prover
import quicclient
import twinlatch
from quicnode import QuicNode


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
        self.assertIn(goquic.QUIC_V1, client.wait("version_negotiation")["theirs"])
        client.wait("confirmed")

    def test_refusals(self):
        server = self.serve()
        for code, options in ((goquic.NO_ALPN, dict(alpn="h3")), (goquic.BAD_CERTIFICATE, dict(authority=mitm.Authority(prover.ulid()))),
                              (goquic.BAD_CERTIFICATE, dict(certificate=False))):
            with self.subTest(options):
                closed = self.connect(server, **options).wait("closed")
                self.assertEqual((closed["kind"], closed["code"], closed["remote"]), ("tls", code, True))


class Base(twinlatch.TestCase):
    """A gateway, and a device that Python paired, so that its keys are at hand."""

    quic = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = goquic.build(cls.sandbox.root)
        cls.gw = cls.gateway(quic=cls.quic)
        cls.device = cls.gw.pair_device("gopher")

    def connect(self, device=None, **options):
        peer = goquic.client(self.program, self.gw, self.sandbox.root, device, **options)
        self.addCleanup(peer.close)
        return peer

    def go_node(self, device, **flags):
        node = QuicNode(self.program, self.gw, device, self.sandbox.root, **flags)
        self.addCleanup(node.close)
        return node


class Client(Base):
    """quic-go's client with a device's certificate."""

    def test_health(self):
        peer = self.connect(self.device)
        connected = peer.wait("connected")
        self.assertEqual((connected["alpn"], connected["resumed"]), ("twinlatch/1", False))
        peer.wait("confirmed")
        answer = peer.request("node.health")
        self.assertEqual({k: answer[k] for k in ("protocol_version", "kind", "ok", "gateway_id", "node_rpc_mtls_required")},
                         dict(protocol_version=1, kind="health", ok=True, gateway_id=self.gw.gateway_id, node_rpc_mtls_required=True))
        self.assertLess(abs(answer["server_time_unix_ms"] - time.time() * 1000), 60000)

    def test_a_dispatch_its_acknowledgement_and_its_result(self):
        device = self.gw.pair_device("works")
        node = self.go_node(device)
        node.open()
        states = []
        thread = threading.Thread(target=lambda: states.extend(self.gw.execute(device.device_id, "echo", '{"a": [1, "\u00e9"]}')))
        thread.start()
        event, dispatch = node.next_dispatch()
        self.assertEqual((dispatch["capability"], dispatch["input"]), ("echo", '{"a": [1, "\u00e9"]}'))
        self.assertEqual(node.acknowledge(event)["kind"], "ack")
        answer = node.submit(dispatch, '"done \u00e9"')
        self.assertEqual((answer["kind"], answer["request_id"], answer["duplicate"], answer["unknown"]),
                         ("result_accepted", dispatch["request_id"], False, False))
        thread.join(twinlatch.PATIENCE)
        self.assertEqual(states[-1].output, '"done \u00e9"')
        self.assertTrue(node.submit(dispatch, '"done \u00e9"')["duplicate"])
        self.assertTrue(node.submit(dict(dispatch, request_id=prover.ulid()), "1")["unknown"])

    def test_a_cursor_outlives_the_connection_and_the_gateway(self):
        device = self.gw.pair_device("resumes")
        node = self.go_node(device)
        node.open()
        answers = [self.gw.admin.ExecuteCapability(device=device.device_id, capability="echo", timeout=twinlatch.PATIENCE)
                   for _ in range(2)]
        first, second = node.next_dispatch()[0], node.next_dispatch()[0]
        node.acknowledge(first)
        node.close()
        self.gw.disconnect_strangers()
        again = self.go_node(device)
        again.open(first["seq"], first["id"])
        event, _ = again.next_dispatch()
        self.assertEqual((event["seq"], event["id"]), (second["seq"], second["id"]), "what was not acknowledged comes again")
        for answer in answers:
            answer.cancel()
        another = self.go_node(device)
        another.stream(first["seq"], prover.ulid())
        self.assertEqual(another.peer.answer(another.events)["kind"], "reset", "a cursor of another log")

    def test_bad_requests_end_their_own_stream_only(self):
        peer = self.connect(self.device)
        peer.wait("confirmed")
        for error, frame in (("protocol_mismatch", dict(protocol_version=2, method="node.health")),
                             ("unsupported_method", dict(protocol_version=1, method="node.nothing")),
                             ("invalid_request", dict(protocol_version=1, method="node.ack_events", seq="one")),
                             ("invalid_request", [1])):
            with self.subTest(frame):
                answer = peer.answer(peer.send(frame))
                self.assertEqual((answer["kind"], answer["ok"], answer["error"]), ("error", False, error))
        self.assertEqual(peer.answer(peer.send(dict(protocol_version=2, method="x")))["supported"], [1])
        self.assertEqual(peer.request("node.health")["kind"], "health")

    def test_frames_of_a_wrong_length(self):
        peer = self.connect(self.device)
        peer.wait("confirmed")
        id = peer.send(hex="00080001" + 64 * "00", open=True)
        self.assertEqual(peer.answer(id)["error"], "frame_too_large")
        peer.send(id=id, hex=64 * "00", open=True)
        twinlatch.until(lambda: self.not_sent(peer, id), "our side is told to stop")
        for bad in ("00000000", "000000ff7b"):  # of no length; ended within a frame
            id = peer.send(hex=bad)
            self.assertEqual(peer.wait("ended", id=id)["kind"], "stream")
        self.assertEqual(peer.request("node.health")["kind"], "health")

    @staticmethod
    def not_sent(peer, id):
        peer.send(id=id, hex="00", open=True)
        peer.request("node.health")
        return [line for line in peer.has_said("not_sent")
                if line["id"] == id and line["ending"] == {"kind": "stream", "code": goquic.STREAM_FRAME_TOO_LARGE}]

    def test_as_many_streams_as_allowed_at_a_time(self):
        peer = self.connect(self.device)
        peer.wait("confirmed")
        ids = [peer.send(hex="0000", open=True) for _ in range(64)]
        peer.wait("ended", id=peer.send(dict(protocol_version=1, method="node.health")), kind="no_stream")
        peer.tell("cancel", id=ids[0], code=0x108)
        twinlatch.until(lambda: self.stream_opens(peer), "a place for another stream")

    @staticmethod
    def stream_opens(peer):
        id = peer.send(dict(protocol_version=1, method="node.health"))
        return peer.wait(id=id)["what"] == "answer"


class Versions(Base):
    def test_an_unknown_version_is_negotiated(self):
        peer = self.connect(self.device, versions="v2,v1")
        offered = peer.wait("version_negotiation")["theirs"]
        self.assertIn(goquic.QUIC_V1, offered)
        peer.wait("confirmed")
        self.assertEqual(peer.request("node.health")["gateway_id"], self.gw.gateway_id)

    def test_no_common_version(self):
        self.assertEqual(self.connect(self.device, versions="draft-29").wait("closed")["kind"], "version")


class Retry(Base):
    quic = {"retry-threshold": 0}

    def test_a_retry(self):
        for _ in range(3):
            peer = self.connect(self.device)
            peer.wait("retry")
            peer.wait("confirmed")
            self.assertEqual(peer.request("node.health")["gateway_id"], self.gw.gateway_id)


class NoRetry(Base):
    def test_none_below_the_threshold(self):
        peer = self.connect(self.device)
        peer.wait("confirmed")
        peer.request("node.health")
        self.assertEqual(peer.has_said("retry"), [])


class Refusals(Base):
    """Each with its code, and nothing is answered before."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.real_ca, cls.foreign_ca = mitm.gateways_authority(cls.gw), mitm.Authority(cls.gw.gateway_id)

    def assertRefused(self, code, device=None, **options):
        peer = self.connect(device, **options)
        closed = peer.wait("closed")
        self.assertEqual((closed["kind"], hex(closed["code"]), closed["remote"]), ("tls", hex(code), True))
        self.assertEqual(peer.has_said("confirmed"), [])
        return closed

    def issued(self, authority, **validity):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = authority.device(key.public_key(), self.device.device_id, **validity)
        return dict(chain_pem=mitm.pem(certificate), key_pem=mitm.key_pem(key)), certificate

    def test_no_alpn(self):
        self.assertRefused(goquic.NO_ALPN, self.device, alpn="")

    def test_another_alpn(self):
        self.assertRefused(goquic.NO_ALPN, self.device, alpn="h3,twinlatch/2")
        self.connect(self.device, alpn="h3,twinlatch/1").wait("confirmed")

    def test_no_certificate(self):
        self.assertRefused(goquic.CERTIFICATE_REQUIRED)

    def test_a_foreign_ca(self):
        self.assertRefused(goquic.UNKNOWN_CA, **self.issued(self.foreign_ca)[0])
        with self.subTest("another gateway's"):
            self.assertRefused(goquic.UNKNOWN_CA, **self.issued(mitm.Authority(prover.ulid()))[0])

    def test_of_our_ca_but_not_recorded(self):
        self.assertRefused(goquic.REVOKED, **self.issued(self.real_ca)[0])

    def test_expired_and_not_yet_valid(self):
        now = datetime.datetime.utcnow()
        hour = datetime.timedelta(hours=1)
        good, expired, early = (self.issued(self.real_ca, start=start, end=end) for start, end in (
            (now - hour, now + hour), (now - 2 * hour, now - hour), (now + hour, now + 2 * hour)))
        mitm.record(self.gw, self.device.device_id, *(certificate for _, certificate in (good, expired, early)))
        self.connect(**good[0]).wait("confirmed")
        self.assertRefused(goquic.EXPIRED, **expired[0])
        self.assertRefused(goquic.EXPIRED, **early[0])

    def test_revoked(self):
        device = self.gw.pair_device("to be revoked")
        self.connect(device).wait("confirmed")
        self.gw.admin.RevokeDevice(device=device.device_id)
        self.assertRefused(goquic.REVOKED, device)

    def test_suspended_and_resumed(self):
        device = self.gw.pair_device("to be suspended")
        self.gw.admin.SuspendDevice(device=device.device_id)
        self.assertRefused(goquic.REVOKED, device)
        self.gw.admin.ResumeDevice(device=device.device_id)
        self.connect(device).wait("confirmed")

    def test_the_gateways_own_certificate(self):
        chain, key = self.gw.server_pems()
        self.assertRefused(goquic.BAD_CERTIFICATE, chain_pem=chain, key_pem=key)

    def test_an_eager_client_gets_no_answer(self):
        """A client's handshake is complete before it is refused: what it sends then is not looked at."""
        peer = self.connect(**self.issued(self.foreign_ca)[0])
        try:
            for _ in range(50):
                peer.send(dict(protocol_version=1, method="node.health"))
        except BrokenPipeError:
            pass  # it has ended already
        peer.wait("closed", kind="tls", code=goquic.UNKNOWN_CA)
        self.assertEqual(peer.has_said("answer"), [])


class Helper(Base):
    """Our client library (tests/helpers/quic-client) with a server in Go: what it makes of how the other side ends."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.authority = mitm.gateways_authority(cls.gw)
        cls.client = quicclient.QuicClient(cls.sandbox)
        cls.addClassCleanup(cls.client.stop)

    def connect(self, authority=None, **flags):
        server = goquic.server(self.program, authority or self.authority, self.sandbox.root, **flags)
        self.addCleanup(server.close)
        return server, self.client.connect(self.gw, self.device, server.address)

    def test_requests(self):
        server, connection = self.connect()
        connection.opened()
        self.assertEqual(server.wait("accepted")["device"], self.device.device_id)
        streams = [connection.open(quicclient.request("node.health")) for _ in range(50)]
        self.assertEqual({stream.next()["gateway_id"] for stream in streams}, {self.gw.gateway_id})
        large = json.dumps(quicclient.request("node.event", type="x", data="y" * 500000))
        self.assertEqual(connection.open(large).next()["kind"], "ack")

    def test_how_it_ends(self):
        for code, reason in ((goquic.CLOSE_REVOKED, "revoked"), (goquic.CLOSE_GOING_AWAY, "restarts"), (0, "")):
            server, connection = self.connect()
            connection.opened()
            server.wait("accepted")
            server.tell("close", code=code, reason=reason)
            closed = connection.closed()
            self.assertEqual((closed["ending"], closed["code"], closed["reason"], closed["by_peer"]), ("by_peer", code, reason, True))

    def test_a_server_that_closes_is_told_our_code(self):
        server, connection = self.connect()
        connection.opened()
        server.wait("accepted")
        connection.close(0x107)
        closed = server.wait("closed")
        self.assertEqual((closed["kind"], closed["code"], closed["remote"]), ("application", 0x107, True))

    def test_what_is_not_our_gateway(self):
        for alert, flags in ((120, dict(alpn="h3")), (48, dict(authority=mitm.Authority(self.gw.gateway_id)))):
            with self.subTest(flags):
                server, connection = self.connect(**flags)
                closed = connection.closed()
                self.assertEqual((closed["ending"], closed["code"]), ("by_alert", alert))
                server.wait("over", kind="tls", code=0x100 + alert)

    def test_a_retry(self):
        server, connection = self.connect(retry=True)
        connection.opened()
        server.wait("sent", type="retry")
        self.assertEqual(connection.health()["kind"], "health")

    def test_no_common_version(self):
        _, connection = self.connect(versions="draft-29")
        self.assertEqual(connection.closed()["ending"], "version")


class Server(Base):
    """The real node, told to use QUIC alone, with a gateway in Go that has the real one's id and CA. There is no gRPC."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.authority = mitm.gateways_authority(cls.gw)

    def start(self, name, **flags):
        server = goquic.server(self.program, self.authority, self.sandbox.root, **flags)
        self.addCleanup(server.close)
        node = self.node(name, config="[node]\ntransport=quic\n")
        node.pair(self.gw)
        node.move_gateway(server.address)
        node.run()
        return server, node

    @staticmethod
    def dispatch(server, seq, capability, input):
        request_id = prover.ulid()
        data = dict(request_id=request_id, capability=capability, input=input, max_payload_bytes=65536, timeout_ms=30000,
                    expires_at_unix_ms=int(time.time() * 1000) + 60000, requested_by="uid:0")
        server.tell("event", event=dict(seq=seq, id=request_id, time_unix_ms=int(time.time() * 1000), type="capability.dispatch",
                                        data=json.dumps(data)))
        return request_id

    @staticmethod
    def request(server, method, **members):
        while True:
            request = server.wait("request")["request"]
            if request["method"] == method and all(request.get(k) == v for k, v in members.items()):
                return request

    def test_a_node_works_for_it(self):
        server, node = self.start("for-go")
        accepted = server.wait("accepted")
        self.assertEqual((accepted["alpn"], accepted["device"]), ("twinlatch/1", node.marker["device_id"]))
        resume = self.request(server, "node.stream_events")
        self.assertEqual((resume["protocol_version"], resume["resume_from"], resume["resume_id"]), (1, 0, ""))
        first = self.dispatch(server, 1, "echo", '{"a": 1}')
        result = self.request(server, "node.submit_result", request_id=first)
        self.assertEqual((result["success"], json.loads(result["output"])), (True, {"a": 1}))
        second = self.dispatch(server, 2, "echo", "2")
        self.assertEqual(self.request(server, "node.submit_result", request_id=second)["output"], "2")
        if not [r for r in server.has_said("request") if r["request"].get("seq") == 2]:
            self.request(server, "node.ack_events", seq=2)
        server.tell("close", code=goquic.CLOSE_GOING_AWAY, reason="restarts")
        server.wait("accepted")
        again = self.request(server, "node.stream_events")
        self.assertEqual((again["resume_from"], again["resume_id"], again["instance_id"]), (2, second, resume["instance_id"]))

    def test_a_retry(self):
        server, node = self.start("retried", retry=True)
        server.wait("sent", type="retry")
        self.assertEqual(server.wait("accepted")["device"], node.marker["device_id"])
        self.request(server, "node.stream_events")

    def test_no_alpn(self):
        """A server that agrees to no protocol is not our gateway."""
        server, node = self.start("strict", alpn="h3")
        server.wait("over", kind="tls", code=goquic.NO_ALPN)
        self.assertEqual(server.has_said("accepted"), [])


if __name__ == "__main__":
    unittest.main()
