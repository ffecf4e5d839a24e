# SPDX-License-Identifier: Apache-2.0
"""The main job on the real programs (issue 2): pair by PIN and by link with approval, run capabilities, see lists; and what bad input gets."""
import base64
import json
import os
import pathlib
import platform
import re
import socket
import subprocess
import tempfile
import unittest

from PIL import Image

import twinlatch
from wire import messages


def png_of_blocks(rows, path, scale=6):
    """Draws the half blocks of a terminal: a block is a dark module, as --qr prints them without colours."""
    halves = {" ": (0, 0), "\u2580": (1, 0), "\u2584": (0, 1), "\u2588": (1, 1)}
    width = max(len(r) for r in rows)
    image = Image.new("L", (width, 2 * len(rows)), 255)
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            top, bottom = halves[cell]
            image.putpixel((x, 2 * y), 0 if top else 255)
            image.putpixel((x, 2 * y + 1), 0 if bottom else 255)
    image.resize((width * scale, 2 * len(rows) * scale), Image.NEAREST).save(path)


class MainJob(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway(gateway={"name": "B\u00fcro"})
        cls.cli = twinlatch.Cli(cls.gw.environment)
        cls.docs = cls.sandbox.root / "docs"
        (cls.docs / "folder").mkdir(parents=True)
        (cls.docs / "hello.txt").write_text("hello\nworld\n")
        (cls.docs / "folder" / "bytes.bin").write_bytes(bytes(range(256)))
        (cls.sandbox.root / "secret.txt").write_text("not yours")
        os.symlink("../secret.txt", cls.docs / "escape")
        os.symlink("hello.txt", cls.docs / "inside")
        cls.nodes = {}
        for method in ("pin", "link"):
            node = cls.node(f"node-{method}", {"docs": cls.docs})
            node.request = node.pair(cls.gw, method)
            node.run(cls.gw)
            cls.nodes[method] = node

    def each(self):
        return list(self.nodes.values())

    def run_json(self, node, capability, value=None, *more):
        answer = self.cli.json("exec", node.name, capability, *([json.dumps(value)] if value is not None else []), *more)
        self.assertEqual(answer["state"], "succeeded", answer)
        return answer["output"]

    def test_pairing_was_recorded(self):
        for node in self.each():
            device = self.cli.json("devices", "show", node.marker["device_id"])["device"]
            self.assertEqual((device["state"], device["role"], device["client_kind"]), ("active", "node", "node"))
            self.assertEqual(device["approved_by"], f"uid:{os.getuid()}")
            self.assertEqual(device["identity_fingerprint"], node.marker["fingerprint"])
            self.assertEqual(len(device["certificates"]), 1)

    def test_echo(self):
        value = {"text": "gr\u00fc\u00dfe \U0001f511", "list": [1, 2.5, None, True], "nested": {"a": {}}}
        for node in self.each():
            self.assertEqual(self.run_json(node, "echo", value), value)

    def test_system_info_is_real(self):
        for node in self.each():
            info = self.run_json(node, "system.info")
            text = json.dumps(info)
            self.assertIn(platform.release(), text)
            self.assertIn(platform.node(), text)
            release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', pathlib.Path("/etc/os-release").read_text(), re.M))
            self.assertIn(release["PRETTY_NAME"], text)
            total = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))
            self.assertTrue(re.search(rf"\b({total}|{total * 1024})\b", text), text)
            for word in ("cpu", "mem", "disk", "uptime", "load"):
                self.assertIn(word, text.lower())

    def test_system_health_and_identity(self):
        for node in self.each():
            self.assertTrue(self.run_json(node, "system.health"))
            self.assertIn(node.marker["device_id"], json.dumps(self.run_json(node, "system.identity")))

    def test_fs_read(self):
        for node in self.each():
            answer = self.run_json(node, "fs.read", {"root": "docs", "path": "hello.txt"})
            self.assertEqual((answer["data"], answer["encoding"], answer["eof"]), ("hello\nworld\n", "utf-8", True))
            answer = self.run_json(node, "fs.read", {"root": "docs", "path": "hello.txt", "offset": 6, "length": 3})
            self.assertEqual((answer["data"], answer["size"], answer["eof"]), ("wor", 12, False))
            answer = self.run_json(node, "fs.read", {"root": "docs", "path": "folder/bytes.bin"})
            self.assertEqual(base64.b64decode(answer["data"]), bytes(range(256)))
            self.assertEqual(self.cli.run("exec", node.name, "fs.read", '{"root":"docs","path":"hello.txt"}', "--raw").stdout,
                             "hello\nworld\n")

    def test_fs_list_and_stat(self):
        for node in self.each():
            names = json.dumps(self.run_json(node, "fs.list", {"root": "docs"}))
            for name in ("folder", "hello.txt", "inside"):
                self.assertIn(name, names)
            self.assertEqual(self.run_json(node, "fs.stat", {"root": "docs", "path": "hello.txt"})["size"], 12)

    def test_fs_stays_below_its_roots(self):
        for node in self.each():
            for path in ("../secret.txt", "escape", "/etc/passwd", "folder/../../secret.txt", "/proc/self/root/etc/passwd"):
                done = self.cli.run("exec", node.name, "fs.read", json.dumps({"root": "docs", "path": path}), expect=None)
                self.assertEqual(done.returncode, twinlatch.EXIT_CAPABILITY, path + done.stdout)
                self.assertNotIn("not yours", done.stdout + done.stderr)
                self.assertOneLine(done.stderr)
            self.cli.run("exec", node.name, "fs.read", '{"root":"etc","path":"passwd"}', expect=twinlatch.EXIT_CAPABILITY)

    def test_lists_and_status(self):
        ids = {n.marker["device_id"] for n in self.nodes.values()}
        self.assertLessEqual(ids, {d["device_id"] for d in self.cli.json("devices", "list")["items"]})
        nodes = {n["device_id"]: n for n in self.cli.json("nodes", "list")["items"]}
        for node in self.nodes.values():
            shown = nodes[node.marker["device_id"]]
            self.assertTrue(shown["connected"])
            self.assertLessEqual({"echo", "system.info", "system.health", "system.identity", "fs.list", "fs.stat", "fs.read"},
                                 {c["name"] for c in shown["capabilities"]})
        status = self.cli.json("status")
        self.assertEqual((status["gateway_id"], status["gateway_name"]), (self.gw.gateway_id, "B\u00fcro"))
        self.assertGreaterEqual(status["nodes_connected"], 2)
        self.assertTrue(status["store_writable"])
        for words in (["devices", "list"], ["nodes", "list"], ["status"], ["pairing", "codes", "--all"], ["pairing", "list", "--all"],
                      ["ca", "show"], ["version"], ["nodes", "show", "node-pin"], ["devices", "show", "node-pin"], ["help"]):
            self.assertTrue(self.cli.run(*words).stdout.strip(), words)
        self.assertIn("BEGIN CERTIFICATE", self.cli.run("ca", "export").stdout)

    def test_node_status(self):
        for node in self.each():
            text = json.dumps(node.cli.json("node", "status", *node.options()))
            self.assertIn(node.marker["device_id"], text)
            self.assertIn("connected", text)

    def test_qr_scans_back(self):
        done = self.cli.run("pairing", "mint", "--qr")
        rows = [line for line in done.stdout.splitlines() if line and set(line) <= set(" \u2580\u2584\u2588")]
        link = re.search(r"twinlatch:pair\S+", done.stdout).group(0)
        self.assertGreater(len(rows), 20)
        with tempfile.TemporaryDirectory() as folder:
            png_of_blocks(rows, f"{folder}/qr.png")
            scanned = subprocess.run(["zbarimg", "--quiet", "--raw", f"{folder}/qr.png"], capture_output=True, text=True)
        self.assertEqual(scanned.stdout.strip(), link, scanned.stderr)

    def test_a_reconnected_node_gets_what_was_queued(self):
        node = self.node("comes-back")
        node.pair(self.gw, "link")
        node.run(self.gw)
        node.stop()
        self.gw.wait_node(node.marker["device_id"], connected=False)
        done = self.cli.run("exec", "comes-back", "echo", "1", "--no-wait", expect=None)
        self.assertEqual(done.returncode, twinlatch.EXIT_FAILURE, done.stderr)
        self.assertOneLine(done.stderr)
        waiting = self.cli.start("exec", "comes-back", "echo", '{"queued":true}', "--json")
        twinlatch.until(lambda: self.gw.admin.GetStatus().requests_open >= 1, "the request is queued")
        node.run(self.gw)
        self.assertEqual(waiting.wait(), 0, waiting.text)
        self.assertIn("queued", waiting.text)

    def test_what_expired_while_a_node_was_away_never_starts(self):
        node = self.node("late")
        node.pair(self.gw, "link")
        node.run(self.gw)
        node.stop()
        self.gw.wait_node(node.marker["device_id"], connected=False)
        states = self.gw.execute("late", "echo", "1", expires_in_ms=1000)
        names = [messages.enum_name("RequestState", s.state) for s in states]
        self.assertEqual(names[-1], "REQUEST_STATE_EXPIRED", names)
        node.run(self.gw)
        self.assertEqual(self.gw.execute("late", "echo", "2")[-1].output, "2")
        expired = states[-1].request_id
        self.assertNotRegex(node.process.text, f"{expired}.*(succeeded|accepted)")

    def test_a_revoked_node_is_cut_off_and_keeps_its_identity(self):
        node = self.node("cut-off")
        node.pair(self.gw, "pin")
        node.run(self.gw)
        self.cli.run("devices", "revoke", "cut-off", "--yes", "--reason", "test")
        node.process.wait_line("refused")
        self.assertTrue(node.identity()["identity"]["key"])
        device = self.cli.json("devices", "show", node.marker["device_id"])["device"]
        self.assertEqual((device["state"], device["revoked_reason"]), ("revoked", "test"))
        self.cli.run("exec", "cut-off", "echo", expect=twinlatch.EXIT_DENIED)

    def test_a_gateway_that_restarts_is_found_again(self):
        gateway = self.gateway("restarted")
        node = self.node("stays")
        node.pair(gateway, "pin")
        node.run(gateway)
        for kill in (False, True):
            gateway.restart(kill=kill)
            gateway.wait_node(node.marker["device_id"])
            self.assertEqual(gateway.execute("stays", "echo", "[1]")[-1].output, "[1]")


