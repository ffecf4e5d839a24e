# SPDX-License-Identifier: Apache-2.0
"""quic-go, an independent QUIC, as a client of our gateway or a server for our nodes (go/quic): built once, spoken to in JSON lines."""
import itertools
import json
import os
import pathlib
import queue
import subprocess
import tempfile
import threading
import time

from cryptography.hazmat.primitives.asymmetric import ec

import mitm
import twinlatch

GO = "/usr/lib/go-1.19/bin/go"
SOURCE = pathlib.Path(__file__).parent / "go" / "quic"
QUIC_V1, QUIC_V2 = 1, 0x709a50c4  # quic-go 0.29 has a draft's number for version 2

# What CONNECTION_CLOSE says (RFC 9000, 20.1: 0x100 + alert; PROTOCOL 5).
REVOKED, EXPIRED, UNKNOWN_CA, BAD_CERTIFICATE, CERTIFICATE_REQUIRED, NO_ALPN = 0x12c, 0x12d, 0x130, 0x12a, 0x174, 0x178
CLOSE_GOING_AWAY, CLOSE_REVOKED, CLOSE_SUPERSEDED, CLOSE_LIMIT, CLOSE_CERTIFICATE_ENDED, CLOSE_CERTIFICATE_SUPERSEDED, \
    CLOSE_SUSPENDED = range(0x100, 0x107)
STREAM_FRAME_TOO_LARGE, STREAM_MALFORMED, STREAM_TOO_SLOW = 0x109, 0x10a, 0x10b


def build(folder):
    """The program; go's own cache, in the build folder, makes the second time quick."""
    program = pathlib.Path(folder) / "go-quic"
    environment = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="", GOROOT="/usr/lib/go-1.19",
                       GOCACHE=str(twinlatch.BUILD.resolve() / "go-cache"), HOME=str(folder), CGO_ENABLED="0")
    done = subprocess.run([GO, "build", "-o", str(program), "."], cwd=SOURCE, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError("go build failed:\n" + done.stdout + done.stderr)
    return program


class Peer:
    """One run of it. What it prints is kept in `said`, and waited for in order."""

    def __init__(self, program, side, **flags):
        arguments = [f"-{name.replace('_', '-')}={str(value).lower() if isinstance(value, bool) else value}"
                     for name, value in flags.items()]
        self.process = subprocess.Popen([str(program), side, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.lines, self.said, self.errors, self.numbers = queue.Queue(), [], [], itertools.count(1)
        self.threads = [threading.Thread(target=self._read, daemon=True),
                        threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True)]
        for thread in self.threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def wait(self, what=None, timeout=twinlatch.PATIENCE, **members):
        """The next thing of this kind (any, without one) with these members; everything before it stays in `said`."""
        end = time.monotonic() + timeout
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"waited {timeout} s for {what} {members}; got {self.said[-20:]}") from None
            if line is None:
                self.process.wait(timeout)
                raise AssertionError(f"it ended before {what} {members}: {self.said[-20:]} {''.join(self.errors)}")
            self.said.append(line)
            if what in (None, line["what"]) and all(line.get(k) == v for k, v in members.items()):
                return line

    def has_said(self, what):
        return [line for line in self.said if line["what"] == what]

    def tell(self, do, **members):
        self.process.stdin.write(json.dumps(dict(do=do, **members)) + "\n")
        self.process.stdin.flush()

    def close(self):
        """Ends it; a client closes its connection in good order, and what is still said can be read in `said`."""
        if not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        self.process.wait(twinlatch.PATIENCE)
        for thread in self.threads:
            thread.join(twinlatch.PATIENCE)
        while not self.lines.empty():
            line = self.lines.get()
            if line is not None:
                self.said.append(line)
        self.process.stdout.close()
        self.process.stderr.close()

    __enter__ = lambda self: self

    def __exit__(self, *_):
        self.close()

    # A client's.

    def send(self, frame=None, open=False, id=None, hex=""):
        """A request on a stream of its own (or more of an open one); returns the stream's name."""
        id = id or f"s{next(self.numbers)}"
        self.tell("send", id=id, frame=frame, open=open, hex=hex)
        return id

    def request(self, method, **members):
        """The one answer of a request."""
        id = self.send(dict(protocol_version=1, method=method, **members))
        answer = self.wait("answer", id=id)["answer"]
        self.wait("ended", id=id, kind="finished")
        return answer

    def answer(self, id, **members):
        """The next answer on a stream; for members, the next one that has them."""
        while True:
            answer = self.wait("answer", id=id)["answer"]
            if all(answer.get(k) == v for k, v in members.items()):
                return answer


def client(program, gateway, folder, device=None, chain_pem=None, key_pem=None, **flags):
    """Towards a gateway (twinlatch.Gateway) with a device's certificate, or with others, or with none."""
    chain_pem, key_pem = (chain_pem, key_pem) if device is None else (device.chain_pem, device.key_pem)
    folder = pathlib.Path(tempfile.mkdtemp(dir=folder))  # the files are read while others start
    ca = folder / "ca.pem"
    ca.write_bytes(gateway.ca_pem)
    if chain_pem is not None:
        flags["certificate"] = folder / "certificate.pem"
        flags["certificate"].write_bytes(chain_pem + key_pem)
    return Peer(program, "client", **dict(dict(address=gateway.address, ca=ca,
                                               name=gateway.gateway_id.lower() + ".gateway.twinlatch.internal"), **flags))


def server(program, authority, folder, **flags):
    """A gateway in Go with the certificates of `authority` (mitm.Authority)."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
    key = ec.generate_private_key(ec.SECP256R1())
    ca, certificate = folder / "ca.pem", folder / "certificate.pem"
    ca.write_bytes(mitm.pem(authority.certificate))
    certificate.write_bytes(mitm.pem(authority.server(key)) + mitm.pem(authority.certificate) + mitm.key_pem(key))
    peer = Peer(program, "server", **dict(dict(ca=ca, certificate=certificate, gateway_id=authority.gateway_id), **flags))
    peer.address, peer.ca = peer.wait("listening")["address"], ca
    return peer
