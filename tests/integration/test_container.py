# SPDX-License-Identifier: Apache-2.0
"""The installed product in a booted Debian 12: systemd, logind, seccomp and read-only file systems for real. Only with
TL_TEST_FULL=1 (or TL_TEST_CONTAINER=1): the first run downloads a Debian, which is kept in $TL_TEST_CACHE. The tests build upon
each other, in the order of their numbers."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

import twinlatch
import wire

PACKAGES = ["systemd", "systemd-sysv", "dbus", "libpam-systemd", "iproute2", "libgrpc29", "libprotobuf-c1", "libjansson4",
            "libsqlite3-0", "libsystemd0", "libqrencode4", "libglib2.0-0", "libssl3", "zlib1g", "libgnutls30"]
BACKPORTS = ["libngtcp2-16", "libngtcp2-crypto-gnutls8"]
MIRROR = "http://deb.debian.org/debian"
CACHE = pathlib.Path(os.environ.get("TL_TEST_CACHE", "/var/cache/twinlatch-test"))
ALICE = 1234
WANTED = twinlatch.FULL or os.environ.get("TL_TEST_CONTAINER") == "1"


def missing():
    if not WANTED:
        return "takes minutes: TL_TEST_FULL=1 or TL_TEST_CONTAINER=1 runs it"
    if os.geteuid() != 0:
        return "needs root to boot a container"
    for tool in ("systemd-nspawn", "debootstrap", "nsenter"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    return None


def call(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def debian():
    """A tar of a Debian 12 with what the product needs at run time."""
    key = hashlib.sha256(" ".join([MIRROR, *PACKAGES, *BACKPORTS]).encode()).hexdigest()[:12]
    path = CACHE / f"bookworm-{key}.tar"
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        root, part = pathlib.Path(folder, "root"), pathlib.Path(folder, "part.tar")
        done = subprocess.run(["debootstrap", "--variant=minbase", "--include=" + ",".join(PACKAGES), "bookworm", str(root), MIRROR],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest("no Debian to be had here: " + (done.stdout + done.stderr).strip().splitlines()[-1])
        (root / "etc/apt/sources.list.d/backports.list").write_text(f"deb {MIRROR} bookworm-backports main\n")
        call("chroot", str(root), "apt-get", "-q", "update")
        call("chroot", str(root), "apt-get", "-q", "-y", "--no-install-recommends", "install",
             *(f"{name}/bookworm-backports" for name in BACKPORTS))
        shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
        call("tar", "-C", str(root), "--numeric-owner", "-cf", str(part), ".")
        part.rename(path)
    return path


def build():
    """The product for /usr: the tests' build has another prefix."""
    folder = twinlatch.BUILD.parent / "build-container"
    command = ["meson", "setup", str(folder), str(wire.SOURCE), "--prefix=/usr", "-Dtests=false", "-Dwerror=true"]
    call(*command, *(["--reconfigure"] if (folder / "build.ninja").exists() else []))
    call("ninja", "-j2", "-C", str(folder))
    return folder


