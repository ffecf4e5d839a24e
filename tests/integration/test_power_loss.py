# SPDX-License-Identifier: Apache-2.0
"""The power goes at random moments: what PROTOCOL and DESIGN call durable is there afterwards (tests/shim, powerloss.py)."""
import contextlib
import random
import sqlite3
import subprocess
import threading
import time
import unittest

import powerloss
import prover
import twinlatch
import wire

SEED = random.SystemRandom().randrange(2**32)
ROUNDS = 120 if twinlatch.FULL else 16
WORKING_S = (0.15, 0.9)  # from the start of a round's work to the cut
PROMISED_S = 1.5         # DESIGN says a second for what is not durable at once; the rest is for this machine's load
LIVE, ACTIVE, REVOKED, SUCCEEDED = 0, 0, 2, 4
ORDER = {0: 0, 1: 1, 2: 2, 3: 2, 4: 2}  # pending, approved, then rejected | expired | completed


class Acknowledged:
    """What the gateway said is so."""

    def __init__(self):
        self.lock = threading.Lock()
        self.codes, self.pairings, self.devices, self.results, self.certificates = {}, {}, {}, {}, {}

    def put(self, table, key, value):
        with self.lock:
            getattr(self, table)[key] = value


class Worker(threading.Thread):
    """Does one thing over and over until the gateway is gone."""

    def __init__(self, test, work):
        super().__init__(daemon=True)
        self.test, self.work, self.error = test, work, None
        self.start()

    def run(self):
        try:
            while not self.test.over.is_set():
                self.work()
        except Exception as error:  # the gateway was killed under it: anything may come of that
            self.error = error


@unittest.skipUnless(powerloss.SHIM.is_file(), "the shim is not built with sanitizers")
class PowerLoss(twinlatch.TestCase):
    def setUp(self):
        self.gw = self.gateway(name=self._testMethodName[:20], start=False)
        self.gw.settings["log-level"] = "warning"
        self.disk = powerloss.Disk(self.gw.state, self.gw.folder)
        self.rng, self.said = random.Random(SEED), Acknowledged()
        self.over, self.paired = threading.Event(), []

    # What is done, each over and over.

    def mint_and_attempt(self):
        code = self.gw.mint("link", attempts=3)
        self.said.put("codes", code.record.code_id, 3)
        session = self.gw.session(code.wrong(), connection=self.stranger, leaf=self.leaf)
        session.start()
        session.send_share(session.share())
        self.said.put("codes", code.record.code_id, 2)  # counted before it was answered
        self.gw.admin.CancelPairingCode(code_id=code.record.code_id)
        self.said.put("codes", code.record.code_id, 0)

    def pair(self):
        device, code = prover.Device(f"device {len(self.said.devices)}"), self.gw.mint("link")
        with self.gw.connect() as connection:
            session = self.gw.session(code, device, connection, leaf=self.leaf)
            session.start()
            session.exchange()
            session.complete()
            self.said.put("pairings", session.request_id, 0)
            self.gw.approve(session.request_id, session.comparison)
            self.said.put("pairings", session.request_id, 1)
            session.finish()
        self.said.put("pairings", session.request_id, 2)
        self.said.put("devices", device.device_id, ACTIVE)
        self.said.put("certificates", device.device_id, device)
        self.paired.append(device)

    def revoke(self):
        if not self.paired:
            self.over.wait(0.02)
            return
        device = self.paired.pop(0)
        self.gw.admin.RevokeDevice(device=device.device_id, reason="test")
        self.said.put("devices", device.device_id, REVOKED)

    def execute(self):
        state = self.gw.execute("worker", "echo", '"x"')[-1]
        if state.state == wire.messages.enum("RequestState", "REQUEST_STATE_SUCCEEDED"):
            self.said.put("results", state.request_id, time.monotonic())

    # What has to be there.

    def rows(self, sql):
        with contextlib.closing(sqlite3.connect(f"file:{self.gw.state}/twinlatch.db?mode=ro", uri=True)) as database:
            return dict(database.execute(sql).fetchall())

    def check(self, cut_at):
        codes = self.rows("SELECT code_id, CASE WHEN state = 0 THEN attempts_left ELSE 0 END FROM codes")
        for code_id, left in self.said.codes.items():
            self.assertIn(code_id, codes, "a code that was handed out")
            self.assertLessEqual(codes[code_id], left, "attempts are counted before they are answered")
        pairings = self.rows("SELECT request_id, state FROM pairings")
        for request_id, state in self.said.pairings.items():
            self.assertGreaterEqual(ORDER[pairings[request_id]], state, f"{request_id}: a request or decision")
        devices = self.rows("SELECT device_id, state FROM devices")
        certificates = self.rows("SELECT device_id, count(*) FROM certificates GROUP BY device_id")
        for device_id, state in self.said.devices.items():
            # A revocation that was on its way may have arrived.
            self.assertIn(devices[device_id], (state, REVOKED), f"{device_id}: a device or revocation")
            self.assertGreaterEqual(certificates.get(device_id, 0), 1)
        requests = self.rows("SELECT request_id, state FROM requests")
        for request_id, when in self.said.results.items():
            if cut_at - when > PROMISED_S:
                self.assertEqual(requests.get(request_id), SUCCEEDED, f"a result that is {cut_at - when:.2f} s old")
        self.said.results = {r: when for r, when in self.said.results.items() if requests.get(r) == SUCCEEDED}
        self.assertEqual((self.gw.gateway_id, self.gw.ca_pem), self.identity)

    def check_admission(self):
        """Over the wire: who was issued a certificate is admitted, who was revoked is not."""
        for device_id, device in list(self.said.certificates.items())[-3:]:
            states = self.rows(f"SELECT device_id, state FROM devices WHERE device_id = '{device_id}'")
            with self.gw.connect(device) as connection:
                if states[device_id] == ACTIVE:
                    self.assertEqual(connection.node.GetGatewayInfo().gateway_id, self.gw.gateway_id)
                else:
                    with self.assertRaises(wire.RpcError):
                        connection.node.GetGatewayInfo(timeout=3)

    def start_on_disk(self):
        self.disk.begin()
        self.gw.start(self.disk.environment())
        self.leaf = self.gw.leaf_sha256()
        self.stranger = self.gw.connect()

    def wait_checked(self):
        status = twinlatch.until(lambda: (s := self.gw.admin.GetStatus()).store_check != "running" and s, "the store's check")
        self.assertEqual((status.store_check, status.store_problem), ("good", ""))

    def round(self, node, torn):
        self.over.clear()
        node.run(self.gw)  # anew: one that saw its gateway die again and again takes its time to come back
        workers = [Worker(self, work) for work in (self.mint_and_attempt, self.pair, self.pair, self.revoke, self.execute,
                                                   self.execute)]
        self.over.wait(self.rng.uniform(*WORKING_S))
        self.gw.process.send(9)
        cut_at = time.monotonic()
        self.over.set()
        self.gw.kill()
        node.kill()
        for worker in workers:
            worker.join(twinlatch.PATIENCE)
        self.disk.cut(torn)
        self.start_on_disk()
        self.check(cut_at)
        self.check_admission()
        self.wait_checked()

    def test_gateway(self):
        self.addCleanup(self.gw.disconnect)
        self.start_on_disk()
        self.identity = self.gw.gateway_id, self.gw.ca_pem
        node = self.node("worker")
        node.pair(self.gw, "link", auto_approve=False)
        for number in range(ROUNDS):
            torn = random.Random(self.rng.random()) if number % 2 else None
            try:
                self.round(node, torn)
            except Exception as error:
                error.add_note(f"seed {SEED}, round {number}, {'torn' if torn else 'dropped'}")
                raise
        revoked = [d for d, state in self.said.devices.items() if state == REVOKED]
        counts = [len(t) for t in (self.said.codes, self.said.pairings, self.said.devices, revoked, self.said.results)]
        print(f"# {ROUNDS} cuts; codes, requests, devices, revocations, results: {counts}")
        self.assertTrue(all(count >= ROUNDS for count in counts), f"too little was done to be lost: {counts}")

    def test_a_node_is_paired_once_it_says_so(self):
        self.gw.start()
        node = self.node("paired")
        disk = powerloss.Disk(node.folder, self.gw.folder)
        for number in range(6 if twinlatch.FULL else 2):
            disk.begin()
            plain, node.cli.environment = node.cli.environment, dict(node.cli.environment, **disk.environment())
            process = node.pair_start(self.gw.mint("link").text, None, *(["--replace"] if number else []))
            digits = node.digits(process)
            self.gw.approve(self.gw.wait_pending().request_id, digits)
            self.assertEqual(process.wait(), 0, process.text)
            node.cli.environment = plain
            disk.cut(self.rng if number % 2 else None)
            node.run(self.gw)
            self.assertEqual(self.gw.execute(node.marker["device_id"], "echo", "1")[-1].output, "1")
            node.stop()


