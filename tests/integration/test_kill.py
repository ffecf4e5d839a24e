# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the gateway or of a node at random moments, while operators mint, pair, decide, execute and cancel. At the end
everything that somebody was told is there, nothing ran twice, every request ended once, and the journal's chain holds."""
import collections
import contextlib
import hashlib
import json
import os
import random
import sqlite3
import threading
import time
import unittest

import twinlatch
import wire
from prover import Code, Device, Session
from wire import messages

ROUNDS = 200 if twinlatch.FULL else 20
NODES = 4
LONGEST_QUIET = 0.8  # seconds between a restart and the next kill, at most
FINAL = ("succeeded", "failed", "denied", "timed_out", "cancelled", "expired")


def state_name(answer):
    return messages.enum_name("RequestState", answer.state)[len("REQUEST_STATE_"):].lower()


def lp(data):
    return len(data).to_bytes(8, "little") + data


def chain(rows):
    """The first row whose hash is not that of its fields and the row before; None: all are."""
    before = bytes(32)
    for seq, when, kind, actor, subject, detail, digest in rows:
        text = [part.encode() for part in (kind, actor, subject, detail)]
        number = [value.to_bytes(8, "little") for value in (seq, when)]
        before = hashlib.sha256(b"".join(map(lp, [b"twinlatch/1 journal", before, *number, *text]))).digest()
        if before != digest:
            return seq
    return None


class Acknowledged:
    """What somebody was told. Written by many threads, read when they are gone."""

    def __init__(self):
        self.codes = {}      # code id -> role
        self.cancelled = []  # code ids
        self.pairings = {}   # pairing request id -> "requested", "approved" or "rejected"
        self.devices = {}    # device id -> Device with its certificate
        self.requests = {}   # request id -> (device id, nonce or None)
        self.results = {}    # request id -> (state, output)
        self.cancels = []    # request ids
        self.counts = collections.Counter()


