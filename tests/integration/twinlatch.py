# SPDX-License-Identifier: Apache-2.0
"""The real programs in a temporary directory: Gateway, Node, Cli. Waits are for events (a line, a message), never for time."""
import base64
import contextlib
import functools
import json
import os
import pathlib
import queue
import random
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import types
import unittest

import wire
from prover import Code, Device, Session
from wire import messages

BUILD = pathlib.Path(os.environ.get("TL_BUILD_DIR", wire.SOURCE / "build"))
FULL = os.environ.get("TL_TEST_FULL") == "1"
SANITIZED = "asan" in BUILD.name
PATIENCE = 60 if SANITIZED else 30  # seconds until a wait gives up; a good run never gets near

# Most tests are one source with many sessions; tests of limits pass limits={} and get the daemon's defaults.
RELAXED = {"strangers-per-source": 1000, "strangers": 2000, "sessions-per-source": 1000, "starts-per-minute-per-source": 100000,
           "starts-per-minute": 100000}

EXIT_OK, EXIT_FAILURE, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_NOT_FOUND, EXIT_DENIED, EXIT_CODE_INVALID, EXIT_WRONG_CA, \
    EXIT_CAPABILITY, EXIT_STATE, EXIT_CONFIG, EXIT_NOT_PAIRED = range(12)

DIGITS = re.compile(r"\b(\d{3}) (\d{3})\b")


def program(name):
    for folder in ("daemon", "agent", "agent/cli"):
        if (BUILD / folder / name).is_file():
            return str(BUILD / folder / name)
    raise FileNotFoundError(f"no {name} below {BUILD}: build first (TL_BUILD_DIR)")


def free_port(host="127.0.0.1"):
    """A port below the range that outgoing connections draw from, so that a restart finds it free again."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
                return port
            except OSError:
                continue


def read_secret(path):
    """The value in a plain file of a secret store."""
    head, value = pathlib.Path(path).read_bytes().split(b"\n", 1)
    if not re.fullmatch(rb"twinlatch-secret 2 plain [0-9a-f]{64}", head):
        raise AssertionError(f"{path} is not a plain secret: {head!r}")
    return value


def page_sum(page, number):
    """The checksum that the gateway's store keeps in the last 8 bytes of a page (daemon/store/tl-page-sum.c)."""
    mask, a, b = 2**64 - 1, 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03

    def mix(lane, word):
        lane = (lane ^ word) * a & mask
        return (lane << 29 | lane >> 35) & mask

    if number == 1:  # what any SQLite writes there when it copies a database does not count
        page = page[:24] + bytes(4) + page[28:40] + bytes(4) + page[44:92] + bytes(8) + page[100:]
    lanes = [(number + lane) * b & mask for lane in range(4)]
    for i, word in enumerate(struct.unpack(f"<{len(page) // 8 - 1}Q", page[:-8])):
        lanes[i % 4] = mix(lanes[i % 4], word)
    return functools.reduce(mix, lanes, len(page))