class Model(unittest.TestCase):
    """The disk of powerloss.py forgets what a disk forgets; without that the tests above would pass for nothing."""

    @unittest.skipUnless(powerloss.SHIM.is_file(), "the shim is not built with sanitizers")
    def test_it_forgets(self):
        sandbox = twinlatch.Sandbox()
        self.addCleanup(sandbox.remove)
        folder = sandbox.root / "disk"
        folder.mkdir()
        (folder / "old").write_bytes(b"old" * 400)
        disk = powerloss.Disk(folder, sandbox.root)
        script = """if True:
            import os, sys
            d = sys.argv[1]
            def write(name, data, sync, flags=os.O_CREAT | os.O_WRONLY):
                fd = os.open(d + "/" + name, flags, 0o600)
                os.write(fd, data)
                if sync: os.fsync(fd)
                os.close(fd)
            def sync():
                fd = os.open(d, os.O_RDONLY); os.fsync(fd); os.close(fd)
            write("synced", b"1", True); write("content lost", b"2", False); sync()
            write("old", b"new", False, os.O_WRONLY)
            write("temporary", b"4", True); os.rename(d + "/temporary", d + "/renamed"); sync()
            write("name lost", b"3", True)
            write("temporary", b"5", True); os.rename(d + "/temporary", d + "/renamed")
        """
        for rng in (None, random.Random(SEED)):
            disk.begin()
            done = subprocess.run(["/usr/bin/python3", "-c", script, str(folder)], capture_output=True, text=True,
                                            env=dict(sandbox.environment, **disk.environment()))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual((folder / "renamed").read_bytes(), b"5")
            disk.cut(rng)
            self.assertEqual((folder / "synced").read_bytes(), b"1")
            if rng is None:
                found = {p.name: p.read_bytes() for p in folder.iterdir()}
                self.assertEqual(found, {"synced": b"1", "content lost": b"", "old": b"old" * 400, "renamed": b"4"})


if __name__ == "__main__":
    unittest.main()
