# SPDX-License-Identifier: Apache-2.0
"""What can sit between a device and the gateway: a byte relay, and a proxy that terminates TLS, records and rewrites."""
import calendar
import concurrent.futures
import datetime
import ipaddress
import socket
import threading

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import wire


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """A CA of our own that imitates a gateway's (PROTOCOL 1 profiles), or signs with a key taken from a gateway's secret store."""

    def __init__(self, gateway_id, key=None, certificate=None):
        self.gateway_id = gateway_id
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.certificate = certificate or self._self_signed()

    def _self_signed(self):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Twinlatch CA {self.gateway_id} G1")])
        now = datetime.datetime.utcnow()
        return (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=10))
                .not_valid_after(now + datetime.timedelta(days=3652))
                .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
                .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
                .sign(self.key, hashes.SHA256()))

    def issue(self, public_key, common_name, names, usage, start=None, end=None):
        now = datetime.datetime.utcnow()
        return (x509.CertificateBuilder()
                .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
                .issuer_name(self.certificate.subject).public_key(public_key).serial_number(x509.random_serial_number())
                .not_valid_before(start or now - datetime.timedelta(minutes=10))
                .not_valid_after(end or now + datetime.timedelta(days=1))
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
                .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
                .add_extension(x509.SubjectAlternativeName(names), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                    self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value), critical=False)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
                .sign(self.key, hashes.SHA256()))

    def server(self, key):
        names = [x509.DNSName(self.gateway_id.lower() + ".gateway.twinlatch.internal"),
                 x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self.issue(key.public_key(), "gateway", names, ExtendedKeyUsageOID.SERVER_AUTH)

    def device(self, public_key, device_id, **validity):
        names = [x509.UniformResourceIdentifier(f"twinlatch:device:{self.gateway_id}:{device_id}")]
        return self.issue(public_key, device_id, names, ExtendedKeyUsageOID.CLIENT_AUTH, **validity)


def gateways_authority(gateway):
    """The CA of a twinlatch.Gateway, with the key from its secret store."""
    key = serialization.load_der_private_key(gateway.secret("ca-key-g1"), None)
    certificate = x509.load_der_x509_certificate(gateway.admin.GetCaBundle().certificates[0].certificate_der)
    return Authority(gateway.gateway_id, key, certificate)


def record(gateway, device_id, *certificates, with_times=False):
    """Writes certificates into the store of a gateway, as if it had issued them; without their own times the store's are those of
    a good one, so that it is the certificate that decides. Restarts the gateway."""
    gateway.stop()
    statements = []
    for certificate in certificates:
        fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
        times = [calendar.timegm(t.timetuple()) * 1000 for t in (certificate.not_valid_before, certificate.not_valid_after)]
        statements.append((
            "INSERT INTO certificates (fingerprint, device_id, serial, tls_key_fingerprint, not_before, not_after, ca_generation, used,"
            " revoked, request_id) SELECT ?, device_id, ?, ?, iif(?, ?, not_before), iif(?, ?, not_after), ca_generation, 1, 0, NULL"
            " FROM certificates WHERE device_id = ? LIMIT 1", fingerprint, f"{certificate.serial_number:x}", fingerprint,
            with_times, times[0], with_times, times[1], device_id))
    gateway.edit_database(*statements)
    gateway.start()


class TlsProxy(grpc.GenericRpcHandler):
    """Terminates TLS with a certificate of its own, speaks to the gateway as a stranger, hands every message to rewrite()."""

    STREAMS = {"/twinlatch.v1.PairingService/WatchPairing"}

    def __init__(self, gateway, chain_pem, private_key_pem, rewrite=None):
        self.upstream = gateway.connect()
        self.rewrite = rewrite or (lambda method, direction, message: message)
        self.record, self.lock = [], threading.Lock()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), handlers=[self],
                                  options=[("grpc.so_reuseport", 0)])
        credentials = grpc.ssl_server_credentials([(private_key_pem, chain_pem)])
        self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()

    @classmethod
    def imitating(cls, gateway, rewrite=None):
        """An attacker: a CA and a leaf that look like the gateway's, but are his."""
        authority, key = Authority(gateway.gateway_id), ec.generate_private_key(ec.SECP256R1())
        leaf = authority.server(key)
        proxy = cls(gateway, pem(leaf) + pem(authority.certificate), key_pem(key), rewrite)
        proxy.authority, proxy.leaf = authority, leaf
        return proxy

    def _note(self, method, direction, message):
        with self.lock:
            self.record.append((method, direction, message))

    @property
    def bytes_seen(self):
        with self.lock:
            return b"\n".join(m for _, _, m in self.record)

    def service(self, details):
        method = details.method

        def request_of(message):
            self._note(method, "up", message)
            return self.rewrite(method, "up", message)

        def answer_of(message):
            self._note(method, "down", message)
            return self.rewrite(method, "down", message)

        def fail(context, error):
            for key, value in error.trailing_metadata() or ():
                if key == "twinlatch-reason":
                    context.set_trailing_metadata(((key, value),))
            context.abort(error.code(), error.details())

        def unary(message, context):
            try:
                return answer_of(self.upstream.channel.unary_unary(method)(request_of(message), timeout=20))
            except grpc.RpcError as error:
                fail(context, error)

        def stream(message, context):
            try:
                for answer in self.upstream.channel.unary_stream(method)(request_of(message), timeout=60):
                    yield answer_of(answer)
            except grpc.RpcError as error:
                fail(context, error)

        if method in self.STREAMS:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)

    def stop(self):
        self.server.stop(0).wait()


class Relay:
    """Passes bytes on from a chosen loopback address, so that one machine is many sources. TLS goes through untouched."""

    def __init__(self, port, source):
        self.target, self.source = ("127.0.0.1", port), source
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, source_address=(self.source, 0))
            except OSError:
                client.close()
                continue
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    @staticmethod
    def _pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        self.listener.close()
