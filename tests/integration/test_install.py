# SPDX-License-Identifier: Apache-2.0
"""`meson install` into a DESTDIR (tests/runner/run.py does it before): everything is there and its tools accept it."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import twinlatch
import wire

ROOT = twinlatch.BUILD / "install-root"


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not ROOT.is_dir():
            done = run("meson", "install", "-C", str(twinlatch.BUILD), "--no-rebuild", "--destdir", str(ROOT))
            if done.returncode != 0:
                raise AssertionError(done.stdout + done.stderr)
        cls.prefix = next(p for p in (ROOT / "usr" / "local", ROOT / "usr") if (p / "bin").is_dir())

    def pages(self):
        return sorted(p for p in (self.prefix / "share" / "man").rglob("*") if p.is_file())

    def test_every_file_is_there(self):
        for name in ("bin/twinlatch", "sbin/twinlatchd", "lib/systemd/system/twinlatchd.service",
                     "lib/systemd/user/twinlatch-node.service", "lib/systemd/user/twinlatch-node@.service",
                     "lib/systemd/system/twinlatch-node.service", "lib/systemd/system/twinlatch-node@.service",
                     "share/man/man8/twinlatch-node.8", "share/man/man5/twinlatch-node.conf.5", "lib/sysusers.d/twinlatch.conf", "lib/tmpfiles.d/twinlatch.conf",
                     "share/man/man1/twinlatch.1", "share/man/man8/twinlatchd.8", "share/man/man5/twinlatchd.conf.5",
                     "share/bash-completion/completions/twinlatch", "share/bash-completion/completions/twinlatchd",
                     "share/zsh/site-functions/_twinlatch", "share/zsh/site-functions/_twinlatchd",
                     "share/fish/vendor_completions.d/twinlatch.fish", "share/fish/vendor_completions.d/twinlatchd.fish",
                     "share/doc/twinlatch/examples/twinlatchd.conf", "share/doc/twinlatch/examples/node.conf",
                     "share/locale/de/LC_MESSAGES/twinlatch.mo"):
            with self.subTest(name):
                self.assertTrue((self.prefix / name).is_file(), name)

    def test_nothing_else_is_installed(self):
        """No static library, test or header slips in."""
        for path in ROOT.rglob("*"):
            self.assertNotIn(path.suffix, (".a", ".h", ".in"), path)
        self.assertEqual(sorted(p.name for p in (self.prefix / "bin").iterdir()), ["twinlatch"])

    def test_installed_programs_run(self):
        for name in ("bin/twinlatch", "sbin/twinlatchd"):
            done = run(str(self.prefix / name), "--version")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"\d+\.\d+\.\d+")

    def test_man_pages(self):
        self.assertGreaterEqual(len(self.pages()), 3)
        for page in self.pages():
            with self.subTest(page.name):
                done = run("man", "--warnings", "-l", str(page), env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80", MAN_KEEP_STDERR="1"))
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual(run("lexgrog", str(page)).returncode, 0)

    def test_units_verify(self):
        with tempfile.TemporaryDirectory() as folder:
            for kind, name in (("system", "twinlatchd.service"), ("user", "twinlatch-node.service"),
                               ("system", "twinlatch-node.service"), ("user", "twinlatch-node@.service"),
                               ("system", "twinlatch-node@.service")):
                text = (self.prefix / "lib/systemd" / kind / name).read_text()
                self.assertNotIn("@", re.sub(r"@(system-service|privileged|resources)", "", text))
                text = re.sub(r"^(ExecStart=)(\S+)", lambda m: m.group(1) + str(ROOT) + m.group(2), text, flags=re.M)
                unit = pathlib.Path(folder, name.replace("@.", "@x."))
                unit.write_text(text)
                command = ["systemd-analyze", "verify", "--man=no", *(["--user"] if kind == "user" else []), str(unit)]
                done = run(*command, env=dict(os.environ, XDG_RUNTIME_DIR=folder))
                mine = [line for line in done.stderr.splitlines() if unit.name in line]
                self.assertEqual((done.returncode, mine), (0, []), done.stderr)

    def test_the_services_are_hardened(self):
        for name in ("twinlatchd.service", "twinlatch-node.service"):
            unit = self.prefix / "lib/systemd/system" / name
            done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=15", str(unit))
            self.assertEqual(done.returncode, 0, done.stdout[-400:])
            text = unit.read_text()
            self.assertIn("Type=notify", text)
            self.assertIn("WatchdogSec=", text)
            self.assertIn("LimitCORE=0", text)
        self.assertIn("PrivateUsers=no", (self.prefix / "lib/systemd/system/twinlatchd.service").read_text(),
                      "it would turn every peer uid into 65534")

    def test_sysusers_and_tmpfiles_parse(self):
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(f"{folder}/etc")
            done = run("systemd-sysusers", f"--root={folder}", str(self.prefix / "lib/sysusers.d/twinlatch.conf"))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("twinlatch-admin", pathlib.Path(folder, "etc/group").read_text())
            self.assertIn("twinlatch:", pathlib.Path(folder, "etc/passwd").read_text())
            self.assertIn("twinlatch-node:", pathlib.Path(folder, "etc/passwd").read_text())
            if os.geteuid() == 0:
                done = run("systemd-tmpfiles", "--create", f"--root={folder}", str(self.prefix / "lib/tmpfiles.d/twinlatch.conf"))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(os.stat(f"{folder}/var/lib/twinlatch").st_mode & 0o777, 0o700)

    def test_bash_completions(self):
        for name in ("twinlatch", "twinlatchd"):
            path = self.prefix / "share/bash-completion/completions" / name
            self.assertEqual(run("bash", "-n", str(path)).returncode, 0)
        script = (". /usr/share/bash-completion/bash_completion; . {}; COMP_WORDS=(twinlatchd --c); COMP_CWORD=1; "
                  "COMP_LINE='twinlatchd --c'; COMP_POINT=14; _twinlatchd; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        done = run("bash", "-c", script.format(self.prefix / "share/bash-completion/completions/twinlatchd"))
        self.assertEqual(sorted(done.stdout.split()), ["--check-config", "--config"], done.stderr)

    def complete(self, shell, line, environment=None):
        """What the shell offers at the end of a command line."""
        words = line.split(" ")
        if shell == "bash":
            script = (f". /usr/share/bash-completion/bash_completion; . '{self.prefix}/share/bash-completion/completions/twinlatch'; "
                      f"COMP_WORDS=({' '.join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; COMP_LINE='{line}'; "
                      f"COMP_POINT={len(line)}; _twinlatch; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
            done = run("bash", "-c", script, env=environment)
        else:
            # compadd is ours: it prints what zsh would show; no terminal is needed then.
            script = ("compdef() { :; }; _arguments() { local a; for a; do case $a in (*:_twinlatch_*) ${a##*:};; esac; done }; "
                      "_describe() { print -l ${${(P)4}%%:*} }; compadd() { shift; print -l -- $@ }; "
                      f"words=({' '.join(repr(w) for w in words)}); CURRENT={len(words)}; "
                      f". '{self.prefix}/share/zsh/site-functions/_twinlatch'")
            done = run("zsh", "-f", "-c", script, env=environment)
        self.assertEqual(done.stderr, "")
        return sorted(set(done.stdout.split()))

    def test_completion_of_verbs(self):
        group = ["forget", "install", "pair", "restart", "run", "start", "status", "stop", "uninstall"]
        for shell in ("bash", "zsh"):
            with self.subTest(shell):
                self.assertEqual(self.complete(shell, "twinlatch node "), group)
                self.assertIn("doctor", self.complete(shell, "twinlatch "))
        self.assertEqual(self.complete("bash", "twinlatch node install --s"), ["--socket", "--start", "--state-dir", "--system"])

    def test_completion_of_names(self):
        """Devices are asked for; what is not a plain word, or takes longer than a second, is not offered."""
        with tempfile.TemporaryDirectory() as folder:
            fake = pathlib.Path(folder, "twinlatch")
            answer = ('{"items":[{"device_id":"01ABC","name":"laptop"},{"device_id":"01DEF","name":"$(touch ' + folder + '/evil)"},'
                      '{"device_id":"01GHI","name":"two words"},{"device_id":"01JKL","name":"a\\",\\"name\\":\\"b"}]}')
            fake.write_text(f"#!/bin/sh\n[ \"$1 $2\" = 'devices list' ] && cat <<'END'\n{answer}\nEND\n")
            fake.chmod(0o755)
            environment = dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}")
            for shell in ("bash", "zsh"):
                for line in ("twinlatch devices revoke ", "twinlatch exec "):
                    with self.subTest(shell=shell, line=line):
                        self.assertEqual(self.complete(shell, line, environment), ["01ABC", "01DEF", "01GHI", "01JKL", "laptop"])
            self.assertEqual(self.complete("bash", "twinlatch exec laptop ", environment), [])
            self.assertFalse(os.path.exists(f"{folder}/evil"))
            fake.write_text("#!/bin/sh\nsleep 30\n")
            began = time.monotonic()
            self.assertEqual(self.complete("bash", "twinlatch exec ", environment), [])
            self.assertLess(time.monotonic() - began, 5)

    def test_the_examples_are_accepted(self):
        example = (self.prefix / "share/doc/twinlatch/examples/twinlatchd.conf").read_text()
        with tempfile.TemporaryDirectory() as folder:
            for number, text in enumerate((example, re.sub(r"^#(\w[\w-]*=)", r"\1", example, flags=re.M))):
                path = pathlib.Path(folder, f"{number}.conf")
                path.write_text(text)
                done = run(twinlatch.program("twinlatchd"), "--check-config", "--config", str(path))
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_configuration_key_is_documented(self):
        source = (wire.SOURCE / "daemon/tl-daemon-config.c").read_text()
        keys = re.findall(r'\{ "(\w+)", "([\w-]+)", TL_CONFIG_', source)
        self.assertGreater(len(keys), 10)
        page = (wire.SOURCE / "data/man/twinlatchd.conf.5").read_text().replace("\\-", "-")
        example = (wire.SOURCE / "data/examples/twinlatchd.conf").read_text()
        for group, key in keys:
            self.assertRegex(page, rf"(?m)^\.B {key}$")
            self.assertRegex(example, rf"(?m)^#{key}=")
            self.assertIn(f"[{group}]", page)

    def test_every_daemon_option_is_documented(self):
        options = set(re.findall(r"--[\w-]+", run(twinlatch.program("twinlatchd"), "--help").stdout)) - {"--help-all"}
        self.assertGreater(len(options), 5)
        page = (wire.SOURCE / "data/man/twinlatchd.8").read_text().replace("\\-", "-")
        for option in options:
            self.assertIn(option, page)
            for completion in ("twinlatchd.bash", "_twinlatchd"):
                self.assertIn(option, (wire.SOURCE / "data/completions" / completion).read_text())

    def test_tools_are_there(self):
        for tool in ("man", "lexgrog", "systemd-analyze", "systemd-sysusers", "zsh"):
            self.assertTrue(shutil.which(tool), f"{tool} is not installed; data/packages.txt should name its package")


if __name__ == "__main__":
    unittest.main()
