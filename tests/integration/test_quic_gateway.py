# SPDX-License-Identifier: Apache-2.0
"""The gateway's side of QUIC (PROTOCOL 5), seen from a client that says what it likes."""
import json
import socket
import threading
import time
import unittest

import prover
import quicclient
import twinlatch
import wire
from prover import ulid
from pynode import PythonNode
from quicclient import request
from wire import messages


class QuicTestCase(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = quicclient.QuicClient(cls.sandbox)
        cls.addClassCleanup(cls.client.stop)

    def pair(self, gateway=None):
        return (gateway or self.gw).pair_device(self._testMethodName[-60:])

    def connect(self, device, gateway=None):
        return self.client.connect(gateway or self.gw, device).opened()

    def follow(self, connection, seq=0, event_id="", instance=None):
        """An event stream, opened and ready; what came before `ready` is in .before."""
        stream = connection.open(request("node.stream_events", resume_from=seq, resume_id=event_id, instance_id=instance or ulid()))
        stream.before, answer = [], stream.next()
        while answer["kind"] != "ready":
            stream.before.append(answer)
            answer = stream.next()
        stream.ready = answer
        return stream

    def register(self, device, capabilities=("echo", "work.once")):
        node = PythonNode(self.gw, device, capabilities)
        node.register()
        return node

    def execute(self, device, capability="echo", input="1", **fields):
        states = []

        def run():
            try:
                states.extend(self.gw.execute(device.device_id, capability, input, **fields))
            except wire.RpcError as error:
                states.append(error)
        thread = threading.Thread(target=run)
        thread.start()

        def join():
            thread.join(twinlatch.PATIENCE)
            self.assertFalse(thread.is_alive(), "the request never ended")
            return states
        return join

    def journal(self, kind, subject=None, actor=None):
        return [row for answer in self.gw.admin.ReadJournal(limit=10000) for row in answer.rows
                if row.kind == kind and subject in (None, row.subject) and actor in (None, row.actor)]

    def assertRefused(self, answer, error, reason=None):
        self.assertEqual((answer["kind"], answer["ok"], answer["error"]), ("error", False, error), answer)
        if reason is not None:
            self.assertEqual(answer["reason"], reason, answer)


class Requests(QuicTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()

    def test_health(self):
        device = self.pair()
        answer = self.connect(device).health()
        self.assertEqual((answer["kind"], answer["ok"], answer["gateway_id"], answer["node_rpc_mtls_required"], answer["latest_seq"]),
                         ("health", True, self.gw.gateway_id, True, 0))
        self.assertLess(abs(answer["server_time_unix_ms"] / 1000 - time.time()), 60)

    def test_events_results_and_acknowledgements(self):
        device = self.pair()
        node, connection = self.register(device), self.connect(device)
        stream = self.follow(connection)
        self.assertEqual((stream.before, stream.ready["latest_seq"]), ([], 0))
        shown = self.gw.admin.GetDevice(device=device.device_id).node
        self.assertEqual((shown.connected, shown.transport), (True, "quic"))
        self.assertRegex(shown.address, r"^127\.0\.0\.1:\d+$")
        states = self.execute(device, "work.once", '{"a": "\\u00e9"}')
        event = stream.next()
        self.assertEqual((event["kind"], event["seq"], event["type"]), ("event", 1, "capability.dispatch"))
        dispatch = json.loads(event["data"])
        self.assertEqual((dispatch["capability"], dispatch["input"]), ("work.once", '{"a": "\\u00e9"}'))
        for kind, data in (("node.started", {}), ("capability.accepted", {"request_id": dispatch["request_id"]})):
            self.assertEqual(connection.ask("node.event", type=kind, data=json.dumps(data))["kind"], "ack")
        self.assertEqual(connection.health()["latest_seq"], 1)
        self.assertEqual(connection.ask("node.ack_events", seq=1, id=event["id"])["kind"], "ack")
        message = node.result(dispatch, '"done"')
        answer = connection.ask("node.submit_result", **quicclient.result(message))
        self.assertEqual((answer["kind"], answer["request_id"], answer["duplicate"], answer["unknown"]),
                         ("result_accepted", dispatch["request_id"], False, False))
        last = states()[-1]
        self.assertEqual((messages.enum_name("RequestState", last.state), last.output), ("REQUEST_STATE_SUCCEEDED", '"done"'))
        again = connection.ask("node.submit_result", **quicclient.result(message))
        self.assertEqual((again["duplicate"], again["unknown"]), (True, False))
        message.request_id = ulid()
        self.assertTrue(connection.ask("node.submit_result", **quicclient.result(message))["unknown"])
        shown = self.gw.admin.GetDevice(device=device.device_id).node
        self.assertEqual((shown.latest_seq, shown.acknowledged_seq), (1, 1))

    def test_errors(self):
        """PROTOCOL 5: exactly these, and each ends its stream only."""
        device = self.pair()
        connection = self.connect(device)
        for frame, error in (
                ("no json", "invalid_request"), ("[]", "invalid_request"), ("{}", "invalid_request"),
                (json.dumps({"method": "node.health"}), "invalid_request"),
                (json.dumps({"protocol_version": "1", "method": "node.health"}), "invalid_request"),
                (json.dumps({"protocol_version": 1}), "invalid_request"),
                (request("node.ack_events"), "invalid_request"),
                (request("node.ack_events", seq=-1, id=ulid()), "invalid_request"),
                (request("node.stream_events", resume_from=0, resume_id="", instance_id="nobody"), "invalid_request"),
                (request("node.stream_events", resume_from=1, resume_id="", instance_id=ulid()), "invalid_request"),
                (request("node.submit_result", request_id="x"), "invalid_request"),
                (request("node.event", type="x" * 65), "invalid_request"),
                (request("node.none"), "unsupported_method"),
                (dict(request("node.none"), protocol_version=2), "protocol_mismatch")):
            with self.subTest(str(frame)[:80]):
                stream = connection.open(frame)
                answer = stream.next()
                self.assertRefused(answer, error)
                self.assertOneLine(answer["message"])
                self.assertEqual(answer.get("supported"), [1] if error == "protocol_mismatch" else None)
                self.assertEqual(stream.closed(), 0)
        last = connection.open(request("node.health", unknown={"members": ["are", "ignored"]}))
        self.assertTrue(last.next()["ok"])
        self.assertEqual((last.closed(), connection.info()["streams"]), (0, 0))

    def test_one_request_a_stream(self):
        connection = self.connect(self.pair())
        stream = self.follow(connection)
        stream.send(json.dumps(request("node.health")))  # its sending side has ended
        self.client.failures.get(timeout=twinlatch.PATIENCE)
        stream = connection.open(request("node.none"), more=True)
        self.assertRefused(stream.next(), "unsupported_method")
        stream.send(json.dumps(request("node.health")), more=True)
        self.assertIn(stream.closed(), (0, quicclient.STREAM_REFUSED))
        self.assertTrue(connection.health()["ok"])

    def test_one_event_stream_a_connection(self):
        device = self.pair()
        connection, instance = self.connect(device), ulid()
        first = self.follow(connection, instance=instance)
        second = request("node.stream_events", resume_from=0, resume_id="", instance_id=instance)
        self.assertRefused(connection.open(second).next(), "invalid_request", "failed_precondition")
        first.reset()
        self.gw.wait_node(device.device_id, connected=False)
        self.follow(connection, instance=instance)
        self.assertTrue(connection.health()["ok"])

    def test_acknowledging_what_was_not_sent(self):
        device = self.pair()
        self.register(device)
        connection = self.connect(device)
        self.assertRefused(connection.ask("node.ack_events", seq=1, id=ulid()), "invalid_request", "failed_precondition")
        stream = self.follow(connection)
        self.execute(device, expires_in_ms=60000)
        event = stream.next()
        for seq, event_id in ((2, event["id"]), (1, ulid())):
            self.assertRefused(connection.ask("node.ack_events", seq=seq, id=event_id), "invalid_request", "out_of_range")
        self.assertEqual(connection.ask("node.ack_events", seq=1, id=event["id"])["kind"], "ack")

    def test_cursors(self):
        """One log, whatever the transport: what QUIC acknowledged is gone for gRPC, and the other way round."""
        device = self.pair()
        node = self.register(device)
        connection, instance = self.connect(device), ulid()
        stream = self.follow(connection, instance=instance)
        for i in range(4):
            self.execute(device, input=str(i), expires_in_ms=60000)
        events = [stream.next() for _ in range(4)]
        self.assertEqual([e["seq"] for e in events], [1, 2, 3, 4])
        ids = {e["seq"]: e["id"] for e in events}
        connection.close()
        connection.closed()
        connection = self.connect(device)
        again = self.follow(connection, 2, ids[2], instance)
        self.assertEqual([again.next()["id"] for _ in range(2)], [ids[3], ids[4]])
        connection.ask("node.ack_events", seq=2, id=ids[2])
        node.instance_id = instance
        gap = next(node.stream())
        self.assertEqual((gap.gap.oldest.seq, gap.gap.oldest.event_id), (3, ids[3]))
        node.acknowledge(3, ids[3])
        twinlatch.until(lambda: self.gw.admin.GetDevice(device=device.device_id).node.acknowledged_seq == 3, "the acknowledgement")
        connection = self.connect(device)
        stream = self.follow(connection, instance=instance)
        self.assertEqual([(a["kind"], a["seq"], a["id"]) for a in stream.before], [("gap", 4, ids[4])])
        self.assertEqual(stream.next()["seq"], 4)
        stream.reset()
        self.gw.wait_node(device.device_id, connected=False)
        stream = self.follow(connection, 4, ulid(), instance)
        self.assertEqual([(a["kind"], a["latest_seq"]) for a in stream.before], [("reset", 4)])
        self.assertEqual(len(self.journal("events.reset", actor=f"device:{device.device_id}")), 1)

    def test_an_event_too_large_for_a_frame(self):
        device = self.pair()
        self.register(device)
        connection = self.connect(device)
        stream = self.follow(connection)
        large = json.dumps("x" * 600000)
        self.execute(device, input=large, max_payload_bytes=1 << 20, expires_in_ms=60000)
        event = stream.next()
        self.assertEqual((event["seq"], event["oversize"], "data" in event), (1, True, False))
        cursor = messages.Cursor(seq=1, event_id=event["id"])
        fetched = self.gw.connect(device).node.FetchEvent(device_id=device.device_id, cursor=cursor).event
        self.assertEqual((fetched.id, json.loads(fetched.data)["input"]), (event["id"], large))

    def test_the_newest_stream_wins(self):
        """Over both transports; the same process moving between them is nobody's clone."""
        device, instance = self.pair(), ulid()
        node = self.register(device)
        node.instance_id = instance
        first = self.connect(device)
        self.follow(first, instance=instance)
        second = self.connect(device)
        self.follow(second, instance=instance)
        self.assertEqual((first.closed()["code"], first.closed()["by_peer"]), (quicclient.SUPERSEDED, True))
        node.stream()
        node.events.until(lambda m: m.WhichOneof("kind") == "ready")
        self.assertEqual(second.closed()["code"], quicclient.SUPERSEDED)
        self.assertEqual(self.gw.admin.GetDevice(device=device.device_id).node.transport, "grpc")
        third = self.connect(device)
        self.follow(third, instance=instance)
        self.assertRpcError(wire.ABORTED, "in_use", lambda: node.events)
        self.assertEqual(self.gw.admin.GetDevice(device=device.device_id).node.transport, "quic")
        self.assertTrue(third.health()["ok"])

    def test_a_cloned_identity(self):
        device, clone, real = self.pair(), ulid(), ulid()
        one = self.connect(device)
        self.follow(one, instance=real)
        two = self.connect(device)
        self.follow(two, instance=clone)  # a new process: may be a restart
        self.assertEqual(one.closed()["code"], quicclient.SUPERSEDED)
        three = self.connect(device)
        three.open(request("node.stream_events", resume_from=0, resume_id="", instance_id=real))
        self.assertEqual([c.closed()["code"] for c in (two, three)], [quicclient.SUSPENDED] * 2)
        rows = self.journal("device.suspended", device.device_id)
        self.assertEqual([row.actor for row in rows], ["gateway"])
        self.assertIn(real, rows[0].detail)
        self.assertEqual(self.client.connect(self.gw, device).closed()["ending"], "by_alert")
        self.gw.admin.ResumeDevice(device=device.device_id)
        self.follow(self.connect(device), instance=real)

    def test_connections_of_one_device_are_limited(self):
        """The oldest goes, so that a device that lost its network need not wait."""
        device = self.pair()
        connections = [self.connect(device) for _ in range(9)]
        self.assertEqual(connections[0].closed()["code"], quicclient.LIMIT)
        for connection in connections[1:]:
            self.assertTrue(connection.health()["ok"])


class Ends(QuicTestCase):
    """What ends a connection, each with its code (PROTOCOL 4.4, 5)."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()

    def assertNotAdmitted(self, device):
        closed = self.client.connect(self.gw, device).closed()
        self.assertEqual((closed["ending"], closed["code"]), ("by_alert", 44), closed)

    def test_revoked(self):
        """Must show 6: within 50 ms of the answer, and the next handshake fails with the revoked alert."""
        device = self.pair()
        connections = [self.connect(device) for _ in range(2)]
        self.follow(connections[0])
        dry = self.gw.admin.RevokeDevice(device=device.device_id, dry_run=True)
        self.assertEqual(dry.connections_closed, 2)
        self.assertTrue(connections[1].health()["ok"])
        began = time.monotonic()
        answer = self.gw.admin.RevokeDevice(device=device.device_id)
        self.assertEqual(answer.connections_closed, 2)
        closed = [c.closed() for c in connections]
        self.assertEqual([(c["ending"], c["code"]) for c in closed], [("by_peer", quicclient.REVOKED)] * 2)
        last = max(c["us"] for c in closed) / 1e6 - began
        print(f"# the last connection was closed {last * 1000:.1f} ms after the request; the answer said {answer.duration_ms} ms")
        self.assertLess(last, 0.05 if not twinlatch.SANITIZED else 0.5)
        self.assertNotAdmitted(device)
        rows = twinlatch.until(lambda: self.journal("connection.refused", actor=f"device:{device.device_id}"), "the refusal's row")
        self.assertEqual(json.loads(rows[0].detail)["reason"], "not_admitted")

    def test_suspended_and_resumed(self):
        device = self.pair()
        connection = self.connect(device)
        self.follow(connection)
        self.assertEqual(self.gw.admin.SuspendDevice(device=device.device_id).connections_closed, 1)
        self.assertEqual(connection.closed()["code"], quicclient.SUSPENDED)
        self.assertNotAdmitted(device)
        self.gw.admin.ResumeDevice(device=device.device_id)
        self.assertTrue(self.connect(device).health()["ok"])

    def test_removed(self):
        device = self.pair()
        connection = self.connect(device)
        self.follow(connection)
        self.gw.admin.RemoveDevice(device=device.device_id)
        self.assertEqual(connection.closed()["code"], quicclient.REVOKED)
        self.assertNotAdmitted(device)

    def test_another_role(self):
        device = self.pair()
        connection = self.connect(device)
        self.follow(connection)
        self.gw.admin.SetDeviceRole(device=device.device_id, role=messages.enum("Role", "ROLE_OPERATOR"))
        self.assertEqual(connection.closed()["code"], quicclient.GOING_AWAY)
        self.assertTrue(self.connect(device).health()["ok"])

    def test_used_over_quic_first(self):
        """A certificate's first use is recorded, whatever the transport."""
        device = self.pair()
        certificate = lambda: self.gw.admin.GetDevice(device=device.device_id).device.certificates[0]
        self.assertFalse(certificate().used)
        self.connect(device)
        twinlatch.until(lambda: certificate().used, "the certificate's first use")


class Restarts(QuicTestCase):
    def test_going_away_and_lost_state(self):
        self.gw = self.gateway()
        device, instance = self.pair(), ulid()
        connection = self.connect(device)
        self.follow(connection, instance=instance)
        self.gw.restart()
        self.assertEqual((connection.closed()["ending"], connection.closed()["code"]), ("by_peer", quicclient.GOING_AWAY))
        connection = self.connect(device)
        self.follow(connection, instance=instance)
        self.gw.restart(kill=True)
        connection.open(request("node.health"))
        self.assertEqual(connection.closed()["ending"], "reset")  # the secret outlived it
        self.assertTrue(self.connect(device).health()["ok"])
        status = self.gw.admin.GetStatus()
        self.assertEqual((list(status.quic_listeners), status.quic_accepted, status.quic_connections), ([self.gw.address], 1, 1))
        self.assertGreaterEqual(status.quic_resets, 1)

    def test_a_certificate_that_ends(self):
        self.gw = self.gateway("ending")
        device = self.pair()
        self.gw.stop()
        end = int(time.time() * 1000) + 3000
        self.gw.edit_database(("UPDATE certificates SET not_after = ?", end))
        self.gw.start()
        connection = self.connect(device)
        self.follow(connection)
        self.assertEqual(connection.closed()["code"], quicclient.CERTIFICATE_ENDED)
        self.assertLess(abs(time.time() - end / 1000 - 0.5), 1.5)

    def test_limits_of_the_gateway(self):
        self.gw = self.gateway("limited", quic={"connections": 2})
        devices = [self.pair() for _ in range(3)]
        first, second = self.connect(devices[0]), self.connect(devices[1])
        closed = self.client.connect(self.gw, devices[2]).closed()
        self.assertEqual(closed["by_peer"], True, closed)
        self.assertTrue(first.health()["ok"] and second.health()["ok"])
        self.assertGreaterEqual(self.gw.admin.GetStatus().quic_over_limit, 1)
        text = twinlatch.Cli(self.gw.environment).run("status").stdout
        self.assertRegex(text, r"QUIC connections\s+2, 0 handshakes under way; 2 accepted")

    def test_switched_off(self):
        self.gw = self.gateway("without", gateway={"listen-quic": "none"})
        self.assertEqual(self.gw.ready["quic"], [])
        device = self.pair()
        node = self.register(device)
        node.stream()
        self.gw.wait_node(device.device_id)
        self.assertEqual(self.gw.admin.RevokeDevice(device=device.device_id).connections_closed, 1)
        self.assertRegex(twinlatch.Cli(self.gw.environment).run("status").stdout, r"QUIC\s+switched off")

    def test_a_port_that_is_taken(self):
        gateway = self.gateway("taken", start=False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", gateway.port))
            process = gateway.launch()
            self.assertEqual(process.wait(), twinlatch.EXIT_STATE)
        self.assertRegex(process.text, rf"QUIC on 127\.0\.0\.1:{gateway.port} \(UDP\): ")

    def test_addresses(self):
        self.gw = self.gateway("many", gateway={"listen-quic": "localhost:0;[::1]:0"})
        device = self.pair()
        self.assertGreaterEqual(len(self.gw.ready["quic"]), 2)
        for address in self.gw.ready["quic"]:
            self.assertTrue(self.client.connect(self.gw, device, address).opened().health()["ok"])


if __name__ == "__main__":
    unittest.main()