class BadInput(twinlatch.TestCase):
    """One line that says what is wrong and what to do, a documented exit code, nothing changed."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.cli = twinlatch.Cli(cls.gw.environment)
        cls.device = cls.gw.pair_device("lonely")

    def fails(self, expect, *arguments, says=(), stdin="", cli=None, json_error=True):
        done = (cli or self.cli).run(*arguments, stdin=stdin, expect=None)
        self.assertEqual(done.returncode, expect, f"{arguments}: {done.stdout}{done.stderr}")
        lines = [line for line in done.stderr.splitlines() if line.startswith("twinlatch: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        for word in (says,) if isinstance(says, str) else says:
            self.assertIn(word.lower(), lines[0].lower())
        if not json_error:
            return lines[0]
        as_json = (cli or self.cli).run(*arguments, "--json", stdin=stdin, expect=expect)
        error = json.loads(as_json.stderr.splitlines()[-1])["error"]
        self.assertEqual(error["exit_code"], expect)
        return lines[0]

    def pair_fails(self, expect, secret, says=(), gateway=None):
        node = twinlatch.Node(self.sandbox, "bad" + os.urandom(4).hex())
        options = ["--gateway", gateway or self.gw.address] if not secret.startswith("twinlatch:") else ["--yes"]
        line = self.fails(expect, "node", "pair", *node.options(), "--from", "-", *options, stdin=secret + "\n", says=says,
                          cli=node.cli)
        self.assertEqual(list(node.folder.glob("*/gateway.json")), [], "nothing may be stored")
        digits = re.sub(r"\D", "", secret)[-8:]
        self.assertFalse(len(digits) == 8 and digits in re.sub(r"\D", "", line), "the code must not be repeated")

    def test_malformed_pin(self):
        for pin, part in (("12", "digit"), ("1-2345-678", "digit"), ("0-1234-5678", "slot"), ("1000-1234-5678", "digits"),
                          ("1-2345-67x8", "digit"), ("", "")):
            with self.subTest(pin):
                self.pair_fails(twinlatch.EXIT_USAGE, pin, part)

    def test_malformed_link_names_the_part(self):
        good = self.gw.mint("link").text
        for pattern, replacement, part in (("v=1", "v=2", "v"), ("g=[^&]*", "g=xyz", "g"), ("c=[^&]*", "c=", "c"),
                                           ("t=[^&]*", "t=!", "t"), ("f=[^&]*", "f=AA", "f"), ("a=[^&]*", "a=host:99999", "a"),
                                           ("&t=[^&]*", "", "t")):
            with self.subTest(part):
                expect = twinlatch.EXIT_FAILURE if part == "v" else twinlatch.EXIT_USAGE  # a newer link is not malformed
                self.pair_fails(expect, re.sub(pattern, replacement, good, 1), f'link: part "{part}"')
        self.pair_fails(twinlatch.EXIT_USAGE, good + "&n=" + "x" * 1024, "1024")

    def test_a_link_never_connects_by_itself(self):
        """PROTOCOL 3.1, P: without a person or --yes there is no connection."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            link = re.sub("a=[^&]*", "a=127.0.0.1:%d" % listener.getsockname()[1], self.gw.mint("link").text)
            node = twinlatch.Node(self.sandbox, "asks-first")
            done = node.cli.run("node", "pair", *node.options(), "--from", "-", stdin=link, expect=twinlatch.EXIT_USAGE)
            self.assertIn("UNVERIFIED", done.stderr)
            self.assertIn("--yes", done.stderr)
            with self.assertRaises(BlockingIOError):
                listener.accept()

    def test_code_invalid(self):
        self.pair_fails(twinlatch.EXIT_CODE_INVALID, "999-1234-5678", "code")

    def test_wrong_pin(self):
        code = self.gw.mint("pin")
        wrong = code.wrong()
        self.pair_fails(twinlatch.EXIT_CODE_INVALID, f"{wrong.slot}-{wrong.secret[:4]}-{wrong.secret[4:]}")

    def test_gateway_not_reachable(self):
        self.pair_fails(twinlatch.EXIT_UNREACHABLE, "1-1234-5678", "127.0.0.1", f"127.0.0.1:{twinlatch.free_port()}")
        nowhere = twinlatch.Cli(dict(self.gw.environment, TWINLATCH_ADMIN_SOCKET=str(self.sandbox.root / "none.sock")))
        self.fails(twinlatch.EXIT_UNREACHABLE, "status", says=("none.sock", "twinlatchd"), cli=nowhere)

    def test_wrong_ca(self):
        link = self.gw.mint("link").text
        other = re.search("f=[^&]*", self.gateway("other").mint("link").text).group(0)
        self.pair_fails(twinlatch.EXIT_WRONG_CA, re.sub("f=[^&]*", other, link))

    def test_unknown_device(self):
        for words in (["devices", "show", "nobody"], ["devices", "revoke", "nobody", "--yes"], ["nodes", "show", "nobody"],
                      ["exec", "nobody", "echo"]):
            with self.subTest(words):
                self.fails(twinlatch.EXIT_NOT_FOUND, *words, says="nobody")

    def test_ambiguous_prefix(self):
        first, second = self.gw.pair_device("same name"), self.gw.pair_device("same name")
        prefix = os.path.commonprefix([first.device_id, second.device_id])
        self.assertGreaterEqual(len(prefix), 4)
        self.fails(twinlatch.EXIT_NOT_FOUND, "devices", "show", prefix, says=prefix)
        self.fails(twinlatch.EXIT_NOT_FOUND, "devices", "show", "same name", says="same name")

    def test_capability_not_announced(self):
        node = self.node("announces")
        node.pair(self.gw, "link")
        node.run(self.gw)
        self.fails(twinlatch.EXIT_NOT_FOUND, "exec", "announces", "no.such_thing", says="no.such_thing")
        self.fails(twinlatch.EXIT_USAGE, "exec", "announces", "Not A Name")
        self.fails(twinlatch.EXIT_NOT_FOUND, "exec", "announces", "fs.list", '{"root":"none"}', says="switched off")

    def test_output_over_the_limit(self):
        node = self.node("talks")
        node.pair(self.gw, "link")
        node.run(self.gw)
        self.fails(twinlatch.EXIT_FAILURE, "exec", "talks", "echo", json.dumps("x" * 3000), "--max-output", "1000", says="1000")
        self.fails(twinlatch.EXIT_CAPABILITY, "exec", "talks", "system.info", "--max-output", "64", says="64", json_error=False)
        answer = json.loads(self.cli.run("exec", "talks", "system.info", "--max-output", "64", "--json",
                                         expect=twinlatch.EXIT_CAPABILITY).stdout)
        self.assertEqual((answer["state"], answer["output"], answer["reason"]), ("failed", None, "resource_exhausted"))

    def test_json_that_does_not_parse(self):
        self.fails(twinlatch.EXIT_USAGE, "exec", "lonely", "echo", '{"a":\n  oops}', says=("line 2", "column"))
        self.fails(twinlatch.EXIT_USAGE, "exec", "lonely", "echo", "-", stdin='{"a":1,"a":2}', says="a")
        self.fails(twinlatch.EXIT_USAGE, "exec", "lonely", "echo", "[" * 40 + "]" * 40)

    def test_wrong_comparison_code(self):
        session = self.gw.session(self.gw.mint("link"))
        session.start()
        session.exchange()
        session.complete()
        self.fails(twinlatch.EXIT_USAGE, "pairing", "approve", session.request_id, "--code", "12", says="six digits")
        self.fails(twinlatch.EXIT_NOT_FOUND, "pairing", "approve", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "--code", "123456")

    def test_secrets_are_refused_in_arguments(self):
        for words in (["node", "pair", "1-2345-6789"], ["node", "pair", "twinlatch:pair?v=1&t=ABC"]):
            line = self.fails(twinlatch.EXIT_USAGE, *words)
            self.assertNotIn("2345", line)

    def test_unknown_verbs_and_options(self):
        self.fails(twinlatch.EXIT_USAGE, "paring", "mint", says="pairing mint")
        self.fails(twinlatch.EXIT_USAGE, "status", "--nonsense", says="--nonsense")
        self.fails(twinlatch.EXIT_USAGE, "devices", "show")

    def test_not_paired(self):
        node = twinlatch.Node(self.sandbox, "unpaired")
        self.fails(twinlatch.EXIT_NOT_PAIRED, "node", "status", *node.options(), cli=node.cli)

    def test_output_that_cannot_be_written_is_noticed(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([twinlatch.program("twinlatch"), "status"], env=self.gw.environment, stdout=full,
                                  stderr=subprocess.PIPE, text=True)
        self.assertNotEqual(done.returncode, 0)


if __name__ == "__main__":
    unittest.main()
