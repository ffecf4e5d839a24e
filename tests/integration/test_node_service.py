# SPDX-License-Identifier: Apache-2.0
"""`twinlatch node install|start|stop|restart|uninstall` where no systemd is: a supervised background process with a checked
pid file. With systemd: test_container.py."""
import concurrent.futures
import json
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import time
import unittest

import twinlatch

SYSTEMD = os.path.isdir("/run/systemd/system")


def start_ticks(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except FileNotFoundError:
        return None


@unittest.skipIf(SYSTEMD, "systemd runs here: services would be real units")
class NodeService(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()

    def setUp(self):
        self.n = self.node(self._testMethodName[5:35])
        self.n.pair(self.gw)
        self.folder = next(self.n.folder.glob("*/gateway.json")).parent
        self.addCleanup(self.verb, "uninstall")

    def verb(self, *words, expect=0, **options):
        done = self.n.cli.run("node", *words, *self.n.options(), "--json", expect=expect, **options)
        return json.loads(done.stdout if expect == 0 else done.stderr)

    def status(self):
        return self.verb("status")["items"][0]

    def wait_status(self, condition, what):
        return twinlatch.until(lambda: (s := self.status()) if condition(self.status()) else None, what)

    def connected(self, other_than=None):
        return self.wait_status(lambda s: s["state"] == "connected" and s["pid"] != other_than, "a connected node")

    def test_life(self):
        self.assertIsNone(self.status()["service"])
        plan = self.verb("install", "--start", "--dry-run")
        self.assertTrue(plan["dry_run"] and len(plan["steps"]) == 2 and not plan["installed"] and not plan["running"], plan)
        self.assertIsNone(self.status()["service"], "a dry run changes nothing")
        self.assertEqual(self.verb("start", expect=1)["error"]["reason"], "failed_precondition")
        self.assertEqual(self.verb("restart", expect=1)["error"]["reason"], "failed_precondition")

        made = self.verb("install", "--start")
        self.assertEqual((made["service"], made["scope"], made["installed"], made["running"], made["already"]),
                         ("supervised", "user", True, True, False))
        status = self.connected()
        self.assertEqual((status["service"]["kind"], status["service"]["running"], status["transport"], status["address"]),
                         ("supervised", True, "quic", self.gw.address))
        self.assertEqual((status["transport_reason"], status["packets_lost"], status["migrations"]), ("", 0, 0))
        self.assertGreater(status["connected_since_unix_ms"], 0)
        self.assertNotEqual(status["pid"], made["pid"], "the supervisor is not the node")
        self.assertGreater(status["certificate_not_after_unix_ms"], time.time() * 1000)
        self.assertEqual(self.gw.execute(self.n.marker["device_id"], "echo", "1")[-1].output, "1")
        for words in (["install"], ["install", "--start"], ["start"]):
            again = self.verb(*words)
            self.assertEqual((again["already"], again["pid"], again["steps"]), (True, made["pid"], []))

        restarted = self.verb("restart")
        self.assertNotEqual(restarted["pid"], made["pid"])
        self.connected(other_than=status["pid"])
        stopped = self.verb("stop")
        self.assertEqual((stopped["installed"], stopped["running"], stopped["pid"]), (True, False, None))
        self.assertEqual(self.verb("stop")["already"], True)
        self.assertEqual((self.status()["running"], self.status()["service"]["running"]), (False, False))
        self.gw.wait_node(self.n.marker["device_id"], connected=False)
        self.verb("start")
        self.connected()
        gone = self.verb("uninstall")
        self.assertEqual((gone["installed"], gone["running"]), (False, False))
        self.assertEqual(self.verb("uninstall")["already"], True)
        self.assertIsNone(self.status()["service"])

    def test_a_killed_node_starts_again(self):
        supervisor = self.verb("install", "--start")["pid"]
        before = self.connected()["pid"]
        for _ in range(5 if twinlatch.FULL else 2):
            os.kill(before, signal.SIGKILL)
            before = self.connected(other_than=before)["pid"]
        self.assertEqual(self.status()["service"]["running"], True)
        self.assertEqual(self.verb("start")["pid"], supervisor)
        self.assertIn("was ended by signal 9", (self.folder / "node.log").read_text())
        self.assertEqual((self.folder / "node.log").stat().st_mode & 0o777, 0o600)

    def test_a_killed_supervisor_takes_the_node_along(self):
        supervisor = self.verb("install", "--start")["pid"]
        node = self.connected()["pid"]
        ticks = start_ticks(node)
        os.kill(supervisor, signal.SIGKILL)
        twinlatch.until(lambda: start_ticks(node) != ticks, "the end of the node")
        self.assertEqual(self.status()["service"]["running"], False)
        self.assertNotEqual(self.verb("start")["pid"], supervisor)
        self.connected(other_than=node)

    def test_a_recycled_pid_is_left_alone(self):
        self.verb("install")
        bystander = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(bystander.wait)
        self.addCleanup(bystander.kill)
        pid_file = self.folder / "node.pid"
        for text in (f"{bystander.pid} {start_ticks(bystander.pid)}\n", f"{bystander.pid} 1\n", "nonsense"):
            pid_file.write_text(text)
            self.assertEqual(self.verb("stop")["already"], True)
            self.assertEqual(self.status()["service"]["running"], False)
        self.assertIsNone(bystander.poll())
        self.verb("start")
        self.connected()
        self.verb("stop")
        self.assertIsNone(bystander.poll())

    def test_many_starts_at_once_make_one(self):
        self.verb("install")
        command = [twinlatch.program("twinlatch"), "node", "start", *self.n.options(), "--json"]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda _: subprocess.run(command, env=self.n.cli.environment, capture_output=True, text=True),
                                 range(8)))
        pids = {json.loads(d.stdout)["pid"] for d in done if d.returncode == 0}
        self.assertEqual(len(pids), 1, done)
        for d in done:  # one that lost the race while the winner began says so
            self.assertTrue(d.returncode == 0 or json.loads(d.stderr)["error"]["reason"] == "in_use", d)
        self.connected()

    def test_it_gives_up_where_only_a_person_can_help(self):
        config = self.n.folder / "node.conf"
        config.write_text("[node]\nnonsense=1\n")
        self.verb("install", "--config", str(config))
        self.n.cli.run("node", "start", *self.n.options(), expect=None)  # it may have ended by the time it is looked for
        twinlatch.until(lambda: not self.status()["service"]["running"], "the supervisor to give up")
        log = (self.folder / "node.log").read_text()
        self.assertIn(f"{config}:2", log)
        self.assertIn("ended with status 10", log)
        self.assertEqual(log.count("supervisor started"), 1)
        config.write_text("[policy echo]\nmode=deny\n")
        self.verb("start")
        self.connected()
        self.assertNotEqual(self.gw.execute(self.n.marker["device_id"], "echo", "1")[-1].output, "1", "denied by that file")

    def test_forgetting_a_running_pairing_is_refused(self):
        self.verb("install", "--start")
        self.connected()
        done = self.n.cli.run("node", "forget", "--yes", *self.n.options(), expect=twinlatch.EXIT_STATE)
        self.assertIn("stop it first", done.stderr)
        self.assertTrue((self.folder / "secrets").is_dir())

    def test_errors(self):
        cli = twinlatch.Cli(dict(self.sandbox.environment))
        empty = self.sandbox.root / "empty"
        for verb in ("install", "start", "stop", "restart", "uninstall"):
            with self.subTest(verb):
                done = cli.run("node", verb, "--state-dir", str(empty), expect=twinlatch.EXIT_NOT_PAIRED)
                self.assertOneLine(done.stderr)
                self.assertIn("twinlatch node pair", done.stderr)
        self.assertFalse(empty.exists())
        done = cli.run("node", "install", *self.n.options(), "--gateway", "nobody", expect=twinlatch.EXIT_NOT_PAIRED)
        self.assertIn("nobody", done.stderr)
        done = cli.run("node", "install", *self.n.options(), "--config", "/x\n[Service]", expect=twinlatch.EXIT_USAGE)
        self.assertIn("control characters", done.stderr)
        try:
            pwd.getpwnam("twinlatch-node")
        except KeyError:
            done = cli.run("node", "install", "--system", expect=1)
            self.assertOneLine(done.stderr)
            self.assertIn("systemd-sysusers", done.stderr)

    def test_watchdog_and_readiness(self):
        """Ready at once, though the gateway is away; the watchdog is fed as long as the main loop turns."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            path = str(self.n.folder / "notify")
            notify.bind(path)
            notify.settimeout(twinlatch.PATIENCE)
            self.gw.stop()
            try:
                environment = dict(self.n.cli.environment, NOTIFY_SOCKET=path, WATCHDOG_USEC="600000")
                process = twinlatch.Process([twinlatch.program("twinlatch"), "node", "run", *self.n.options()], environment)
                self.addCleanup(process.stop)
                seen = []
                while seen.count("WATCHDOG=1") < 3:
                    seen.append(notify.recv(4096).decode())
                self.assertIn("READY=1", seen)
                self.assertFalse([s for s in seen if s.startswith("STATUS=connected")])
            finally:
                self.gw.start()


if __name__ == "__main__":
    unittest.main()