class Worker(threading.Thread):
    """One operator (or device) that goes on whatever happens to the gateway. An answer counts, an error tells nothing."""

    def __init__(self, test, seed, work):
        super().__init__(daemon=True)
        self.test, self.random, self.work, self.trouble = test, random.Random(seed), work, None
        self.connection = None

    @property
    def admin(self):
        if self.connection is None:
            self.connection = wire.connect_local(self.test.gw.socket)
        return self.connection.admin

    def disconnect(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def run(self):
        while not self.test.stopping.is_set():
            try:
                self.work(self)
            except (wire.RpcError, OSError) as error:
                self.test.acked.counts[f"status {getattr(error, 'status', 'os')}"] += 1
                self.disconnect()
                self.test.stopping.wait(0.02)
            except BaseException as error:  # a bug of the test or of what it tests: the main thread raises it
                self.trouble = error
                return
        self.disconnect()

    def again(self, action):
        """Until it is answered: what a patient operator does who was not told. None when the test ends meanwhile."""
        while not self.test.stopping.is_set():
            try:
                return action()
            except (wire.RpcError, OSError) as error:
                if getattr(error, "status", wire.UNAVAILABLE) not in (wire.UNAVAILABLE, wire.CANCELLED, wire.UNKNOWN,
                                                                     wire.DEADLINE_EXCEEDED, wire.INTERNAL):
                    raise
                self.disconnect()
                self.test.stopping.wait(0.02)
        return None


class Kill(twinlatch.TestCase):
    rounds, node_count = ROUNDS, NODES

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.add_nodes()

    @classmethod
    def add_nodes(cls, **options):
        cls.nodes, cls.logs = [], {}
        for i in range(cls.node_count):
            log = cls.sandbox.root / f"ran-{i}"
            log.touch()
            node = cls.node(f"n{i}", config=(
                "[node]\nreconnect-max=1s\n[program append]\n"
                f"command=/usr/bin/dd of={log} oflag=append conv=notrunc,fsync status=none\n"
                "[program sleep]\ncommand=/usr/bin/sleep 20\n[policy process.run]\nmode=allow\n"), **options)
            node.pair(cls.gw, "link")
            node.run(cls.gw)
            cls.nodes.append(node)
            cls.logs[node.marker["device_id"]] = log
        cls.device_ids = list(cls.logs)
        cls.ca_pem = cls.gw.ca_pem

    # What goes on.

    def execute(self, worker, device_id):
        """echo, or a program that must not run twice; seen to its end, or left alone after the first answer."""
        once, nonce = worker.random.random() < 0.5, f"{worker.random.getrandbits(64):016x}"
        if once:
            capability, given = "process.run", json.dumps({"program": "append", "stdin": nonce + "\n"})
        else:
            capability, given = "echo", json.dumps(nonce)
        leave = worker.random.random() < 0.2
        stream = worker.admin.ExecuteCapability(device=device_id, capability=capability, input=given, timeout=60)
        for answer in stream:
            self.acked.requests[answer.request_id] = (device_id, nonce if once else None)
            if state_name(answer) in FINAL:
                self.acked.results[answer.request_id] = (state_name(answer), answer.output)
                self.acked.counts[state_name(answer)] += 1
            elif leave:
                stream.cancel()
                return

    def cancel(self, worker):
        """A request that would run for long, ended in the middle."""
        device_id = worker.random.choice(self.device_ids)
        stream = worker.admin.ExecuteCapability(device=device_id, capability="process.run", input='{"program":"sleep"}', timeout=60)
        request_id = next(stream).request_id
        stream.cancel()
        self.acked.requests[request_id] = (device_id, None)
        worker.test.stopping.wait(worker.random.random() * 0.3)
        try:
            if worker.again(lambda: worker.admin.CancelCapability(request_id=request_id)) is not None:
                self.acked.cancels.append(request_id)
        except wire.RpcError as error:
            if error.status != wire.FAILED_PRECONDITION:  # its node died and said so first
                raise

    def mint(self, worker):
        method = worker.random.choice(("PIN", "LINK"))
        answer = worker.admin.MintNodePairingCode(method=messages.enum("CodeMethod", "CODE_METHOD_" + method), label="minted")
        self.acked.codes[answer.code.code_id] = answer.code.role
        if worker.random.random() < 0.9:  # a hundred may live at a time
            cancelled = worker.admin.CancelPairingCode(code_id=answer.code.code_id)
            self.acked.cancelled.append(cancelled.code.code_id)
        worker.test.stopping.wait(0.05)

    def pair(self, worker):
        """A device pairs. From the gateway's answer to CompletePairing on, no death of it may cost the device its pairing."""
        answer = worker.admin.MintNodePairingCode(method=messages.enum("CodeMethod", "CODE_METHOD_LINK"))
        self.acked.codes[answer.code.code_id] = answer.code.role
        device = Device("killed now and then")
        connect = lambda: wire.connect_tls(self.gw.address, self.ca_pem, self.gw.gateway_id)
        with connect() as connection:
            session = Session(connection, device, Code.parse(answer.secret), self.gw.leaf_sha256())
            session.start()
            session.exchange()
            session.complete()
        self.acked.pairings[session.request_id] = "requested"
        approve = worker.random.random() < 0.8
        decided = worker.again(lambda: self.decide(worker, session, approve))
        if decided is None:
            return
        self.acked.pairings[session.request_id] = "approved" if approve else "rejected"

        def finish():
            with connect() as connection:
                session.pairing = connection.pairing
                return session.finish(timeout=10)
        last = worker.again(finish)
        if last is not None and approve:
            assert device.certificate_der, f"approved, and then {last}"
            self.acked.devices[device.device_id] = device
        worker.test.stopping.wait(0.2)

    def decide(self, worker, session, approve):
        """The answer to an earlier try may have been lost: then it is decided already, and has to be as we said."""
        try:
            return worker.admin.DecidePairing(request_id=session.request_id, approve=approve,
                                              code=session.comparison if approve else "").request
        except wire.RpcError as error:
            if error.status != wire.FAILED_PRECONDITION:
                raise
        found = [r for r in worker.admin.ListPairingRequests().requests if r.request_id == session.request_id]
        wanted = ("APPROVED", "COMPLETED") if approve else ("REJECTED",)
        assert found and messages.enum_name("PairingState", found[0].state)[len("PAIRING_STATE_"):] in wanted, found
        return found[0]

    # Death.

    def disturb(self, rng):
        victim = rng.choice(["gateway", "gateway", "node"])
        if victim == "gateway":
            self.gw.kill()
            time.sleep(rng.choice((0, 0, rng.random() * 0.3)))  # also gone long enough to be missed
            self.gw.start()
        else:
            node = rng.choice(self.nodes)
            node.kill()
            node.run()
        self.acked.counts["killed " + victim] += 1

    def work(self):
        """What the workers do, one each."""
        return [lambda w, d=d: self.execute(w, d) for d in self.device_ids * 2] + [self.cancel, self.mint, self.pair]

    def test_nothing_acknowledged_is_lost_and_nothing_runs_twice(self):
        seed = int(os.environ.get("TL_TEST_SEED", random.SystemRandom().getrandbits(32)))
        print(f"# TL_TEST_SEED={seed} rounds={self.rounds}", flush=True)
        rng = random.Random(seed)
        self.acked, self.stopping = Acknowledged(), threading.Event()
        workers = [Worker(self, rng.getrandbits(64), each) for each in self.work()]
        for worker in workers:
            worker.start()
        try:
            for _ in range(self.rounds):
                time.sleep(rng.random() * LONGEST_QUIET)  # the moment is what is random here; nothing is waited for
                self.disturb(rng)
                self.assertEqual([w.trouble for w in workers if w.trouble], [])
        finally:
            self.stopping.set()
            for worker in workers:
                worker.join(90)
        self.assertEqual([w.trouble for w in workers if w.trouble], [])
        self.assertFalse([w for w in workers if w.is_alive()])
        self.gw.refresh()
        open_states = [messages.enum("RequestState", "REQUEST_STATE_" + s) for s in ("QUEUED", "DISPATCHED", "AWAITING_CONSENT", "RUNNING")]
        twinlatch.until(lambda: not self.gw.admin.ListCapabilityRequests(states=open_states).requests, "every request to end", 90)
        print("#", dict(self.acked.counts), "requests", len(self.acked.requests), "results", len(self.acked.results), "codes",
              len(self.acked.codes), "devices", len(self.acked.devices), "cancels", len(self.acked.cancels), flush=True)
        self.check_pairing()
        requests = self.check_requests()
        self.check_runs(requests)
        self.check_journal(requests)
        for node in self.nodes:
            node.stop()
        self.check_node_journals()

    # What has to be there.

    def check_pairing(self):
        codes = self.pages("ListPairingCodes", "codes", all=True)
        codes = {c.code_id: c for c in codes}
        state = lambda c: messages.enum_name("CodeState", c.state)[len("CODE_STATE_"):].lower()
        for code_id, role in self.acked.codes.items():
            self.assertIn(code_id, codes, "an acknowledged code is gone")
            self.assertEqual(codes[code_id].role, role)
        for code_id in self.acked.cancelled:
            self.assertEqual(state(codes[code_id]), "cancelled")
        pairings = {r.request_id: r for r in self.pages("ListPairingRequests", "requests")}
        for request_id, told in self.acked.pairings.items():
            self.assertIn(request_id, pairings, "an acknowledged pairing request is gone")
            found = messages.enum_name("PairingState", pairings[request_id].state)[len("PAIRING_STATE_"):].lower()
            wanted = {"approved": ("approved", "completed"), "rejected": ("rejected",), "requested": (found,)}[told]
            self.assertIn(found, wanted, f"{request_id} was {told}")
        for device_id, device in self.acked.devices.items():
            found = self.gw.admin.GetDevice(device=device_id).device
            self.assertIn(hashlib.sha256(device.certificate_der).hexdigest(), [c.fingerprint for c in found.certificates])
        if self.acked.devices:
            self.assertEqual(self.gw.connect(device).node.GetGatewayInfo().gateway_id, self.gw.gateway_id, "the newest is admitted")

    def pages(self, method, field, **filters):
        found, token = [], ""
        while True:
            page = getattr(self.gw.admin, method)(page=messages.Page(page_size=500, page_token=token), **filters)
            found += getattr(page, field)
            token = page.next_page_token
            if not token:
                return found

    def check_requests(self):
        requests = {r.request_id: r for r in self.pages("ListCapabilityRequests", "requests")}
        for request_id in self.acked.requests:
            self.assertIn(request_id, requests, "an acknowledged request is gone")
        for request in requests.values():
            self.assertIn(state_name(request), ("succeeded", "failed", "cancelled"), request)
            if state_name(request) == "failed":
                self.assertEqual(request.error_reason, "interrupted", request)
        for request_id, (state, output) in self.acked.results.items():
            found = self.gw.admin.GetCapabilityRequest(request_id=request_id).request
            self.assertEqual((state_name(found), found.output), (state, output), "an acknowledged result is another one now")
        for request_id in self.acked.cancels:
            self.assertGreater(requests[request_id].cancel_requested_at_unix_ms, 0)
        return requests

    def check_runs(self, requests):
        ran = {d: collections.Counter(log.read_text().split()) for d, log in self.logs.items()}
        for device_id, nonces in ran.items():
            self.assertEqual({n: c for n, c in nonces.items() if c > 1}, {}, "ran twice")
        interrupted = 0
        for request_id, (device_id, nonce) in self.acked.requests.items():
            if nonce is None:
                continue
            state = state_name(requests[request_id])
            if state == "succeeded":
                self.assertEqual(ran[device_id][nonce], 1, f"{request_id} succeeded, but did not run")
            interrupted += state == "failed"
        print(f"# ran once: {sum(len(r) for r in ran.values())}, interrupted: {interrupted}", flush=True)
        self.assertGreater(sum(len(r) for r in ran.values()), self.rounds, "that was no work")

    def check_journal(self, requests):
        verdict = twinlatch.Cli(self.gw.environment).json("journal", "verify")
        self.assertGreater(verdict["receipts"], len(self.acked.results) // 2, verdict)
        self.gw.stop()
        with contextlib.closing(sqlite3.connect(self.gw.state / "twinlatch.db")) as database:
            rows = database.execute("SELECT seq, time, kind, actor, subject, detail, hash FROM journal ORDER BY seq").fetchall()
        self.assertIsNone(chain(rows), "the first row that does not fit the one before")
        created = collections.Counter(r[4] for r in rows if r[2] == "request.created")
        ended = collections.Counter(r[4] for r in rows if r[2] == "request.ended")
        wanted = collections.Counter(requests.keys())
        self.assertEqual(created, wanted, "each request is created once")
        self.assertEqual(ended, wanted, "each request ends once")
        details = {r[4]: json.loads(r[5]) for r in rows if r[2] == "request.ended"}
        for request_id, (state, output) in self.acked.results.items():
            self.assertEqual(details[request_id]["state"], state)
            if state == "succeeded":
                self.assertEqual(details[request_id]["output"], hashlib.sha256(output.encode()).hexdigest())
        self.gw.start()

    def check_node_journals(self):
        """What a device was told is accepted is over at the gateway, too; and nothing waits there for ever."""
        for node in self.nodes:
            for path in node.folder.glob("*/requests/*.json"):
                record = json.loads(path.read_text())
                self.assertEqual(record["state"], "accepted", record)
                found = self.gw.admin.GetCapabilityRequest(request_id=record["request_id"]).request
                self.assertIn(state_name(found), FINAL)


if __name__ == "__main__":
    unittest.main()