def seal_pages(path):
    """After another program than the gateway changed its database: gives every changed page its checksum."""
    with open(path, "r+b") as file:
        head = file.read(100)
        size = int.from_bytes(head[16:18], "big")
        if head[20] != 8:
            return  # of before there were checksums
        for number in range(1, file.seek(0, os.SEEK_END) // size + 1):
            file.seek((number - 1) * size)
            page = file.read(size)
            right = struct.pack("<Q", page_sum(page, number))
            if page[-8:] != right:
                file.seek(number * size - 8)
                file.write(right)


def until(condition, what, timeout=PATIENCE, interval=0.02):
    """For state that announces itself nowhere (a file, a socket of the kernel): polls, and says what never came."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s for: {what}")
        time.sleep(interval)


class Process:
    """A program whose output lines can be waited for."""

    def __init__(self, command, environment, stdin=None):
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, errors="replace")
        self.lines, self.output, self.errors = queue.Queue(), [], []
        self.threads = [threading.Thread(target=self._read, args=(self.process.stdout, self.output), daemon=True),
                        threading.Thread(target=self._read, args=(self.process.stderr, self.errors), daemon=True)]
        for thread in self.threads:
            thread.start()
        if stdin is not None:
            self.process.stdin.write(stdin)
        self.process.stdin.close()

    def _read(self, pipe, kept):
        for line in pipe:
            kept.append(line)
            self.lines.put(line)
        pipe.close()
        self.lines.put(None)

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process.poll() is None

    @property
    def text(self):
        return "".join(self.output) + "".join(self.errors)

    def wait_line(self, pattern, timeout=PATIENCE):
        """The first line (either pipe) that matches, from where the last wait ended."""
        end, ended = time.monotonic() + timeout, 0
        while ended < 2:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"waited {timeout} s for a line like {pattern!r}; got:\n{self.text}") from None
            if line is None:
                ended += 1
            else:
                match = re.search(pattern, line)
                if match:
                    return match
        raise AssertionError(f"it ended with {self.process.wait()} before a line like {pattern!r}:\n{self.text}")

    def wait(self, timeout=PATIENCE):
        code = self.process.wait(timeout)
        for thread in self.threads:
            thread.join(timeout)
        return code

    def send(self, number):
        if self.running:
            self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, timeout=PATIENCE):
        self.send(number)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise AssertionError(f"pid {self.pid} did not end within {timeout} s of signal {number}:\n{self.text}") from None


class Sandbox:
    """A home of its own, so that nothing of the person's is read or written."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="twinlatch-test."))
        (self.root / "run").mkdir(mode=0o700)
        (self.root / "home").mkdir()
        keep = {k: v for k, v in os.environ.items() if k in ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "ASAN_OPTIONS",
                                                             "UBSAN_OPTIONS", "LSAN_OPTIONS")}
        home = self.root / "home"
        self.environment = dict(
            keep, HOME=str(home), XDG_RUNTIME_DIR=str(self.root / "run"), XDG_CONFIG_HOME=str(home / ".config"),
            XDG_STATE_HOME=str(home / ".local/state"), XDG_DATA_HOME=str(home / ".local/share"),
            XDG_CACHE_HOME=str(home / ".cache"), LC_ALL="C.UTF-8", TZ="UTC", G_DEBUG="fatal-criticals")
        # libcrypto has no frame pointers: the fast unwinder would end in it, and lsan.supp could not name what it means.
        self.environment.setdefault("ASAN_OPTIONS", "detect_leaks=1:fast_unwind_on_malloc=0")
        self.environment.setdefault("LSAN_OPTIONS", f"suppressions={wire.SOURCE / 'tests/data/lsan.supp'}:print_suppressions=0")
        self.environment.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")

    def remove(self):
        for path in [self.root, *self.root.rglob("*")]:  # tests of read-only state leave folders that cannot be emptied
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(self.root, ignore_errors=True)


