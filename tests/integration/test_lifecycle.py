# SPDX-License-Identifier: Apache-2.0
"""How twinlatchd starts, refuses to start, and stops."""
import contextlib
import ctypes
import hashlib
import os
import signal
import socket
import stat
import subprocess
import time
import unittest

import twinlatch
from pynode import PythonNode


def fingerprint(folder):
    """Names, modes and contents below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        if not stat.S_ISSOCK(info.st_mode) and path.name != "twinlatchd.lock":  # it says who tried last
            data = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path.relative_to(folder))] = (stat.filemode(info.st_mode), data)
    return found


class Lifecycle(twinlatch.TestCase):
    def setUp(self):
        self.gw = self.gateway(name=self._testMethodName[:30], start=False)
        self.addCleanup(self.gw.stop)

    def refuses(self, expect, *words, environment=None, command=None):
        """It does not start: one line that says why, the exit code, nothing on standard output."""
        if not self.gw.config.exists() and command is None:
            self.gw.write_config()
        done = subprocess.run(command or self.gw.command("--print-ready"), env=dict(self.gw.environment, **(environment or {})),
                              capture_output=True, text=True, timeout=twinlatch.PATIENCE)
        self.assertEqual(done.returncode, expect, done.stderr)
        self.assertEqual(done.stdout, "")
        last = done.stderr.strip().splitlines()[-1]
        self.assertTrue(last.startswith("twinlatchd: "), done.stderr)
        for word in words:
            self.assertIn(str(word).lower(), last.lower())
        return last

    def test_a_second_daemon_on_the_same_state_says_so(self):
        self.gw.start()
        before = self.gw.admin.GetStatus().started_at_unix_ms
        self.refuses(twinlatch.EXIT_STATE, self.gw.process.pid, "state")
        elsewhere = str(self.gw.folder / "other.sock")
        self.refuses(twinlatch.EXIT_STATE, self.gw.process.pid, command=self.gw.command("--socket", elsewhere))
        self.assertEqual(self.gw.admin.GetStatus().started_at_unix_ms, before, "the first one is not disturbed")
        self.gw.kill()
        self.gw.start()  # the kernel released the lock with its owner

    def test_sigterm_and_sigint_end_it_cleanly(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.gw.start()
            device = self.gw.pair_device(f"device {number}")
            node = PythonNode(self.gw, device)
            node.open()
            process, began = self.gw.process, time.monotonic()
            self.assertEqual(process.stop(number, timeout=15), 0, process.text)
            self.assertLess(time.monotonic() - began, 4, "an idle event stream is nothing to wait for")
            self.gw.disconnect()
            self.gw.process = None
            self.assertFalse(os.path.exists(self.gw.socket), "the socket goes with it")
            self.assertFalse(list(self.gw.state.glob("twinlatch.db-wal")), "the log is checkpointed at the end")

    def test_sigterm_right_after_ready(self):
        for _ in range(10):
            process = self.gw.launch()
            process.wait_line('"ready"')
            self.assertEqual(process.stop(), 0, process.text)

    def test_it_comes_back_as_the_same_gateway(self):
        self.gw.start()
        first, ca, leaf = self.gw.gateway_id, self.gw.ca_pem, self.gw.server_leaf()
        self.gw.restart()
        self.assertEqual((self.gw.gateway_id, self.gw.ca_pem, self.gw.server_leaf()), (first, ca, leaf))
        self.gw.restart(kill=True)
        self.assertEqual((self.gw.gateway_id, self.gw.ca_pem), (first, ca))

    def test_check_config_starts_nothing(self):
        self.gw.write_config()
        done = subprocess.run(self.gw.command("--check-config"), env=self.gw.environment, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertFalse(self.gw.state.exists())

    def test_configuration_errors_name_file_and_line(self):
        for text, line, word in (("[gateway]\nname=x\nlistne=127.0.0.1:1\n", 3, "listne"), ("[gatewya]\nname=x\n", 1, "gatewya"),
                                 ("[gateway]\nname=a\nname=b\n", 3, "name"), ("[limits]\n\nsessions=many\n", 3, "sessions"),
                                 ("[gateway]\nlisten=127.0.0.1:99999\n", 2, "listen"), ("[limits]\nstrangers=0\n", 2, "strangers"),
                                 ("[gateway]\ndevice-certificate-lifetime=1s\n", 2, "lifetime"), ("nonsense\n", 1, ""),
                                 ("[gateway]\nlog-level=loud\n", 2, "log-level"),
                                 ("[gateway]\nadvertise=" + ";".join(f"192.0.2.{i}" for i in range(5)) + "\n", 2, "advertise")):
            with self.subTest(text):
                self.gw.config.write_text(text)
                for check in ([], ["--check-config"]):
                    self.refuses(twinlatch.EXIT_CONFIG, f"{self.gw.config}:{line}", word, command=self.gw.command(*check))
        self.assertFalse(self.gw.state.exists())
        self.gw.config.unlink()
        self.refuses(twinlatch.EXIT_CONFIG, self.gw.config, command=self.gw.command("--check-config"))

    def test_wrong_options(self):
        self.gw.write_config()
        self.refuses(twinlatch.EXIT_USAGE, "--nonsense", command=self.gw.command("--nonsense"))
        self.refuses(twinlatch.EXIT_USAGE, "leftover", command=self.gw.command("leftover"))

    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", self.gw.port)):
            self.refuses(twinlatch.EXIT_STATE, self.gw.port, "use")
        other = self.gateway("other")
        self.gw.settings["listen"] = other.address
        self.gw.write_config()
        self.refuses(twinlatch.EXIT_STATE, other.port, "use")
        self.assertTrue(other.admin.GetStatus().store_writable)

    def test_socket_in_use(self):
        other = self.gateway("first")
        self.gw.write_config()
        self.refuses(twinlatch.EXIT_STATE, other.socket, command=self.gw.command("--socket", other.socket))
        self.assertTrue(other.admin.GetStatus().store_writable, "the socket was not stolen")

    def test_a_newer_store_is_refused_and_untouched(self):
        self.gw.start()
        self.gw.pair_device("kept")
        self.gw.stop()
        version = self.gw.edit_database(("PRAGMA user_version",), ("PRAGMA user_version = 99",))[0][0][0]
        before = fingerprint(self.gw.state)
        self.refuses(twinlatch.EXIT_STATE, "99", "newer")
        self.assertEqual(fingerprint(self.gw.state), before)
        self.gw.edit_database((f"PRAGMA user_version = {version}",))
        self.gw.start()
        self.assertEqual([d.name for d in self.gw.admin.ListDevices().devices], ["kept"])

    def test_a_damaged_store_is_refused_and_untouched(self):
        self.gw.start()
        self.gw.stop()
        (self.gw.state / "twinlatch.db").write_bytes(b"this is no database" * 1000)
        before = fingerprint(self.gw.state)
        self.refuses(twinlatch.EXIT_STATE, "twinlatch.db")
        self.assertEqual(fingerprint(self.gw.state), before)

    def test_a_ca_without_its_key_is_not_replaced(self):
        self.gw.start()
        self.gw.stop()
        (self.gw.state / "secrets" / "ca-key-g1.secret").unlink()
        before = fingerprint(self.gw.state)
        self.refuses(twinlatch.EXIT_STATE, "ca-key-g1")
        self.assertEqual(fingerprint(self.gw.state), before)

    def test_a_read_only_store_is_refused_and_untouched(self):
        self.gw.start()
        self.gw.stop()
        before, state = fingerprint(self.gw.state), str(self.gw.state)
        if os.geteuid() == 0:
            script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", script, state, *self.gw.command("--print-ready")]
            if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
                self.skipTest("mount namespaces are not to be had here")
            self.refuses(twinlatch.EXIT_STATE, "read-only", command=command)
        else:
            for path in [self.gw.state, *self.gw.state.rglob("*")]:
                path.chmod(0o500 if path.is_dir() else 0o400)
            before = fingerprint(self.gw.state)
            self.refuses(twinlatch.EXIT_DENIED, "permission denied")
        self.assertEqual(fingerprint(self.gw.state), before)

    def test_readiness_reaches_systemd(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            path = str(self.gw.folder / "notify")
            notify.bind(path)
            notify.settimeout(twinlatch.PATIENCE)
            self.gw.start({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})
            seen = [notify.recv(4096).decode() for _ in range(3)]
            self.assertIn("READY=1", seen[0])
            self.assertEqual(seen[1:], ["WATCHDOG=1"] * 2)
            self.gw.stop()
            while "STOPPING=1" not in (message := notify.recv(4096).decode()):
                self.assertEqual(message, "WATCHDOG=1")

    def test_a_hanging_main_loop_is_not_petted(self):
        """The watchdog is fed by the thread that decides, not by one that would go on without it."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        seize, interrupt, detach, all_threads = 0x4206, 0x4207, 17, 0x40000000
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            path = str(self.gw.folder / "notify")
            notify.bind(path)
            self.gw.start({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
            pid = self.gw.process.pid
            if libc.ptrace(seize, pid, None, None) != 0:  # the main thread only
                self.skipTest(f"no ptrace here: {os.strerror(ctypes.get_errno())}")
            libc.ptrace(interrupt, pid, None, None)
            os.waitpid(pid, all_threads)
            others = [t for t in os.listdir(f"/proc/{pid}/task") if int(t) != pid]
            states = {open(f"/proc/{pid}/task/{t}/stat").read().rsplit(")", 1)[1].split()[0] for t in others}
            notify.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    notify.recv(4096)
            notify.settimeout(1.0)
            self.assertNotIn("t", states, "the other threads go on")
            self.assertRaises(TimeoutError, notify.recv, 4096)
            libc.ptrace(detach, pid, None, None)
            notify.settimeout(twinlatch.PATIENCE)
            self.assertEqual(notify.recv(4096), b"WATCHDOG=1")
            self.gw.stop()

    def test_secrets_are_encrypted_with_a_credential(self):
        folder = self.gw.folder / "credentials"
        folder.mkdir()
        key = folder / "twinlatch-secrets-key"
        key.write_bytes(os.urandom(32))
        self.gw.start({"CREDENTIALS_DIRECTORY": str(folder)})
        self.assertTrue(self.gw.admin.GetStatus().secrets_encrypted)
        self.gw.stop()
        for path in (self.gw.state / "secrets").iterdir():
            self.assertNotIn(b"PRIVATE KEY", path.read_bytes())
        self.refuses(twinlatch.EXIT_STATE, "credential")
        key.write_bytes(os.urandom(32))
        self.refuses(twinlatch.EXIT_STATE, "key", environment={"CREDENTIALS_DIRECTORY": str(folder)})

    def test_modes_of_what_it_makes(self):
        self.gw.start()
        self.assertEqual(stat.S_IMODE(self.gw.state.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(self.gw.socket).st_mode) & 0o007, 0)
        with open(f"/proc/{self.gw.process.pid}/limits") as limits:
            core = next(line for line in limits if line.startswith("Max core file size"))
        self.assertIn(" 0 ", core, "no core files of the daemon")

    def test_both_wildcards(self):
        """The default is 0.0.0.0 and [::]; each alone is both families for gRPC."""
        port = self.gw.port
        self.gw.settings.update(listen=f"0.0.0.0:{port};[::]:{port}")
        self.gw.start()
        self.assertEqual(self.gw.ready["grpc"], [f"0.0.0.0:{port}", f"[::]:{port}"])
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port), timeout=twinlatch.PATIENCE):
                pass

    def test_ipv6(self):
        port = twinlatch.free_port("::1")
        self.gw.settings.update(listen=f"{self.gw.address};[::1]:{port}", advertise=f"[::1]:{port}")
        self.gw.start()
        self.assertEqual(sorted(self.gw.ready["grpc"]), sorted([self.gw.address, f"[::1]:{port}"]))
        node = self.node("six")
        node.pair(self.gw, "link")
        node.run(self.gw)
        self.assertEqual(self.gw.execute("six", "echo", "6")[-1].output, "6")

    def test_many_restarts_lose_no_device(self):
        self.gw.start()
        names = []
        for number in range(20 if twinlatch.FULL else 4):
            names.append(self.gw.pair_device(f"device {number}").name)
            self.gw.restart(kill=number % 2 == 0)
        self.assertEqual(sorted(d.name for d in self.gw.admin.ListDevices().devices), sorted(names))

    def test_the_log_holds_no_secrets(self):
        self.gw.start()
        code = self.gw.mint("pin")
        session = self.gw.session(code)
        session.start()
        session.exchange()
        session.complete()
        self.gw.approve(session.request_id, session.comparison)
        session.finish()
        self.gw.stop()
        log = self.gw.logs[-1]
        self.assertIn("pairing", log)
        for secret in (code.secret, code.text, session.comparison):
            self.assertNotIn(secret, log)


if __name__ == "__main__":
    unittest.main()
