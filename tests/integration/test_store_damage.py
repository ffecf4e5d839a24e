# SPDX-License-Identifier: Apache-2.0
"""A disk that rots, fills up, fails or is read-only: noticed, said in one line, and nothing claims success meanwhile."""
import contextlib
import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest

import powerloss
import twinlatch
import wire

SEED = random.SystemRandom().randrange(2**32)
BLOCK = 512 if twinlatch.FULL else 8192
SERVING, NOT_SERVING = 1, 2
TABLES = ("meta WHERE key = 'gateway_id'", "cas", "codes", "pairings", "devices", "certificates", "nodes", "event_logs", "events", "requests")
# What is made anew at every start, or only says who holds a lock.
NOT_STATE = ("twinlatchd.lock", ".identity-state.lock", "twinlatch.db-shm", "node-runtime.v1.json")
STORE_REASONS = ("read_only", "io")


def health(gateway):
    return gateway.admin_connection.health.Check().status


def wait_health(gateway, status, timeout=twinlatch.PATIENCE):
    twinlatch.until(lambda: health(gateway) == status, f"health to say {status}", timeout)


def rows(path):
    """What the store holds, as any SQLite reads it."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return {table: sorted(database.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in TABLES}


class Flips(twinlatch.TestCase):
    """One changed byte in each block of each file: it is refused, or health says so, or it changed nothing."""

    def setUp(self):
        self.rng = random.Random(SEED)

    def flip(self, path, block, size):
        at = self.rng.randrange(block, min(block + size, path.stat().st_size))
        with open(path, "r+b") as file:
            file.seek(at)
            old = file.read(1)[0]
            file.seek(at)
            file.write(bytes([old ^ 1 << self.rng.randrange(8)]))
        return f"seed {SEED}: {path.name}, byte {at}"

    def restore(self, kept, folder):
        shutil.rmtree(folder)
        shutil.copytree(kept, folder, copy_function=shutil.copy2)

    def outcome(self, gw, where):
        """'refused', 'not serving', or 'served'."""
        process = gw.launch()
        try:
            gw.ready = twinlatch.json.loads(process.wait_line(r'^(\{"ready".*\})\s*$').group(1))
        except AssertionError:
            self.assertEqual(process.wait(), twinlatch.EXIT_STATE, f"{where}\n{process.text}")
            self.message = process.text.strip().splitlines()[-1]
            return "refused"
        gw.process, gw.socket = process, gw.ready["admin_socket"]
        gw.admin_connection = gw.keep(wire.connect_local(gw.socket))
        gw.admin = gw.admin_connection.admin
        try:
            status = twinlatch.until(lambda: (s := gw.admin.GetStatus()).store_check != "running" and s, "the store's check")
        except wire.RpcError as error:  # it counts rows, and met one
            self.assertEqual(error.reason, "corrupt", where)
            wait_health(gw, NOT_SERVING, 2)
            self.message = error.message
            return "not serving"
        if status.store_check == "damaged":
            wait_health(gw, NOT_SERVING, 2)
            self.message = status.store_problem
            return "not serving"
        self.assertEqual(status.store_check, "good", where)
        if status.restored:
            self.message = status.restored_reason
            return "nobody admitted"
        return "served"

    def test_gateway(self):
        gw = self.gateway("flipped")
        node = self.node("busy")
        node.pair(gw, "link")
        node.run(gw)
        gw.admin.RevokeDevice(device=gw.pair_device("gone").device_id)
        gw.mint("pin")
        for number in range(5):
            gw.execute("busy", "echo", f'"{number}"')
        node.stop()
        gw.kill()  # the log is full of what is nowhere else
        kept = gw.folder / "kept"
        shutil.copytree(gw.state, kept)
        self.assertGreater((kept / "twinlatch.db-wal").stat().st_size, 8 * 4096)

        gw.start()
        gw.stop()
        expected = rows(gw.state / "twinlatch.db")
        counts = {}
        for file in sorted(p for p in kept.rglob("*") if p.is_file() and p.name not in NOT_STATE):
            name = str(file.relative_to(kept))
            size = 512 if file.stat().st_size <= 4096 else BLOCK if name.endswith("-wal") else min(BLOCK, 4096)
            for block in range(0, file.stat().st_size, size):
                self.restore(kept, gw.state)
                where = self.flip(gw.state / name, block, size)
                outcome = self.outcome(gw, where)
                counts.setdefault(name, []).append(outcome)
                if gw.process is not None:
                    gw.stop()
                if outcome == "served":
                    self.assertEqual(rows(gw.state / "twinlatch.db"), expected, where)
                    continue
                self.assertIn(file.name.removesuffix("-wal"), self.message, where)
                if outcome == "nobody admitted":
                    continue
                self.assertRegex(self.message, "backup|twinlatchd\\(8\\)", where)
        print(f"# {({name: {o: found.count(o) for o in set(found)} for name, found in counts.items()})}")
        for name in ("twinlatch.db-wal", "secrets/ca-key-g1.secret", "secrets/pairing-seal-key.secret", "secrets/server-leaf.secret"):
            self.assertEqual(set(counts[name]), {"refused"}, name)
        self.assertIn("twinlatch.db", counts)

    def test_node_runtime_snapshot_is_made_anew(self):
        gw = self.gateway("snapshot")
        gw.pair_device("listed")
        gw.stop()
        path = gw.state / "node-runtime.v1.json"
        if not path.exists():
            self.skipTest("this gateway writes no snapshot")
        good = twinlatch.json.loads(path.read_text())
        self.flip(path, 0, path.stat().st_size)
        gw.start()
        gw.stop()
        again = twinlatch.json.loads(path.read_text())
        self.assertEqual(again.get("pairing_requests"), good.get("pairing_requests"))

    def test_node(self):
        gw = self.gateway("of the node")
        node = self.node("rotting", roots={"here": "/etc"})
        node.pair(gw, "link")
        node.run(gw)
        gw.execute("rotting", "echo", '"1"')
        device_id = node.marker["device_id"]
        node.stop()
        kept = node.folder.parent / "kept"
        shutil.copytree(node.folder, kept)
        files = sorted(p for p in kept.rglob("*") if p.is_file() and p.name != ".identity-state.lock")
        self.assertIn("identity.secret", [p.name for p in files])
        for file in files:
            for _ in range(20 if twinlatch.FULL else 3):
                self.restore(kept, node.folder)
                path = node.folder / file.relative_to(kept)
                where = self.flip(path, 0, path.stat().st_size)
                process = node.cli.start("node", "run", *node.options())
                try:
                    twinlatch.until(lambda: not process.running or any(  # pylint: disable=cell-var-from-loop
                        n.connected for n in gw.admin.ListNodes().nodes if n.device_id == device_id), "the node, or its refusal")
                    if process.running:  # white space, the cursor: the same device, and it works
                        self.assertEqual(gw.execute(device_id, "echo", '"x"')[-1].output, '"x"', where)
                        self.assertNotEqual(path.name, "identity.secret", where)
                    else:
                        self.assertIn(process.wait(), (twinlatch.EXIT_STATE, twinlatch.EXIT_NOT_PAIRED), f"{where}\n{process.text}")
                        self.assertIn(path.name, process.text, where)
                finally:
                    process.stop()
                    gw.wait_node(device_id, connected=False)


class Faults(twinlatch.TestCase):
    """The disk stops taking writes while the gateway runs, and takes them again."""

    def setUp(self):
        self.gw = self.gateway(self._testMethodName[5:30], start=False)

    def refused(self, call, **fields):
        with self.assertRaises(wire.RpcError) as caught:
            call(**fields)
        self.assertIn(caught.exception.reason, STORE_REASONS, str(caught.exception))

    def everything_is_refused(self, pending, victim):
        began = time.monotonic()
        self.refused(self.gw.mint, method="link")
        wait_health(self.gw, NOT_SERVING, 5)
        if not twinlatch.SANITIZED:
            self.assertLess(time.monotonic() - began, 1.5, "health follows within a second")
        self.refused(self.gw.admin.DecidePairing, request_id=pending.request_id, approve=True, code=pending.comparison)
        self.refused(self.gw.admin.RevokeDevice, device=victim.device_id)
        session = self.gw.session(self.code)
        session.start()
        with self.assertRaises(wire.RpcError):  # strangers are not told why
            session.exchange()
        self.assertFalse(self.gw.admin.GetStatus().store_writable)
        self.assertIn(victim.name, [d.name for d in self.gw.admin.ListDevices().devices], "reads are still answered")

    def prepare(self):
        victim = self.gw.pair_device("victim")
        pending = self.gw.session(self.gw.mint("link"))
        pending.start()
        pending.exchange()
        pending.complete()
        self.code = self.gw.mint("link")
        return pending, victim

    def works_again(self, pending, victim):
        wait_health(self.gw, SERVING)
        minted = self.gw.mint("link").record.code_id
        attempts = self.gw.codes()[self.code.record.code_id].attempts_left
        self.gw.approve(pending.request_id, pending.comparison)
        pending.finish()
        self.gw.admin.RevokeDevice(device=victim.device_id)
        self.gw.restart(kill=True)
        self.assertIn(minted, self.gw.codes())
        self.assertEqual(self.gw.codes()[self.code.record.code_id].attempts_left, attempts)
        states = {d.name: d.state for d in self.gw.admin.ListDevices().devices}
        self.assertEqual(states["victim"], wire.messages.enum("DeviceState", "DEVICE_STATE_REVOKED"))
        self.assertEqual(len(states), 2, "the approved one is there")

    @unittest.skipUnless(powerloss.SHIM.is_file(), "the shim is not built with sanitizers")
    def test_errors(self):
        disk = powerloss.Disk(self.gw.state, self.gw.folder)
        for number in (errno.EIO, errno.ENOSPC, errno.EROFS):
            with self.subTest(os.strerror(number)):
                disk.begin()
                self.gw.start({k: v for k, v in disk.environment().items() if k != "TL_SHIM_LOG"})
                pending, victim = self.prepare()
                disk.fail(number)
                self.everything_is_refused(pending, victim)
                disk.fail(0)
                self.works_again(pending, victim)
                self.gw.stop()
                shutil.rmtree(self.gw.state)

    def mount(self, size):
        self.gw.state.mkdir(mode=0o700)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(self.gw.state)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f"a small file system is not to be had here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(self.gw.state)], check=True)
        self.addCleanup(self.gw.stop)

    def fill(self):
        path = self.gw.state / "filler"
        with open(path, "wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
        return path

    def test_full(self):
        self.mount("3m")
        self.gw.start()
        pending, victim = self.prepare()
        filler = self.fill()
        twinlatch.until(self.is_refused, "the disk to be full for the store as well")
        self.everything_is_refused(pending, victim)
        filler.unlink()
        self.works_again(pending, victim)

    def is_refused(self):
        """The log may have some room left in the pages that it has."""
        try:
            self.gw.mint("link", attempts=1)
            return False
        except wire.RpcError as error:
            return error.reason in STORE_REASONS

    def test_full_at_start(self):
        self.mount("2m")
        self.gw.start()
        self.gw.pair_device("kept")
        self.gw.stop()
        filler = self.fill()
        process = self.gw.launch()
        code = process.wait()
        self.assertEqual(code, twinlatch.EXIT_STATE, process.text)
        self.assertOneLine(process.text)
        self.assertRegex(process.text, "twinlatchd: .*(space|full)")
        filler.unlink()
        self.gw.start()
        self.assertEqual([d.name for d in self.gw.admin.ListDevices().devices], ["kept"])

    def test_killed_while_full(self):
        """What is left of a transaction that found no room is no damage."""
        self.mount("2m")
        self.gw.start()
        device = self.gw.pair_device("kept")
        filler = self.fill()
        twinlatch.until(self.is_refused, "the disk to be full")
        self.gw.kill()
        filler.unlink()
        self.gw.start()
        self.assertEqual([d.device_id for d in self.gw.admin.ListDevices().devices], [device.device_id])
        wait_health(self.gw, SERVING)


class WaysBack(twinlatch.TestCase):
    """The two orders that an administrator may give, as twinlatchd(8) has them."""

    def start_with(self, gw, option):
        process = twinlatch.Process(gw.command("--print-ready", option), gw.environment)
        process.wait_line('"ready"')
        self.assertEqual(process.stop(signal.SIGTERM), 0)

    def test_a_truncated_log(self):
        gw = self.gateway("truncated")
        gw.pair_device("early")
        gw.restart()
        gw.pair_device("late")
        gw.kill()
        log = gw.state / "twinlatch.db-wal"
        data = bytearray(log.read_bytes())
        data[len(data) // 2] ^= 1
        log.write_bytes(data)
        done = subprocess.run(gw.command(), env=gw.environment, capture_output=True, text=True, timeout=twinlatch.PATIENCE)
        self.assertEqual(done.returncode, twinlatch.EXIT_STATE)
        self.assertOneLine(done.stderr)
        self.assertIn("--accept-truncated-log", done.stderr)
        self.start_with(gw, "--accept-truncated-log")
        gw.start()
        self.assertIn("early", [d.name for d in gw.admin.ListDevices().devices])
        wait_health(gw, SERVING)

    def test_a_changed_page(self):
        gw = self.gateway("changed")
        gw.pair_device("before")
        gw.stop()
        with contextlib.closing(sqlite3.connect(gw.state / "twinlatch.db")) as database, database:
            database.execute("UPDATE devices SET name = 'after'")
        done = subprocess.run(gw.command(), env=gw.environment, capture_output=True, text=True, timeout=twinlatch.PATIENCE)
        self.assertEqual(done.returncode, twinlatch.EXIT_STATE)
        self.assertOneLine(done.stderr)
        self.assertIn("page", done.stderr)
        self.start_with(gw, "--accept-changed-pages")
        gw.start()
        self.assertEqual([d.name for d in gw.admin.ListDevices().devices], ["after"])

    def test_a_reader_changes_nothing(self):
        gw = self.gateway("read")
        gw.pair_device("seen")
        for program in (lambda: gw.kill(), lambda: gw.stop()):
            self.assertEqual(len(rows(gw.state / "twinlatch.db")["devices"]), 1)
            program()
            with contextlib.closing(sqlite3.connect(gw.state / "twinlatch.db")) as database:  # takes in the log of a killed one
                self.assertEqual(database.execute("SELECT name FROM devices").fetchall(), [("seen",)])
            gw.start()
            twinlatch.until(lambda: gw.admin.GetStatus().store_check == "good", "the store's check")


if __name__ == "__main__":
    unittest.main()
