# SPDX-License-Identifier: Apache-2.0
"""Drives tests/helpers/quic-client: a QUIC client of the gateway that sends what it is told, with the certificate of a device."""
import base64
import itertools
import json
import queue
import subprocess
import threading
import time

import twinlatch
from cryptography import x509
from cryptography.hazmat.primitives import serialization

GOING_AWAY, REVOKED, SUPERSEDED, LIMIT, CERTIFICATE_ENDED, CERTIFICATE_SUPERSEDED, SUSPENDED = range(0x100, 0x107)
STREAM_REFUSED = 0x10c


def request(method, **members):
    return dict(protocol_version=1, method=method, **members)


def result(message, **changes):
    """Members of node.submit_result from what pynode signs for gRPC."""
    def text(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    receipt = message.receipt
    members = dict(
        request_id=message.request_id, success=message.success, output=message.output, error=message.error,
        output_sha256=text(message.output_sha256), result_signature=text(message.result_signature),
        receipt=dict(alg=receipt.alg, decision=receipt.decision, by=receipt.by, time_unix_ms=receipt.time_unix_ms,
                     requested_by=receipt.requested_by, expires_at_unix_ms=receipt.expires_at_unix_ms,
                     input_sha256=text(receipt.input_sha256), signature=text(receipt.signature)))
    return dict(members, **changes)


class Ended(AssertionError):
    """The stream or connection ended before what was waited for came."""

    def __init__(self, event):
        super().__init__(f"it ended: {event}")
        self.event = event


class QuicStream:
    def __init__(self, connection, name):
        self.connection, self.name, self.events, self.over = connection, name, queue.Queue(), None

    def next(self, timeout=None):
        """The next frame, as JSON; Ended when there is none any more."""
        if self.over is not None:
            raise Ended(self.over)
        event = self.connection.client.wait(self.events, f"a frame on {self.name}", timeout)
        if event["event"] != "frame":
            self.over = event
            raise Ended(event)
        return json.loads(event["frame"])

    def until(self, condition, timeout=None):
        while True:
            answer = self.next(timeout)
            if condition(answer):
                return answer

    def closed(self, timeout=None):
        """The code it ended with."""
        while self.over is None:
            try:
                self.next(timeout)
            except Ended:
                pass
        return self.over["code"]

    def send(self, frame, more=False):
        self.connection.client.tell(op="send", stream=self.name, frame=frame, more=more)

    def finish(self):
        self.connection.client.tell(op="finish", stream=self.name)

    def reset(self, code=0x108):
        self.connection.client.tell(op="reset", stream=self.name, code=code)


class QuicConnection:
    def __init__(self, client, name):
        self.client, self.name, self.events, self.over = client, name, queue.Queue(), None

    def expect(self, what, timeout=None):
        event = self.over or self.client.wait(self.events, f"{what} of connection {self.name}", timeout)
        if event["event"] == "closed":
            self.over = event
        if event["event"] != what:
            raise Ended(event)
        return event

    def opened(self, timeout=None):
        self.expect("opened", timeout)
        return self

    def closed(self, timeout=None):
        """{ending, code, by_peer, reason, error, us}; whatever came before it does not matter."""
        while self.over is None:
            try:
                self.expect("closed", timeout)
            except Ended:
                pass
        return self.over

    def info(self):
        self.tell("info")
        return self.expect("info")

    def tell(self, op, **members):
        self.client.tell(op=op, connection=self.name, **members)

    def open(self, frame, more=False):
        """A stream with this first frame: a dict, or text as it is."""
        name = f"s{next(self.client.numbers)}"
        stream = QuicStream(self, name)
        self.client.streams[name] = stream
        self.tell("open", stream=name, frame=frame if isinstance(frame, str) else json.dumps(frame), more=more)
        return stream

    def ask(self, method, timeout=None, **members):
        return self.open(request(method, **members)).next(timeout)

    def health(self, timeout=None):
        return self.ask("node.health", timeout)

    def close(self, code=0):
        self.tell("close", code=code)


class QuicClient:
    """One process; as many connections and identities as one likes. inside: as twinlatch.Gateway's."""

    def __init__(self, sandbox, environment=None, inside=()):
        self.folder = sandbox.root / f"quic-client.{id(self)}"
        self.folder.mkdir(mode=0o700)
        self.process = subprocess.Popen([*inside, str(twinlatch.BUILD / "tests/helpers/quic-client")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=dict(sandbox.environment, **(environment or {})))
        self.numbers, self.connections, self.streams, self.failures = itertools.count(1), {}, {}, queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            target = self.streams.get(event.get("stream")) or self.connections.get(event.get("connection"))
            if event["event"] == "failed":
                self.failures.put(event)
            elif event["event"] != "finished" and target is not None:
                target.events.put(event)

    def wait(self, events, what, timeout=None):
        end = time.monotonic() + (timeout or twinlatch.PATIENCE)
        while True:
            try:
                return events.get(timeout=0.2)
            except queue.Empty:
                if self.process.poll() is not None:
                    raise AssertionError(f"quic-client ended with {self.process.returncode}") from None
                if not self.failures.empty():
                    raise AssertionError(f"quic-client: {self.failures.get()}") from None
                if time.monotonic() > end:
                    raise AssertionError(f"waited in vain for {what}") from None

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def identity(self, device, pin=None):
        """A prover.Device, paired."""
        name = f"i{next(self.numbers)}"
        files = {"certificate": device.chain_pem, "key": device.key_pem, "ca": b"".join(
            x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM) for der in device.ca_bundle)}
        for what, pem in files.items():
            (self.folder / f"{name}.{what}").write_bytes(pem)
        paths = {what: str(self.folder / f"{name}.{what}") for what in files}
        self.tell(op="identity", id=name, **paths, **({"pin": pin} if pin else {}))
        return name

    def connect(self, gateway, device, address=None):
        """device: a prover.Device, or what identity() gave. Does not wait: .opened() does."""
        identity = device if isinstance(device, str) else self.identity(device)
        name = f"c{next(self.numbers)}"
        self.connections[name] = QuicConnection(self, name)
        self.tell(op="connect", connection=name, identity=identity, address=address or gateway.address)
        return self.connections[name]

    def stop(self):
        self.process.stdin.close()
        code = self.process.wait(twinlatch.PATIENCE)
        self.reader.join(twinlatch.PATIENCE)
        self.process.stdout.close()
        if code != 0:
            raise AssertionError(f"quic-client ended with {code}")
