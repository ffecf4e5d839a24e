# SPDX-License-Identifier: Apache-2.0
"""`twinlatch doctor`: good on a good computer; each thing that is broken here turns its row, and no other."""
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import unittest

import twinlatch

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def contents(folder):
    return {str(p.relative_to(folder)): (p.stat().st_mode, hashlib.sha256(p.read_bytes()).hexdigest())
            for p in folder.rglob("*") if p.is_file() and not p.name.endswith("-shm")}


class Doctor(twinlatch.TestCase):
    def setUp(self):
        name = self._testMethodName[5:30]
        self.gw = self.gateway(name)
        self.cli = twinlatch.Cli(self.gw.environment)

    def rows(self, *words, expect=None, cli=None):
        done = (cli or self.cli).run("doctor", "--json", *words, expect=None)
        answer = json.loads(done.stdout)
        failed = [r for r in answer["items"] if r["verdict"] == "failed"]
        self.assertEqual((answer["ok"], answer["failed"]), (not failed, len(failed)))
        self.assertEqual(done.returncode, 1 if failed else 0, done.stdout + done.stderr)
        for row in failed:
            self.assertTrue(row["fix"] or "cannot look at" in row["found"], row)
        if expect is not None:
            self.assertEqual({r["name"] for r in failed}, set(expect), json.dumps(failed, indent=1))
        return {r["name"]: r for r in answer["items"]}

    def daemon(self, expect=None):
        return self.rows("--daemon", "--state-dir", str(self.gw.state), "--config", str(self.gw.config), expect=expect)

    def paired(self):
        node = self.node(self._testMethodName[5:30])
        node.pair(self.gw)
        return node

    def of_node(self, node, expect=None):
        """Rows of the pairing only."""
        return self.rows("--gateway", self.gw.gateway_id, *node.options(), expect=expect, cli=node.cli)

    def test_all_is_well(self):
        node = self.paired()
        node.run(self.gw)
        twinlatch.until(lambda: node.cli.json("node", "status", *node.options())["items"][0]["state"] == "connected", "connected")
        before = contents(self.gw.state / "secrets"), contents(node.folder)  # the daemon writes its own files as it likes
        rows = self.rows("--state-dir", str(node.folder), expect=[])
        for name in ("gateway.daemon", "gateway.version", "gateway.clock", "gateway.permissions", "gateway.keys", "gateway.ca",
                     "gateway.leaf", "gateway.store", "gateway.space", "gateway.ports", "gateway.quic", "gateway.reach",
                     "gateway.advertised", "gateway.core", "node.pairing", "node.permissions", "node.keys", "node.certificate", "node.space",
                     "node.process", "node.reach", "node.admitted", "node.clock"):
            self.assertEqual(rows[name]["verdict"], "ok", rows.get(name))
        self.assertIn(f"pid {self.gw.process.pid}", rows["gateway.ports"]["found"])
        self.assertEqual((contents(self.gw.state / "secrets"), contents(node.folder)), before, "doctor changes nothing")
        elsewhere = twinlatch.Cli(dict(self.gw.environment, TWINLATCH_GATEWAY="elsewhere"))  # where operators work
        self.rows("--daemon", expect=[], cli=elsewhere)
        people = self.cli.run("doctor", "--daemon").stdout
        self.assertIn("0 failed", people)
        self.assertIn("gateway.clock", people)

    def test_a_stopped_daemon(self):
        self.gw.stop()
        before = contents(self.gw.state)
        rows = self.daemon(["gateway.daemon"])
        for name in ("gateway.store", "gateway.ca", "gateway.leaf", "gateway.keys", "gateway.ports", "gateway.clock"):
            self.assertEqual(rows[name]["verdict"], "ok", rows[name])
        self.assertEqual(contents(self.gw.state), before)

    def test_a_daemon_that_was_killed(self):
        """The log of the database was not written back: it is looked at in a copy."""
        self.gw.pair_device("kept")
        self.gw.kill()
        before = contents(self.gw.state)
        self.assertTrue(list(self.gw.state.glob("*-wal")))
        rows = self.daemon(["gateway.daemon"])
        self.assertEqual(rows["gateway.store"]["verdict"], "ok")
        self.assertEqual(contents(self.gw.state), before)
        self.gw.start()

    def test_a_restored_gateway(self):
        self.gw.pair_device("kept")
        self.gw.stop()
        (self.gw.state / "admission.log").unlink()
        self.gw.start()
        rows = self.daemon(["gateway.restored"])
        self.assertIn("twinlatch devices confirm", rows["gateway.restored"]["fix"])
        self.cli.run("devices", "confirm", "--yes")
        self.daemon([])

    def test_permissions(self):
        for path, mode in ((self.gw.state, 0o755), (self.gw.state / "secrets" / "ca-key-g1.secret", 0o640),
                           (self.gw.state / "twinlatch.db", 0o604), (self.gw.config, 0o666)):
            with self.subTest(path.name):
                good = path.stat().st_mode & 0o777
                path.chmod(mode)
                rows = self.daemon(["gateway.permissions"])
                self.assertIn(str(path), rows["gateway.permissions"]["found"])
                self.assertIn("chmod", rows["gateway.permissions"]["fix"])
                path.chmod(good)
        self.daemon([])
        node = self.paired()
        secret = next(node.folder.glob("*/secrets/*"))
        secret.chmod(0o644)
        rows = self.of_node(node, ["node.permissions", "node.keys"])
        secret.chmod(0o600)
        self.of_node(node, [])

    def test_keys(self):
        secrets = self.gw.state / "secrets"
        key, leaf = secrets / "ca-key-g1.secret", secrets / "server-leaf.secret"
        good = key.read_bytes()
        self.gw.stop()
        key.write_bytes(b"x" + good[1:])
        self.assertIn(str(key), self.daemon(["gateway.daemon", "gateway.keys"])["gateway.keys"]["found"])
        key.unlink()
        self.daemon(["gateway.daemon", "gateway.keys"])
        key.write_bytes(good)
        key.chmod(0o600)
        text = leaf.read_bytes()
        leaf.write_bytes(text.replace(b"BEGIN CERTIFICATE", b"BEGIN SOMETHING"))
        self.daemon(["gateway.daemon", "gateway.leaf"])
        leaf.write_bytes(text)
        self.daemon(["gateway.daemon"])
        node = self.paired_after_start()
        shutil.rmtree(next(node.folder.glob("*/secrets")))
        self.of_node(node, ["node.keys"])

    def paired_after_start(self):
        self.gw.start()
        return self.paired()

    def test_encrypted_keys(self):
        gw = self.gateway("sealed", start=False)
        folder = gw.folder / "credentials"
        folder.mkdir()
        (folder / "twinlatch-secrets-key").write_bytes(os.urandom(32))
        gw.start({"CREDENTIALS_DIRECTORY": str(folder)})
        cli = twinlatch.Cli(gw.environment)
        self.assertIn("encrypted", self.rows("--daemon", expect=[], cli=cli)["gateway.keys"]["found"])
        gw.stop()
        rows = self.rows("--daemon", "--state-dir", str(gw.state), "--config", str(gw.config), expect=["gateway.daemon"], cli=cli)
        self.assertEqual(rows["gateway.leaf"]["verdict"], "skipped")

    def test_a_damaged_store(self):
        self.gw.pair_device("kept")
        self.gw.stop()
        database = self.gw.state / "twinlatch.db"
        data = bytearray(database.read_bytes())
        for page in range(3, len(data) // 4096, 2):
            data[page * 4096:page * 4096 + 64] = os.urandom(64)
        database.write_bytes(data)
        rows = self.daemon(["gateway.daemon", "gateway.store"])
        self.assertIn("backup", rows["gateway.store"]["fix"])

    def test_clock_and_certificates(self):
        if not os.path.exists(FAKETIME) or twinlatch.SANITIZED:
            self.skipTest("libfaketime is not installed, or the sanitizer would be preloaded after it")
        node = self.paired()

        def at(offset):
            return twinlatch.Cli(dict(self.gw.environment, LD_PRELOAD=FAKETIME, FAKETIME=offset, FAKETIME_DONT_FAKE_MONOTONIC="1"))

        daemon = ("--daemon", "--state-dir", str(self.gw.state), "--config", str(self.gw.config))
        pairing = ("--gateway", self.gw.gateway_id, *node.options())
        self.rows(*daemon, cli=at("-3600s"), expect=["gateway.clock", "gateway.reach", "gateway.advertised"])
        rows = self.rows(*pairing, cli=at("+2d"), expect=["node.certificate", "node.clock"])
        self.assertIn("ended", rows["node.certificate"]["found"])
        rows = self.rows(*pairing, cli=at("-20s"), expect=[])
        self.assertEqual(rows["node.clock"]["verdict"], "ok")
        rows = self.rows(*pairing, cli=at("+5m"), expect=[])
        self.assertEqual(rows["node.clock"]["verdict"], "warning")
        rows = self.rows(*pairing, cli=at("+30m"), expect=["node.clock"])
        self.gw.stop()
        future = time.time() + 7200
        os.utime(self.gw.state / "twinlatch.db", (future, future))
        self.daemon(["gateway.daemon", "gateway.clock"])
        rows = self.rows(*daemon, cli=at("+8d"), expect=["gateway.daemon", "gateway.leaf"])
        rows = self.rows(*daemon, cli=at("+4000d"), expect=["gateway.daemon", "gateway.leaf", "gateway.ca"])

    def test_ports(self):
        self.gw.stop()
        with socket.create_server(("127.0.0.1", self.gw.port)):
            rows = self.daemon(["gateway.daemon", "gateway.ports"])
            self.assertIn(f"pid {os.getpid()}", rows["gateway.ports"]["found"])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", self.gw.port))
            rows = self.daemon(["gateway.daemon", "gateway.quic"])
            self.assertIn(f"pid {os.getpid()}", rows["gateway.quic"]["found"])
        self.daemon(["gateway.daemon"])

    def test_reachability(self):
        node = self.paired()
        self.gw.stop()
        rows = self.of_node(node, ["node.reach"])
        self.assertIn("refused", rows["node.reach"]["found"].lower())
        with socket.create_server(("127.0.0.1", self.gw.port)) as other:  # accepts, and says nothing
            other.listen()
            self.of_node(node, ["node.reach"])
        stranger = self.gateway("stranger", start=False)
        stranger.port = self.gw.port
        stranger.settings.update(listen=self.gw.address, advertise=self.gw.address)
        stranger.start()
        rows = self.of_node(node, ["node.reach"])
        self.assertIn("another gateway", rows["node.reach"]["fix"])
        stranger.stop()
        self.gw.start()
        rows = self.of_node(node, [])
        self.assertEqual(rows["node.process"]["verdict"], "warning")
        self.gw.admin.RevokeDevice(device=node.marker["device_id"])
        rows = self.of_node(node, ["node.admitted"])
        self.assertIn("operator", rows["node.admitted"]["fix"])

    def test_one_dead_address_of_two_is_a_warning(self):
        node = self.paired()
        node.move_gateway(f"127.0.0.1:{twinlatch.free_port()}", self.gw.address)
        answer = json.loads(node.cli.run("doctor", "--json", "--gateway", self.gw.gateway_id, *node.options()).stdout)
        self.assertEqual([r["verdict"] for r in answer["items"] if r["name"] == "node.reach"], ["warning", "ok"])

    def test_a_hanging_daemon(self):
        self.gw.process.send(signal.SIGSTOP)
        try:
            rows = self.rows("--daemon", "--timeout", "2s", "--state-dir", str(self.gw.state), "--config", str(self.gw.config))
            self.assertEqual(rows["gateway.daemon"]["verdict"], "failed")
        finally:
            self.gw.process.send(signal.SIGCONT)

    def test_nothing_here_and_wrong_use(self):
        bare = twinlatch.Cli(dict(self.sandbox.environment, HOME="/nonexistent", XDG_STATE_HOME="/nonexistent",
                                  XDG_RUNTIME_DIR="/nonexistent"))
        if not os.path.isdir("/var/lib/twinlatch") and not os.path.isdir("/var/lib/twinlatch-node"):
            self.assertOneLine(bare.run("doctor", expect=twinlatch.EXIT_NOT_PAIRED).stderr)
        self.cli.run("doctor", "--daemon", "--gateway", "x", expect=twinlatch.EXIT_USAGE)
        self.cli.run("doctor", "--gateway", "nobody", expect=twinlatch.EXIT_NOT_PAIRED)

    def test_a_read_only_store(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount")
        with sqlite3.connect(self.gw.state / "twinlatch.db") as database:
            database.execute("BEGIN EXCLUSIVE")
            database.rollback()
        script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", script, str(self.gw.state), twinlatch.program("twinlatch"), "doctor", "--daemon",
                   "--json", "--state-dir", str(self.gw.state), "--config", str(self.gw.config)]
        done = subprocess.run(command, env=self.gw.environment, capture_output=True, text=True)
        if not done.stdout and done.stderr.startswith(("unshare", "mount")):
            self.skipTest("mount namespaces are not to be had here")  # a plain chroot
        rows = {r["name"]: r for r in json.loads(done.stdout)["items"]}
        self.assertEqual(rows["gateway.space"]["verdict"], "failed", rows)


if __name__ == "__main__":
    unittest.main()