class Container:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="twinlatch-container.", dir="/var/tmp"))
        self.root, self.nspawn = self.folder / "root", None
        self.root.mkdir()
        call("tar", "-C", str(self.root), "--numeric-owner", "-xf", str(debian()))
        call("meson", "install", "-C", str(build()), "--no-rebuild", "--destdir", str(self.root))
        (self.root / "etc/hostname").write_text("container\n")

    def boot(self):
        self.log = open(self.folder / "console", "w")
        self.nspawn = subprocess.Popen(["systemd-nspawn", "--register=no", "--keep-unit", "--private-network", "--console=pipe", "-b",
                                        "-D", str(self.root), "--machine=twinlatch-test"], stdin=subprocess.DEVNULL, stdout=self.log,
                                       stderr=self.log)
        def leader():
            if self.nspawn.poll() is not None:
                raise unittest.SkipTest("systemd-nspawn does not boot here: " + (self.folder / "console").read_text()[-300:])
            children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
            return [c for c in children if pathlib.Path(f"/proc/{c}/comm").read_text() == "systemd\n"]  # not nspawn's helpers
        self.leader = twinlatch.until(leader, "the first process of the container")[0]
        twinlatch.until(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"),
                        "the container to be up", timeout=90, interval=0.3)

    def run(self, *command, check=True, user=None, text=None, timeout=180):
        environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root"]
        if user is not None:
            environment += ["runuser", "-u", user, "--", "env", f"HOME=/home/{user}"]
        done = subprocess.run(["nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", *environment, *command],
                              capture_output=True, text=True, errors="replace", input=text or "", timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done

    def twinlatch(self, *words, user=None):
        return json.loads(self.run("twinlatch", *words, "--json", user=user).stdout)

    def show(self, unit, name):
        return self.run("systemctl", "show", "-P", name, unit).stdout.strip()

    def shut_down(self):
        if self.nspawn is None:
            return
        if self.nspawn.poll() is None:
            os.kill(int(self.leader), signal.SIGRTMIN + 4)  # poweroff
            try:
                self.nspawn.wait(60)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
        self.nspawn = None
        self.log.close()

    def remove(self):
        self.shut_down()
        shutil.rmtree(self.folder, ignore_errors=True)


@unittest.skipIf(missing(), missing())
class InContainer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.box = Container()
        cls.addClassCleanup(cls.box.remove)
        cls.box.boot()
        cls.box.run("systemd-sysusers")
        cls.box.run("systemd-tmpfiles", "--create", check=False)
        cls.box.run("useradd", "-m", "-u", str(ALICE), "-G", "twinlatch-admin", "alice")
        cls.box.run("useradd", "-m", "bob")
        cls.box.run("systemctl", "daemon-reload")

    def run_in(self, *words, **options):
        return self.box.run(*words, **options)

    def signal(self, pid, name):
        self.run_in("bash", "-c", f"kill -{name} {pid}")

    def gateway_id(self):
        return self.box.twinlatch("status", user="alice")["gateway_id"]

    def watchdog(self, unit, seconds):
        folder = f"/run/systemd/system/{unit}.d"
        self.run_in("mkdir", "-p", folder)
        self.run_in("tee", f"{folder}/watchdog.conf", text=f"[Service]\nWatchdogSec={seconds}\n")
        self.run_in("systemctl", "daemon-reload")
        self.run_in("systemctl", "restart", unit)

    def other_pid(self, unit, before, timeout):
        return twinlatch.until(lambda: (p := self.box.show(unit, "MainPID")) not in ("0", before)
                               and self.box.show(unit, "ActiveState") == "active" and p, f"{unit} to be started again", timeout=timeout)

    def wait_node(self, system=True, user=None):
        def connected():
            item = self.box.twinlatch("node", "status", *(["--system"] if system else []), user=user)["items"][0]
            return item if item["state"] == "connected" else None
        return twinlatch.until(connected, "the node to be connected", timeout=60, interval=0.2)

    def pair(self, *options, user=None, text=None):
        """The node of the computer (or of a user) asks, alice mints and approves; returns her decision."""
        secret = self.box.twinlatch("pairing", "mint", "--pin", user="alice")["secret"]
        name = "".join(options).strip("-") or user
        prefix = ["runuser", "-u", user, "--", "env", f"HOME=/home/{user}"] if user else []
        process = twinlatch.Process(["nsenter", "-t", self.box.leader, "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "env", "-i",
                                     "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root", *prefix, "twinlatch", "node", "pair", *options,
                                     "--gateway", "127.0.0.1", "--name", name, "--from", "-"], {}, secret + "\n")
        match = process.wait_line(twinlatch.DIGITS.pattern)
        request = self.box.twinlatch("pairing", "list", user="alice")["items"][0]["request_id"]
        decided = self.box.twinlatch("pairing", "approve", request, "--code", match.group(1) + match.group(2), user="alice")
        self.assertEqual(process.wait(), 0, process.text)
        return decided

    def journal_rows(self):
        """What stands in the gateway's journal, read from a copy."""
        with tempfile.TemporaryDirectory() as folder:
            for name in ("twinlatch.db", "twinlatch.db-wal"):
                path = self.box.root / "var/lib/twinlatch" / name
                if path.exists():
                    shutil.copy(path, folder)
            database = sqlite3.connect(f"{folder}/twinlatch.db")
            try:
                return database.execute("SELECT kind, actor, subject FROM journal").fetchall()
            finally:
                database.close()

    def test_1_the_unit_starts_and_is_ready(self):
        self.assertEqual(self.run_in("systemctl", "is-enabled", "twinlatchd", check=False).stdout.strip(), "disabled")
        self.run_in("systemctl", "enable", "--now", "twinlatchd")
        self.assertEqual(self.box.show("twinlatchd", "ActiveState"), "active")
        self.assertIn(self.gateway_id(), self.box.show("twinlatchd", "StatusText"))
        self.assertEqual(self.box.show("twinlatchd", "NRestarts"), "0")
        status = self.run_in("twinlatch", "status", user="bob", check=False)
        self.assertEqual(status.returncode, twinlatch.EXIT_DENIED, status.stderr)
        self.assertIn("twinlatch-admin", status.stderr)
        pid = self.box.show("twinlatchd", "MainPID")
        status = self.run_in("cat", f"/proc/{pid}/status").stdout
        self.assertRegex(status, r"(?m)^Seccomp:\s+2$")
        self.assertRegex(status, r"(?m)^CapBnd:\s+0+$")
        self.assertRegex(status, r"(?m)^NoNewPrivs:\s+1$")
        score = self.run_in("systemd-analyze", "security", "--no-pager", "twinlatchd").stdout
        self.assertLessEqual(float(re.search(r"exposure level for \S+ ([0-9.]+)", score).group(1)), 1.5)
        report = self.run_in("twinlatch", "doctor", "--daemon", "--json")
        self.assertTrue(json.loads(report.stdout)["ok"], report.stdout)

    def test_2_a_hanging_daemon_is_started_anew(self):
        """The unit's own 30 seconds."""
        before, gateway = self.box.show("twinlatchd", "MainPID"), self.gateway_id()
        self.signal(before, "STOP")
        began = time.monotonic()
        self.other_pid("twinlatchd", before, 90)
        self.assertGreater(time.monotonic() - began, 10)
        self.assertEqual(self.gateway_id(), gateway)
        self.assertIn("Failed with result 'watchdog'", self.run_in("journalctl", "-u", "twinlatchd", "--no-pager").stdout)

    def test_3_restarts_keep_the_state(self):
        gateway = self.gateway_id()
        self.run_in("systemctl", "restart", "twinlatchd")
        self.assertEqual(self.gateway_id(), gateway)
        before = self.box.show("twinlatchd", "MainPID")
        self.signal(before, "KILL")
        self.other_pid("twinlatchd", before, 30)
        self.assertEqual(self.gateway_id(), gateway)

    def test_4_the_node_of_the_computer(self):
        early = self.run_in("twinlatch", "node", "install", "--system", "--start", check=False)
        self.assertEqual(early.returncode, twinlatch.EXIT_NOT_PAIRED, early.stderr)
        self.assertIn("node pair --system", early.stderr)
        self.run_in("mkdir", "/srv/roots")
        taken = self.run_in("twinlatch", "node", "pair", "--system", "--state-dir", "/srv/roots", "--from", "/dev/null", check=False)
        self.assertIn("chown", taken.stderr)
        self.assertEqual((self.box.root / "srv/roots").stat().st_uid, 0, "a folder that was there is not given away")
        decided = self.pair("--system")
        self.assertEqual(decided["decided_by"], f"uid:{ALICE}")
        self.assertIn(("pairing.approved", f"uid:{ALICE}"), [row[:2] for row in self.journal_rows()])
        for path in (self.box.root / "var/lib/twinlatch-node").rglob("*"):
            self.assertNotEqual(path.lstat().st_uid, 0, f"{path} belongs to root")
        plan = self.box.twinlatch("node", "install", "--system", "--start", "--dry-run")
        self.assertEqual((len(plan["steps"]), plan["installed"]), (2, False))
        made = self.box.twinlatch("node", "install", "--system", "--start")
        self.assertEqual((made["service"], made["scope"], made["name"], made["installed"], made["running"]),
                         ("systemd", "system", "twinlatch-node.service", True, True))
        status = self.wait_node()
        self.assertEqual((status["transport"], status["address"], status["service"]["kind"]), ("quic", "127.0.0.1:7444", "systemd"))
        self.assertEqual(str(status["pid"]), self.box.show("twinlatch-node", "MainPID"))
        self.assertEqual(self.box.twinlatch("exec", "system", "echo", "[1]", user="alice")["output"], [1])
        self.assertEqual(self.box.twinlatch("exec", "system", "system.info", user="alice")["output"]["host"], "container")
        self.assertTrue(self.box.twinlatch("node", "install", "--system", "--start")["already"])
        self.assertTrue(json.loads(self.run_in("twinlatch", "doctor", "--json").stdout)["ok"])
        denied = self.run_in("twinlatch", "node", "install", "--system", user="bob", check=False)
        self.assertEqual(denied.returncode, twinlatch.EXIT_DENIED, denied.stderr)

    def test_5_the_node_is_on_the_system_bus(self):
        """Else it would not hear of suspend (PrivateUsers=, the system call filter)."""
        pid = self.box.show("twinlatch-node", "MainPID")
        twinlatch.until(lambda: re.search(rf"(?m)^:\S+\s+{pid}\s", self.run_in("busctl", "list", "--no-pager").stdout), "the node on the bus")

    def test_6_a_hanging_and_a_killed_node_are_started_anew(self):
        self.watchdog("twinlatch-node.service", 3)
        for number in ("STOP", "KILL"):
            before = str(self.wait_node()["pid"])
            self.signal(before, number)
            self.other_pid("twinlatch-node", before, 60)
            self.assertNotEqual(str(self.wait_node()["pid"]), before)
        self.run_in("systemctl", "stop", "twinlatchd")  # ready without a gateway, and back when it is
        self.run_in("systemctl", "restart", "twinlatch-node", timeout=20)
        self.assertEqual(self.box.show("twinlatch-node", "ActiveState"), "active")
        self.run_in("systemctl", "start", "twinlatchd")
        self.wait_node()

    def test_7_both_come_up_with_the_computer(self):
        gateway = self.gateway_id()
        self.box.shut_down()
        self.box.boot()
        self.assertEqual(self.gateway_id(), gateway)
        self.wait_node()

    def test_8_the_node_of_a_user(self):
        self.run_in("loginctl", "enable-linger", "alice")
        twinlatch.until(lambda: os.path.exists(self.box.root / "var/lib/systemd/linger/alice")
                        and self.run_in("test", "-S", f"/run/user/{ALICE}/systemd/private", check=False).returncode == 0, "alice's manager")
        self.pair(user="alice")
        made = self.box.twinlatch("node", "install", "--start", user="alice")
        self.assertEqual((made["service"], made["scope"], made["installed"], made["running"]), ("systemd", "user", True, True))
        first = self.wait_node(system=False, user="alice")["pid"]
        self.box.twinlatch("node", "restart", user="alice")
        self.assertNotEqual(self.wait_node(system=False, user="alice")["pid"], first)
        self.assertEqual(self.box.twinlatch("node", "stop", user="alice")["running"], False)
        gone = self.box.twinlatch("node", "uninstall", user="alice")
        self.assertEqual((gone["installed"], gone["running"]), (False, False))
        # A service of its own for that gateway; with a configuration the unit is written.
        self.run_in("tee", "/home/alice/node.conf", text="[policy echo]\nmode=deny\n")
        words = ["--gateway", self.gateway_id()]
        made = self.box.twinlatch("node", "install", "--start", *words, "--config", "/home/alice/node.conf", user="alice")
        unit = f"home/alice/.config/systemd/user/{made['name']}"
        self.assertIn("/home/alice/node.conf", (self.box.root / unit).read_text())
        self.wait_node(system=False, user="alice")
        self.box.twinlatch("node", "uninstall", *words, user="alice")
        self.assertFalse((self.box.root / unit).exists())

    def test_9_taken_away_again(self):
        self.assertEqual(self.box.twinlatch("node", "uninstall", "--system")["running"], False)
        self.assertTrue(self.box.twinlatch("node", "uninstall", "--system")["already"])
        self.run_in("twinlatch", "node", "forget", "--system", "--yes")
        self.assertEqual(list((self.box.root / "var/lib/twinlatch-node").iterdir()), [])
        # Secrets are encrypted from the first start on, when the credential is there.
        self.run_in("systemctl", "stop", "twinlatchd")
        shutil.rmtree(self.box.root / "var/lib/twinlatch")
        self.run_in("mkdir", "-p", "-m", "700", "/etc/credstore")
        self.run_in("dd", "if=/dev/urandom", "of=/etc/credstore/twinlatch-secrets-key", "bs=32", "count=1")
        self.run_in("systemctl", "start", "twinlatchd")
        self.assertTrue(self.box.twinlatch("status")["secrets_encrypted"])
        self.run_in("systemctl", "restart", "twinlatchd")
        rows = {r["name"]: r for r in json.loads(self.run_in("twinlatch", "doctor", "--daemon", "--json").stdout)["items"]}
        self.assertEqual(rows["gateway.keys"]["verdict"], "ok", rows["gateway.keys"])


if __name__ == "__main__":
    unittest.main()