class Gateway:
    """twinlatchd --user in a sandbox. inside: command that enters another network namespace (netns.Host.enter); address: what it
    advertises then."""

    def __init__(self, sandbox, name="gateway", gateway=None, limits=None, start=True, inside=(), address=None, quic=None):
        self.sandbox, self.folder = sandbox, sandbox.root / name
        self.folder.mkdir(mode=0o700)
        self.state, self.config = self.folder / "state", self.folder / "twinlatchd.conf"
        self.inside = list(inside)
        self.address = address or f"127.0.0.1:{free_port()}"
        self.port = int(self.address.rsplit(":", 1)[1])
        self.runtime = self.folder / "run"
        self.runtime.mkdir(mode=0o700)
        self.environment = dict(sandbox.environment, XDG_RUNTIME_DIR=str(self.runtime))
        self.settings = dict(dict(name="test gateway", listen=self.address, advertise=self.address), **(gateway or {}))
        self.limits = dict(RELAXED if limits is None else limits)
        self.quic = dict(quic or {})
        self.process, self.connections, self.logs = None, [], []
        if start:
            self.start()

    def write_config(self):
        text = "[gateway]\n" + "".join(f"{k}={v}\n" for k, v in self.settings.items())
        text += "[limits]\n" + "".join(f"{k}={v}\n" for k, v in self.limits.items())
        text += "[quic]\n" + "".join(f"{k}={v}\n" for k, v in self.quic.items())
        self.config.write_text(text)

    def command(self, *more):
        return [*self.inside, program("twinlatchd"), "--user", "--state-dir", str(self.state), "--config", str(self.config), *more]

    def launch(self, environment=None):
        self.write_config()
        return Process(self.command("--print-ready"), dict(self.environment, **(environment or {})))

    def start(self, environment=None):
        self.process = self.launch(environment)
        self.ready = json.loads(self.process.wait_line(r'^(\{"ready".*\})\s*$').group(1))
        self.gateway_id, self.socket = self.ready["gateway_id"], self.ready["admin_socket"]
        self.environment["TWINLATCH_ADMIN_SOCKET"] = self.socket
        self.refresh()
        return self

    def refresh(self):
        """A new connection to the admin socket. The gateway ends those that do not answer its pings, and gRPC's Python does so only
        while a call is under way: for after a long silence."""
        self.admin_connection = self.keep(wire.connect_local(self.socket))
        self.admin = self.admin_connection.admin

    def keep(self, connection):
        self.connections.append(connection)
        return connection

    def disconnect(self):
        for connection in self.connections:
            connection.close()
        self.connections = []

    def disconnect_strangers(self):
        """Closes what was opened over TLS, so that a test of a limit starts from none."""
        for connection in self.connections:
            if connection is not self.admin_connection:
                connection.close()
        self.connections = [self.admin_connection]

    def stop(self):
        """SIGTERM; it has to end with 0 (a sanitizer report makes it something else)."""
        if self.process is None:
            return
        self.disconnect()
        running, process, self.process = self.process.running, self.process, None
        code = process.stop() if running else process.wait()
        self.logs.append(process.text)
        if code != 0:
            raise AssertionError(f"twinlatchd ended with {code}:\n{process.text[-6000:]}")

    def kill(self):
        """kill -9."""
        self.disconnect()
        process, self.process = self.process, None
        process.stop(signal.SIGKILL)
        self.logs.append(process.text)

    def restart(self, kill=False):
        self.kill() if kill else self.stop()
        return self.start()

    def secret(self, name):
        return read_secret(self.state / "secrets" / f"{name}.secret")

    def server_pems(self):
        """(chain, key) of the server certificate: what nobody but the gateway should have."""
        parts = re.findall(rb"-----BEGIN [^-]+-----.*?-----END [^-]+-----\n?", self.secret("server-leaf"), re.S)
        leaf = next(p for p in parts if b"CERTIFICATE" in p)
        return leaf + self.ca_pem, next(p for p in parts if b"PRIVATE" in p)

    def edit_database(self, *statements):
        """Ages what is stored, between stop and start: tests of times that are too long to wait for."""
        with contextlib.closing(sqlite3.connect(self.state / "twinlatch.db")) as database, database:
            answers = [database.execute(sql, values).fetchall() for sql, *values in statements]
        seal_pages(self.state / "twinlatch.db")
        return answers

    # What an operator sees.

    def mint(self, method="pin", **fields):
        answer = self.admin.MintNodePairingCode(method=messages.enum("CodeMethod", "CODE_METHOD_" + method.upper()), **fields)
        code = Code.parse(answer.secret)
        code.text, code.record = answer.secret, answer.code
        return code

    def codes(self):
        return {c.code_id: c for c in self.admin.ListPairingCodes(all=True).codes}

    def wait_request(self, condition=lambda request: True, timeout=PATIENCE):
        stream = self.admin.WatchPairingRequests(timeout=timeout)
        try:
            return stream.until(condition)
        finally:
            stream.cancel()

    def wait_pending(self, device_id=None, timeout=PATIENCE):
        pending = messages.enum("PairingState", "PAIRING_STATE_PENDING_APPROVAL")
        return self.wait_request(lambda r: r.state == pending and device_id in (None, r.device_id), timeout)

    def wait_node(self, device, connected=True, timeout=PATIENCE):
        stream = self.admin.WatchNodes(timeout=timeout)
        try:
            return stream.until(lambda n: device in (n.device_id, n.name) and n.connected == connected)
        finally:
            stream.cancel()

    def approve(self, request_id, code):
        return self.admin.DecidePairing(request_id=request_id, approve=True, code=code).request

    def execute(self, device, capability, input="{}", timeout=PATIENCE, **fields):
        """Every state of a request; the last one is terminal."""
        return list(self.admin.ExecuteCapability(device=device, capability=capability, input=input, timeout=timeout, **fields))

    # What a device sees.

    @property
    def ca_pem(self):
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding
        return b"".join(x509.load_der_x509_certificate(c.certificate_der).public_bytes(Encoding.PEM)
                        for c in self.admin.GetCaBundle().certificates)

    def server_leaf(self):
        """DER of the certificate served now."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as raw, context.wrap_socket(raw) as tls:
            return tls.getpeercert(binary_form=True)

    def leaf_sha256(self):
        import hashlib
        return hashlib.sha256(self.server_leaf()).digest()

    def connect(self, device=None, address=None):
        """A connection as a stranger, or with a device's certificate."""
        pems = (device.chain_pem, device.key_pem) if device is not None else (None, None)
        return self.keep(wire.connect_tls(address or self.address, self.ca_pem, self.gateway_id, *pems))

    def session(self, code, device=None, connection=None, leaf=None):
        return Session(connection or self.connect(), device or Device(), code, leaf or self.leaf_sha256())

    def pair_device(self, name="python device", method="link", **mint):
        """A python device, paired with approval; returns it."""
        device = Device(name)
        with self.connect() as connection:
            session = self.session(self.mint(method, **mint), device, connection)
            session.start()
            session.exchange()
            session.complete()
            self.approve(session.request_id, session.comparison)
            session.finish()
        assert device.certificate_der, "pairing did not complete"
        return device


