# SPDX-License-Identifier: Apache-2.0
"""Who gets in (PROTOCOL 1 admission, 4; issue 2, Must show 4): refused in the handshake means that no byte of HTTP/2 arrives."""
import datetime
import socket
import ssl
import tempfile
import threading
import unittest

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

import mitm
import prover
import twinlatch
import wire
from prover import Device
from pynode import PythonNode
from wire import messages

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def tls_context(chain_pem=None, key_pem=None, tls12=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if tls12:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if chain_pem:
        with tempfile.NamedTemporaryFile() as file:
            file.write(chain_pem + key_pem)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def bytes_over(gateway, context, session=None):
    """(bytes, session, resumed): what the gateway sends above TLS; no bytes when it ends the connection."""
    try:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=15) as raw, \
                context.wrap_socket(raw, session=session) as tls:
            tls.sendall(PREFACE)
            return tls.recv(65536), tls.session, tls.session_reused
    except (ssl.SSLError, ConnectionError):
        return b"", None, False


def bytes_after_handshake(gateway, chain_pem=None, key_pem=None, tls12=False):
    return bytes_over(gateway, tls_context(chain_pem, key_pem, tls12))[0]


class Admission(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.device = cls.gw.pair_device("admitted")
        cls.real_ca = mitm.gateways_authority(cls.gw)

    def assertAdmitted(self, chain_pem, key_pem):
        self.assertTrue(bytes_after_handshake(self.gw, chain_pem, key_pem), "this certificate should have been admitted")

    def assertRefusedInHandshake(self, chain_pem, key_pem):
        for tls12 in (False, True):
            self.assertEqual(bytes_after_handshake(self.gw, chain_pem, key_pem, tls12), b"")
        connection = wire.connect_tls(self.gw.address, self.gw.ca_pem, self.gw.gateway_id, chain_pem, key_pem)
        with connection, self.assertRaises(wire.RpcError) as caught:
            connection.health.Check()
        self.assertEqual(caught.exception.status, wire.UNAVAILABLE)

    def test_an_active_recorded_certificate_is_admitted(self):
        self.assertAdmitted(self.device.chain_pem, self.device.key_pem)
        self.assertEqual(self.gw.connect(self.device).node.GetGatewayInfo().gateway_id, self.gw.gateway_id)

    def test_no_certificate_gets_http2(self):
        self.assertTrue(bytes_after_handshake(self.gw))

    def test_revoked(self):
        device = self.gw.pair_device("to be revoked")
        self.assertAdmitted(device.chain_pem, device.key_pem)
        node = PythonNode(self.gw, device)
        node.open()
        answer = self.gw.admin.RevokeDevice(device=device.device_id)
        self.assertEqual((answer.certificates, answer.already), (1, False))
        self.assertGreaterEqual(answer.calls_cancelled, 1)
        with self.assertRaises(wire.RpcError):
            list(node.events)
        self.assertRefusedInHandshake(device.chain_pem, device.key_pem)
        self.gw.restart()
        self.assertRefusedInHandshake(device.chain_pem, device.key_pem)
        self.assertTrue(self.gw.admin.RevokeDevice(device=device.device_id).already)

    def test_resumption_admits_nobody(self):
        """gRPC core cannot switch resumption off: the verifier has to see resumed handshakes too (PROTOCOL 1)."""
        for tls12 in (False, True):
            device = self.gw.pair_device(f"resumes {tls12}")
            context = tls_context(device.chain_pem, device.key_pem, tls12)
            data, session, _ = bytes_over(self.gw, context)
            self.assertTrue(data)
            self.assertIsNotNone(session)
            data, again, resumed = bytes_over(self.gw, context, session)
            self.assertTrue(data)
            self.assertTrue(resumed, "if this server does not resume any more, this test can go")
            self.gw.admin.RevokeDevice(device=device.device_id)
            for ticket in (session, again):
                self.assertEqual(bytes_over(self.gw, context, ticket)[0], b"")

    def test_foreign_ca(self):
        foreign = mitm.Authority(self.gw.gateway_id)
        leaf = foreign.device(self.device.tls_key.public_key(), self.device.device_id)
        self.assertRefusedInHandshake(mitm.pem(leaf), self.device.key_pem)
        self.assertRefusedInHandshake(mitm.pem(leaf) + mitm.pem(foreign.certificate), self.device.key_pem)
        mitm.record(self.gw, self.device.device_id, leaf)
        self.assertRefusedInHandshake(mitm.pem(leaf), self.device.key_pem)

    def test_self_signed(self):
        foreign = mitm.Authority(self.gw.gateway_id, key=self.device.tls_key)
        self.assertRefusedInHandshake(mitm.pem(foreign.certificate), self.device.key_pem)

    def test_expired(self):
        now = datetime.datetime.utcnow()
        leaf = self.real_ca.device(self.device.tls_key.public_key(), self.device.device_id,
                                   start=now - datetime.timedelta(days=2), end=now - datetime.timedelta(minutes=1))
        mitm.record(self.gw, self.device.device_id, leaf)
        self.assertRefusedInHandshake(mitm.pem(leaf), self.device.key_pem)

    def test_not_yet_valid(self):
        now = datetime.datetime.utcnow()
        leaf = self.real_ca.device(self.device.tls_key.public_key(), self.device.device_id,
                                   start=now + datetime.timedelta(hours=1), end=now + datetime.timedelta(days=1))
        mitm.record(self.gw, self.device.device_id, leaf)
        self.assertRefusedInHandshake(mitm.pem(leaf), self.device.key_pem)

    def test_unrecorded(self):
        """Signed by our own CA, right names, right usage: and nothing, because no device has it."""
        leaf = self.real_ca.device(self.device.tls_key.public_key(), self.device.device_id)
        self.assertRefusedInHandshake(mitm.pem(leaf), self.device.key_pem)
        mitm.record(self.gw, self.device.device_id, leaf)
        self.assertAdmitted(mitm.pem(leaf), self.device.key_pem)

    def test_names_and_usage(self):
        key = ec.generate_private_key(ec.SECP256R1())
        uri = [x509.UniformResourceIdentifier(f"twinlatch:device:{self.gw.gateway_id}:{self.device.device_id}")]
        other_gateway = [x509.UniformResourceIdentifier(f"twinlatch:device:{prover.ulid()}:{self.device.device_id}")]
        for names, usage in ((uri, ExtendedKeyUsageOID.SERVER_AUTH), (other_gateway, ExtendedKeyUsageOID.CLIENT_AUTH)):
            leaf = self.real_ca.issue(key.public_key(), self.device.device_id, names, usage)
            mitm.record(self.gw, self.device.device_id, leaf)
            self.assertRefusedInHandshake(mitm.pem(leaf), mitm.key_pem(key))
        leaf = self.real_ca.issue(key.public_key(), self.device.device_id, uri, ExtendedKeyUsageOID.CLIENT_AUTH)
        mitm.record(self.gw, self.device.device_id, leaf)
        self.assertAdmitted(mitm.pem(leaf), mitm.key_pem(key))

    def test_the_gateways_own_server_certificate_is_no_device(self):
        self.assertRefusedInHandshake(*self.gw.server_pems())


class Methods(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.device, cls.other = cls.gw.pair_device("one"), cls.gw.pair_device("two")

    def call(self, connection, service, method):
        """Calls a method with an empty message; returns the status (0 when it went well)."""
        proto = messages.service(service)
        request = messages.factory.GetPrototype(proto.methods_by_name[method].input_type)()
        stub = wire.Service(connection.channel, service)
        try:
            answer = getattr(stub, method)(iter([request]) if method == "StreamEvents" else request, timeout=10)
            if isinstance(answer, wire.Stream):
                next(answer)
                answer.cancel()
            return wire.OK
        except wire.RpcError as error:
            return error.status
        except StopIteration:
            return wire.OK

    def test_no_certificate_reaches_only_pairing_and_health(self):
        connection = self.gw.connect()
        for service in ("twinlatch.v1.NodeService", "twinlatch.v1.AdminService"):
            for method in messages.service(service).methods_by_name:
                with self.subTest(f"{service}/{method}"):
                    self.assertEqual(self.call(connection, service, method), wire.UNAUTHENTICATED)
        self.assertEqual(self.call(connection, "grpc.health.v1.Health", "Watch"), wire.UNAUTHENTICATED)
        self.assertEqual(self.call(connection, "grpc.health.v1.Health", "Check"), wire.OK)
        for method in messages.service("twinlatch.v1.PairingService").methods_by_name:
            with self.subTest(method):
                self.assertIn(self.call(connection, "twinlatch.v1.PairingService", method),
                              (wire.INVALID_ARGUMENT, wire.FAILED_PRECONDITION, wire.NOT_FOUND))

    def test_a_node_is_no_operator(self):
        connection = self.gw.connect(self.device)
        for method in messages.service("twinlatch.v1.AdminService").methods_by_name:
            with self.subTest(method):
                self.assertEqual(self.call(connection, "twinlatch.v1.AdminService", method), wire.PERMISSION_DENIED)
        self.assertEqual(self.call(connection, "grpc.health.v1.Health", "Watch"), wire.OK)

    def test_an_unknown_method_is_unimplemented(self):
        for connection in (self.gw.connect(), self.gw.connect(self.device), self.gw.admin_connection):
            with self.assertRaises(grpc.RpcError) as caught:
                connection.channel.unary_unary("/twinlatch.v1.NodeService/Nothing")(b"", timeout=10)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_another_devices_id_is_denied(self):
        node, other = PythonNode(self.gw, self.device), self.other.device_id
        denied = (wire.PERMISSION_DENIED, "permission_denied")
        self.assertRpcError(*denied, node.register, device_id=other)
        self.assertRpcError(*denied, lambda: list(node.stream(device_id=other)))
        self.assertRpcError(*denied, node.node.SubmitCapabilityResult, device_id=other, request_id=prover.ulid())
        self.assertRpcError(*denied, node.node.FetchEvent, device_id=other)
        self.assertRpcError(*denied, node.node.Unpair, device_id=other)
        active = messages.enum("DeviceState", "DEVICE_STATE_ACTIVE")
        self.assertEqual(self.gw.admin.GetDevice(device=other).device.state, active)

    def test_a_result_counts_only_from_the_device_that_was_asked(self):
        one, two = PythonNode(self.gw, self.device), PythonNode(self.gw, self.other)
        one.open()
        two.open()
        states = []

        def execute():
            states.extend(self.gw.execute(self.device.device_id, "echo", '{"a":1}'))
        thread = threading.Thread(target=execute)
        thread.start()
        event, dispatch = one.next_dispatch()
        try:
            answer = two.submit(two.result(dispatch, '"forged"'))
            self.assertTrue(answer.unknown, "another device's result must not be taken")
        except wire.RpcError as error:
            self.assertEqual(error.status, wire.PERMISSION_DENIED)
        forged = one.result(dispatch, '"forged"')
        forged.result_signature = two.result(dispatch, '"forged"').result_signature
        with self.assertRaises(wire.RpcError) as caught:
            one.submit(forged)
        self.assertEqual(caught.exception.status, wire.INVALID_ARGUMENT)
        swapped = one.result(dispatch, '"right"')
        swapped.output = '"wrong"'
        with self.assertRaises(wire.RpcError):
            one.submit(swapped)
        answer = one.submit(one.result(dispatch, '"right"'))
        self.assertEqual((answer.duplicate, answer.unknown), (False, False))
        thread.join(twinlatch.PATIENCE)
        self.assertEqual(states[-1].output, '"right"')
        self.assertTrue(one.submit(one.result(dispatch, '"late"')).duplicate)
        nothing = dict(dispatch, request_id=prover.ulid())
        self.assertTrue(one.submit(one.result(nothing)).unknown)
        one.acknowledge(event.seq, event.id)

    def test_the_newest_stream_wins(self):
        node = PythonNode(self.gw, self.device)
        node.open()
        before = node.events
        node.stream()
        node.events.until(lambda m: m.WhichOneof("kind") == "ready")
        with self.assertRaises(wire.RpcError) as caught:
            list(before)
        self.assertEqual(caught.exception.status, wire.ABORTED)
        self.assertIn("superseded", caught.exception.message)

    def test_cursors(self):
        """PROTOCOL 4.1: beyond the last sent is an error; another log's cursor is answered with reset."""
        device = self.gw.pair_device("cursors")
        node = PythonNode(self.gw, device)
        node.open()
        node.acknowledge(99, prover.ulid())
        self.assertRpcError(wire.OUT_OF_RANGE, "out_of_range", lambda: list(node.events))
        node.stream(5, prover.ulid())
        self.assertEqual(next(node.events).WhichOneof("kind"), "reset")

    def test_the_second_certificate_ends_the_first(self):
        device = self.gw.pair_device("again")
        first = device.chain_pem
        key = device.key_pem
        self.gw.connect(device).node.GetGatewayInfo()  # used: an unused leaf would end when the next is issued
        device.tls_key = Device().tls_key
        session = self.gw.session(self.gw.mint("link"), device)
        session.start()
        session.exchange()
        session.complete()
        self.gw.approve(session.request_id, session.comparison)
        session.finish()
        self.assertTrue(bytes_after_handshake(self.gw, first, key), "the old one works until the new one was used")
        self.gw.connect(device).node.GetGatewayInfo()
        twinlatch.until(lambda: not bytes_after_handshake(self.gw, first, key), "the old certificate is refused", 10)


if __name__ == "__main__":
    unittest.main()