class Cli:
    """`twinlatch` as a person at the gateway uses it. inside: as Gateway's."""

    def __init__(self, environment, inside=()):
        self.environment, self.inside = environment, list(inside)

    def start(self, *arguments, stdin=None):
        return Process([*self.inside, program("twinlatch"), *arguments], self.environment, stdin if stdin is not None else "")

    def run(self, *arguments, stdin="", expect=0, timeout=PATIENCE):
        done = subprocess.run([*self.inside, program("twinlatch"), *arguments], env=self.environment, input=stdin, capture_output=True,
                              text=True, errors="replace", timeout=timeout)
        if expect is not None and done.returncode != expect:
            raise AssertionError(f"twinlatch {' '.join(arguments)} ended with {done.returncode}, not {expect}:\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def json(self, *arguments, **options):
        return json.loads(self.run(*arguments, "--json", **options).stdout)


class Node:
    """A headless node of the real program: state folder of its own. inside: as Gateway's."""

    def __init__(self, sandbox, name, roots=None, config=None, inside=()):
        self.sandbox, self.name, self.folder = sandbox, name, sandbox.root / f"node-{name}"
        self.folder.mkdir(mode=0o700)
        self.roots, self.config = roots or {}, None
        if config is not None:
            self.config = sandbox.root / f"node-{name}.conf"
            self.config.write_text(config)
        self.cli = Cli(dict(sandbox.environment), inside)
        self.process = None

    def options(self):
        return ["--state-dir", str(self.folder)]

    def pair_start(self, secret, gateway=None, *more):
        """`twinlatch node pair`, the secret on standard input. Wait for digits() next."""
        where = ["--gateway", gateway] if gateway else []
        confirm = ["--yes"] if secret.startswith("twinlatch:") else []
        return self.cli.start("node", "pair", *self.options(), "--name", self.name, "--from", "-", *where, *confirm, *more,
                              stdin=secret + "\n")

    @staticmethod
    def digits(process):
        match = process.wait_line(DIGITS.pattern)
        return match.group(1) + match.group(2)

    def pair(self, gateway, method="pin", secret=None, address=None, **mint):
        """The whole procedure; returns the pairing request that was approved."""
        secret = secret or gateway.mint(method, **mint).text
        process = self.pair_start(secret, None if secret.startswith("twinlatch:") else address or gateway.address)
        digits = self.digits(process)
        request = gateway.approve(gateway.wait_pending().request_id, digits)
        code = process.wait()
        if code != 0:
            raise AssertionError(f"node pair ended with {code}:\n{process.text}")
        return request

    def run(self, gateway=None):
        roots = [x for name, path in self.roots.items() for x in ("--root", f"{name}={path}")]
        config = ["--config", str(self.config)] if self.config else []
        self.process = self.cli.start("node", "run", *self.options(), *config, *roots)
        if gateway is not None:
            gateway.wait_node(self.marker["device_id"])
        return self

    def identity(self):
        """The stored device identity, private keys and all."""
        return json.loads(read_secret(next(self.folder.glob("*/secrets/identity.secret"))))

    @property
    def device(self):
        """The same as a prover.Device has it: for clients that are this node."""
        identity = self.identity()
        binary = lambda text: base64.urlsafe_b64decode(text + "==")
        pem = lambda what, der: f"-----BEGIN {what}-----\n{base64.encodebytes(der).decode()}-----END {what}-----\n".encode()
        bundle = [binary(text) for text in identity["bundle"]]
        return types.SimpleNamespace(device_id=identity["device_id"], ca_bundle=bundle, key_pem=pem("PRIVATE KEY", binary(identity["tls"]["key"])),
                                     chain_pem=pem("CERTIFICATE", binary(identity["certificate"])))

    @property
    def marker(self):
        found = list(self.folder.glob("*/gateway.json"))
        return json.loads(found[0].read_text())

    def move_gateway(self, *addresses):
        """The node looks for its gateway there. Without its checksum the marker is believed, as one of before there were any."""
        marker = next(self.folder.glob("*/gateway.json"))
        content = dict(self.marker, addresses=list(addresses))
        del content["sum"]
        marker.write_text(json.dumps(content))

    def stop(self):
        if self.process is not None:
            process, self.process = self.process, None
            code = process.stop() if process.running else process.wait()
            if code != 0:
                raise AssertionError(f"node run ended with {code}:\n{process.text[-6000:]}")

    def kill(self):
        process, self.process = self.process, None
        process.stop(signal.SIGKILL)


class TestCase(unittest.TestCase):
    """A sandbox per class; what is started through it is stopped, and has to stop cleanly."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.sandbox = Sandbox()
        cls.addClassCleanup(cls.sandbox.remove)

    @classmethod
    def gateway(cls, *arguments, **options):
        gateway = Gateway(cls.sandbox, *arguments, **options)
        cls.addClassCleanup(gateway.stop)
        return gateway

    @classmethod
    def node(cls, *arguments, **options):
        node = Node(cls.sandbox, *arguments, **options)
        cls.addClassCleanup(node.stop)
        return node

    def assertRpcError(self, status, reason, call, *arguments, **fields):
        with self.assertRaises(wire.RpcError) as caught:
            answer = call(*arguments, **fields)
            if isinstance(answer, wire.Stream):
                list(answer)
        self.assertEqual((caught.exception.status, caught.exception.reason), (status, reason), str(caught.exception))
        return caught.exception

    def assertOneLine(self, text):
        """An error for people: one line, no stack of causes, no secrets."""
        self.assertEqual(len(text.strip().splitlines()), 1, text)
