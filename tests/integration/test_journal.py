# SPDX-License-Identifier: Apache-2.0
"""The journal (issue 3, Must show 3): every decision and denial leaves its row, a row that was tampered with is named,
and what many processes did at once is one order that explains the state it ended in."""
import concurrent.futures
import contextlib
import json
import os
import random
import re
import shutil
import sqlite3
import threading
import unittest

import journal_check
import prover
import twinlatch
import wire
from prover import Device
from pynode import PythonNode
from twinlatch import Cli

ME = f"uid:{os.getuid()}"
STRANGER = "source:127.0.0.1"
COLUMNS = {"time": 1, "kind": "x", "actor": "uid:12345", "subject": "Y", "detail": '{"z":1}', "hash": bytes(32)}


def rows(cli, *arguments):
    return [json.loads(line) for line in cli.run("journal", "show", "--json", "--limit", "0", *arguments).stdout.splitlines()]


class Rows(twinlatch.TestCase):
    """Each test makes decisions, then looks for their rows behind those that were there."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.cli = Cli(dict(cls.gw.environment))

    def setUp(self):
        self.before = self.gw.admin.GetJournalHead().seq

    def new_rows(self, *arguments):
        return [r for r in rows(self.cli, *arguments) if r["seq"] > self.before]

    def wait_row(self, kind, actor, subject=None, **detail):
        """Denials take their own way: they are written a moment after the answer."""
        def found():
            return next((r for r in self.new_rows("--kind", kind) if r["actor"] == actor and subject in (None, r["subject"])
                         and detail.items() <= r["detail"].items()), None)
        return twinlatch.until(found, f"a row {kind} by {actor} about {subject} with {detail}", interval=0.1)

    def tearDown(self):
        self.cli.run("journal", "verify")

    def test_codes(self):
        minted = self.cli.json("pairing", "mint", "--pin", "--label", "desk")["code"]
        row = self.wait_row("code.minted", ME, minted["code_id"], method="pin", role="node", label="desk")
        self.assertNotIn("secret", json.dumps(row))
        self.cli.run("pairing", "cancel", minted["code_id"])
        self.wait_row("code.cancelled", ME, minted["code_id"])
        self.cli.run("pairing", "cancel", minted["code_id"])
        self.assertEqual(len(self.new_rows("--kind", "code.cancelled")), 1, "cancelling again decides nothing")

    def test_wrong_pin(self):
        code = self.gw.mint("pin")
        session = self.gw.session(code)
        session.start()
        session.send_share(session.share())
        self.wait_row("code.attempted", STRANGER, code.record.code_id, attempts_left=2)
        wrong = self.gw.session(code.wrong())
        wrong.start()
        with self.assertRaises(prover.WrongCode):
            wrong.exchange()
        self.assertRpcError(wire.PERMISSION_DENIED, "wrong_code", wrong.complete)
        self.wait_row("code.attempted", STRANGER, code.record.code_id, attempts_left=1)
        self.wait_row("pairing.refused", STRANGER, code.record.code_id, reason="wrong_code",
                      device_id=wrong.device.device_id)

    def test_pairing_from_the_first_message_to_revocation(self):
        device = self.gw.pair_device("journalled")
        kinds = [r["kind"] for r in self.new_rows()]
        self.assertEqual([k for k in kinds if k in ("code.minted", "code.attempted", "pairing.requested", "pairing.approved",
                                                    "certificate.issued", "pairing.completed")],
                         ["code.minted", "code.attempted", "pairing.requested", "pairing.approved", "certificate.issued",
                          "pairing.completed"])
        asked = self.wait_row("pairing.requested", STRANGER, device_id=device.device_id, name="journalled")
        self.wait_row("pairing.approved", ME, asked["subject"], device_id=device.device_id)
        issued = self.wait_row("certificate.issued", "gateway", device_id=device.device_id)
        self.gw.connect(device).node.GetGatewayInfo()
        self.wait_row("certificate.used", f"device:{device.device_id}", issued["subject"])
        self.cli.run("devices", "revoke", device.device_id, "--reason", "lost", "--yes")
        self.wait_row("device.revoked", ME, device.device_id, reason="lost", certificates=1)
        with self.assertRaises(wire.RpcError):
            self.gw.connect(device).node.GetGatewayInfo()
        self.wait_row("connection.refused", f"device:{device.device_id}", issued["subject"], reason="not_admitted")
        about = {r["kind"] for r in self.new_rows("--device", device.device_id)}
        self.assertLessEqual({"pairing.requested", "pairing.approved", "certificate.issued", "certificate.used",
                              "device.revoked", "connection.refused"}, about)
        again = self.gw.session(self.gw.mint("link"), device)
        again.start()
        again.exchange()
        self.assertRpcError(wire.PERMISSION_DENIED, "revoked", again.complete)
        self.wait_row("pairing.refused", STRANGER, reason="revoked", device_id=device.device_id)

    def test_unpaired_by_itself(self):
        device = self.gw.pair_device("gone")
        with contextlib.suppress(wire.RpcError):  # its connection ends with it
            self.gw.connect(device).node.Unpair(device_id=device.device_id)
        self.wait_row("device.revoked", f"device:{device.device_id}", device.device_id)

    def test_decisions_against(self):
        session = self.gw.session(self.gw.mint("link"))
        session.start()
        session.exchange()
        session.complete()
        wrong = "000000" if session.comparison != "000000" else "111111"
        for n in range(1, 4):
            with self.assertRaises(wire.RpcError):
                self.gw.approve(session.request_id, wrong)
            self.wait_row("pairing.compared", ME, session.request_id, wrong=n)
        self.wait_row("pairing.rejected", ME, session.request_id, device_id=session.device.device_id)
        other = self.gw.session(self.gw.mint("link"))
        other.start()
        other.exchange()
        other.complete()
        self.cli.run("pairing", "reject", other.request_id, "--reason", "not mine")
        self.wait_row("pairing.rejected", ME, other.request_id, reason="not mine")

    def test_automatic_approval_is_the_minters(self):
        session = self.gw.session(self.gw.mint("link", auto_approve=True))
        session.start()
        session.exchange()
        session.complete()
        self.wait_row("pairing.approved", ME, session.request_id, automatic=True)
        session.finish()

    def test_calls_that_are_not_for_the_caller(self):
        with self.assertRaises(wire.RpcError):
            self.gw.connect().node.GetGatewayInfo()
        self.wait_row("call.denied", STRANGER, "/twinlatch.v1.NodeService/GetGatewayInfo", reason="unauthenticated")
        device = self.gw.pair_device("curious")
        actor = f"device:{device.device_id}"
        connection = self.gw.connect(device)
        with self.assertRaises(wire.RpcError):
            connection.admin.ReadJournal(limit=1).until(lambda _: True)
        self.wait_row("call.denied", actor, "/twinlatch.v1.AdminService/ReadJournal", reason="not_operator")
        other = prover.ulid()
        with self.assertRaises(wire.RpcError):
            connection.node.Unpair(device_id=other)
        self.wait_row("call.denied", actor, other, reason="permission_denied")
        with self.assertRaises(wire.RpcError):
            self.gw.admin_connection.node.GetGatewayInfo()
        self.wait_row("call.denied", ME, "/twinlatch.v1.NodeService/GetGatewayInfo")

    def test_results(self):
        one, two = (PythonNode(self.gw, self.gw.pair_device(n)) for n in ("one", "two"))
        one.open()
        two.open()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            execution = pool.submit(self.gw.execute, one.device.device_id, "echo", "{}")
            event, dispatch = one.next_dispatch()
            request_id, actor = dispatch["request_id"], f"device:{one.device.device_id}"
            forged = one.result(dispatch)
            forged.result_signature = two.result(dispatch).result_signature
            with self.assertRaises(wire.RpcError):
                one.submit(forged)
            self.wait_row("result.refused", actor, request_id, reason="invalid_argument")
            with self.assertRaises(wire.RpcError):
                two.submit(two.result(dispatch))
            self.wait_row("result.refused", f"device:{two.device.device_id}", request_id, reason="permission_denied")
            one.submit(one.result(dispatch))
            execution.result(twinlatch.PATIENCE)
        self.assertTrue(one.submit(one.result(dispatch)).duplicate)
        self.wait_row("result.late", actor, request_id, state="succeeded", result="succeeded")
        with self.assertRaises(wire.RpcError):
            self.gw.execute(one.device.device_id, "not.there")
        self.wait_row("request.refused", ME, one.device.device_id, reason="capability_unknown")
        one.stream(5, prover.ulid())
        self.assertEqual(next(one.events).WhichOneof("kind"), "reset")
        self.wait_row("events.reset", actor)
        verdict = self.cli.json("journal", "verify")
        self.assertGreaterEqual(verdict["receipts"], 1)

    def test_filters_and_following(self):
        code = self.cli.json("pairing", "mint", "--link")["code"]["code_id"]
        follower = self.cli.start("journal", "show", "--follow", "--json", "--kind", "code.", "--limit", "1")
        self.assertEqual(json.loads(follower.wait_line(r"^(\{.*\})").group(1))["subject"], code)
        self.cli.run("pairing", "cancel", code)
        follower.wait_line(rf'code\.cancelled.*"{code}"')
        self.assertEqual(follower.stop(), 0)
        every = rows(self.cli)
        self.assertEqual([r["seq"] for r in every], list(range(every[0]["seq"], every[-1]["seq"] + 1)))
        some = [json.loads(line) for line in self.cli.run("journal", "show", "--json", "--limit", "2", "--subject", code)
                .stdout.splitlines()]
        self.assertEqual([r["kind"] for r in some], ["code.minted", "code.cancelled"])
        self.assertEqual(rows(self.cli, "--actor", "uid:77777"), [])
        self.assertEqual(rows(self.cli, "--until", "2020-01-01"), [])
        self.assertEqual(rows(self.cli, "--since", "1h")[-1]["seq"], every[-1]["seq"])
        self.cli.run("journal", "show", "--since", "yesterday", expect=twinlatch.EXIT_USAGE)
        self.assertIn(code, self.cli.run("journal", "show").stdout)

    def test_limits_of_readers(self):
        self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", self.gw.admin.ReadJournal, limit=10001)
        self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", self.gw.admin.VerifyJournal, head="12:ab")
        followers = []
        for _ in range(32):
            followers.append(self.gw.admin.ReadJournal(limit=1, follow=True, timeout=twinlatch.PATIENCE))
            next(followers[-1])
        self.assertRpcError(wire.RESOURCE_EXHAUSTED, "resource_exhausted", self.gw.admin.ReadJournal, limit=1)
        followers.pop().cancel()
        def again():
            with contextlib.suppress(wire.RpcError):
                return list(self.gw.admin.ReadJournal(limit=1))
        self.assertEqual(len(twinlatch.until(again, "a place among the readers")[0].rows), 1)
        for follower in followers:
            follower.cancel()
        twinlatch.until(again, "the places of those that left")

    def test_verifying_as_another_program_does(self):
        with contextlib.closing(sqlite3.connect(f"file:{self.gw.state}/twinlatch.db?mode=ro", uri=True)) as database:
            self.assertIsNone(journal_check.check(database, self.cli.run("journal", "head").stdout.strip()))


class Documentation(unittest.TestCase):
    def test_every_kind_is_described(self):
        kinds = re.findall(r'#define TL_JOURNAL_\w+\s+"([a-z.]+)"', (wire.SOURCE / "daemon/store/tl-journal.h").read_text())
        self.assertGreater(len(kinds), 30)
        page = (wire.SOURCE / "data/doc/journal.md").read_text()
        self.assertEqual([k for k in kinds if k not in page], [], "missing in data/doc/journal.md, Kinds")


class Floods(twinlatch.TestCase):
    def test_strangers_do_not_fill_the_journal(self):
        gateway = self.gateway()
        cli = Cli(dict(gateway.environment))
        connection = gateway.connect()
        for _ in range(300):
            with self.assertRaises(wire.RpcError):
                connection.node.GetGatewayInfo()
        gateway.stop()  # writes what was counted
        gateway.start()
        denied = rows(cli, "--kind", "call.denied")
        self.assertEqual(len(denied), 2, denied)
        self.assertNotIn("count", denied[0]["detail"])
        # The server hands over so many at a time and counts the others with them.
        self.assertGreater(denied[1]["detail"]["count"], 100)


class Start(twinlatch.TestCase):
    def test_starts_and_configuration(self):
        gateway = self.gateway()
        cli = Cli(dict(gateway.environment))
        self.assertEqual([r["kind"] for r in rows(cli)], ["gateway.created", "configuration.changed", "gateway.started"])
        self.assertEqual(rows(cli)[0]["subject"], gateway.gateway_id)
        gateway.restart()
        self.assertEqual([r["kind"] for r in rows(cli)][3:], ["gateway.started"], "the same configuration")
        gateway.settings.update({"name": "renamed", "device-certificate-lifetime": "2h"})
        gateway.restart()
        changed = rows(cli)[4]
        self.assertEqual((changed["kind"], changed["actor"], sorted(changed["detail"]["keys"])),
                         ("configuration.changed", "gateway", ["gateway.device-certificate-lifetime", "gateway.name"]))
        status = cli.json("status")
        self.assertEqual((status["journal_rows"], status["journal_head_seq"]), (6, 6))


class Tampering(twinlatch.TestCase):
    """A database that was changed while the gateway was stopped."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.cli = Cli(dict(cls.gw.environment))
        for _ in range(5):
            cls.gw.mint("link")
        cls.node = PythonNode(cls.gw, cls.gw.pair_device())
        cls.node.open()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            execution = pool.submit(cls.gw.execute, cls.node.device.device_id, "echo", "{}")
            _, dispatch = cls.node.next_dispatch()
            cls.node.submit(cls.node.result(dispatch))
            execution.result(twinlatch.PATIENCE)
        cls.node.close()
        cls.cli.run("journal", "verify")  # a second connection to the database, which is closed in time
        cls.head = cls.cli.run("journal", "head").stdout.strip()
        cls.last = int(cls.head.split(":")[0])
        cls.gw.stop()
        cls.database = cls.gw.state / "twinlatch.db"

    def tampered(self, *statements):
        """A copy that was written to; (verdict of the program, of the independent check)."""
        copy = self.sandbox.root / "copy.db"
        shutil.copyfile(self.database, copy)
        with contextlib.closing(sqlite3.connect(copy)) as database, database:
            for sql, *values in statements:
                database.execute(sql, values)
        return copy

    def assertFound(self, finding, seq, *statements, head=None, independent=True):
        copy = self.tampered(*statements)
        more = ["--head", head] if head else []
        done = self.cli.run("journal", "verify", "--database", str(copy), *more, expect=twinlatch.EXIT_STATE)
        self.assertOneLine(done.stderr)
        if seq:
            self.assertIn(str(seq), done.stderr)
        verdict = json.loads(self.cli.run("journal", "verify", "--json", "--database", str(copy), *more,
                                          expect=twinlatch.EXIT_STATE).stdout)
        self.assertEqual((verdict["finding"], verdict["bad_seq"], verdict["sound"]), (finding, seq, False), verdict)
        if independent:
            with contextlib.closing(sqlite3.connect(copy)) as database:
                self.assertIsNotNone(journal_check.check(database, head))

    def test_untouched(self):
        before = self.database.read_bytes()
        out = self.cli.run("journal", "verify", "--offline", str(self.gw.state), "--head", self.head).stdout
        self.assertIn(self.head, out)
        self.assertIn("receipts", out)
        self.assertEqual(self.database.read_bytes(), before)
        self.assertEqual(sorted(p.name for p in self.gw.state.iterdir() if p.name.startswith("twinlatch.db")), ["twinlatch.db"])

    def test_a_changed_column(self):
        for seq in (1, 4, self.last):
            for column, value in COLUMNS.items():
                with self.subTest(column=column, seq=seq):
                    self.assertFound("changed", seq, (f"UPDATE journal SET {column} = ? WHERE seq = ?", value, seq))

    def test_what_stands_behind_a_nul(self):
        self.assertFound("changed", 4, ("UPDATE journal SET detail = detail || char(0) || 'more' WHERE seq = 4",))

    def test_a_changed_row_with_its_hash_made_anew(self):
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            (previous,), row = database.execute("SELECT hash FROM journal WHERE seq = 3").fetchone(), \
                database.execute("SELECT seq, time, kind, actor, subject, detail FROM journal WHERE seq = 4").fetchone()
        new = row[:3] + ("uid:12345",) + row[4:]
        self.assertFound("changed", 5, ("UPDATE journal SET actor = ?, hash = ? WHERE seq = 4", new[3],
                                        journal_check.row_hash(previous, *new)))

    def test_removed_rows(self):
        self.assertFound("missing", 1, ("DELETE FROM journal WHERE seq = 1",))
        self.assertFound("missing", 1, ("DELETE FROM journal WHERE seq <= 3",))
        self.assertFound("missing", 4, ("DELETE FROM journal WHERE seq = 4",))
        self.assertFound("truncated", self.last, ("DELETE FROM journal WHERE seq = ?", self.last))
        self.assertFound("truncated", 1, ("DELETE FROM journal",))
        # Closing the gap afterwards changes the rows behind it.
        self.assertFound("changed", 4, ("DELETE FROM journal WHERE seq = 4",), ("UPDATE journal SET seq = seq - 1 WHERE seq > 4",),
                         ("UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'journal'",))

    def test_swapped_rows(self):
        self.assertFound("changed", 4, ("UPDATE journal SET seq = 1000 WHERE seq = 4",),
                         ("UPDATE journal SET seq = 4 WHERE seq = 5",), ("UPDATE journal SET seq = 5 WHERE seq = 1000",))

    def test_the_end_cut_off_with_the_counter(self):
        cut = (("DELETE FROM journal WHERE seq > 6",), ("UPDATE sqlite_sequence SET seq = 6 WHERE name = 'journal'",))
        self.cli.run("journal", "verify", "--database", str(self.tampered(*cut)))  # nothing in the file says otherwise
        self.assertFound("head", 7, *cut, head=self.head)

    def test_all_written_anew(self):
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            kept = database.execute("SELECT seq, time, kind, actor, subject, detail FROM journal ORDER BY seq").fetchall()
        statements, value = [], bytes(32)
        for row in kept:
            row = row[:3] + ("uid:0" if row[0] != 4 else "uid:12345",) + row[4:]
            value = journal_check.row_hash(value, *row)
            statements.append(("UPDATE journal SET actor = ?, hash = ? WHERE seq = ?", row[3], value, row[0]))
        self.cli.run("journal", "verify", "--database", str(self.tampered(*statements)))
        self.assertFound("head", self.last, *statements, head=self.head)

    def test_a_made_up_checkpoint(self):
        detail = json.dumps({"last_seq": 3, "last_hash": "00" * 32, "rows": 3})
        self.assertFound("missing", 1, ("DELETE FROM journal WHERE seq <= 3",))
        self.assertFound("changed", 4, ("DELETE FROM journal WHERE seq <= 3",),
                         ("UPDATE journal SET kind = 'journal.pruned', detail = ? WHERE seq = 5", detail))

    def test_a_receipt_that_was_changed(self):
        self.assertFound("bad_receipt", 0, ("UPDATE requests SET capability = 'system.info'",), independent=False)
        self.assertFound("bad_receipt", 0, ("UPDATE requests SET requested_by = 'uid:12345'",), independent=False)

    def test_not_a_journal(self):
        other = self.sandbox.root / "other.db"
        other.write_bytes(b"no database at all" * 100)
        self.assertOneLine(self.cli.run("journal", "verify", "--database", str(other), expect=twinlatch.EXIT_STATE).stderr)
        self.cli.run("journal", "verify", "--database", str(other) + ".none", expect=twinlatch.EXIT_NOT_FOUND)
        self.cli.run("journal", "verify", "--head", "12", "--database", str(self.database), expect=twinlatch.EXIT_USAGE)
        self.cli.run("journal", "verify", "--offline", "a", "--database", "b", expect=twinlatch.EXIT_USAGE)


class ReceiptsTogether(twinlatch.TestCase):
    """A real node hands in many results under one signature: each is proven by itself, years later, from the store alone."""
    COUNT = 24

    def test_each_is_proven(self):
        gateway, node = self.gateway("together"), self.node("many")
        node.pair(gateway, "link")
        node.run(gateway)
        node.stop()
        gateway.wait_node(node.marker["device_id"], connected=False)
        with concurrent.futures.ThreadPoolExecutor(self.COUNT) as pool:
            answers = [pool.submit(gateway.execute, "many", "echo", str(n)) for n in range(self.COUNT)]
            twinlatch.until(lambda: gateway.admin.GetStatus().requests_open == self.COUNT, "they wait for the node")
            node.run(gateway)
            self.assertEqual([a.result(twinlatch.PATIENCE)[-1].output for a in answers], [str(n) for n in range(self.COUNT)])
        cli = Cli(gateway.environment)
        self.assertEqual(cli.json("journal", "verify")["receipts"], self.COUNT)
        node.stop()
        gateway.stop()
        self.database = gateway.state / "twinlatch.db"
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            kept = {request: wire.messages.Receipt.FromString(receipt)
                    for request, receipt in database.execute("SELECT request_id, receipt FROM requests")}
        self.assertTrue(all(not r.signature and len(r.result_signature) == 64 for r in kept.values()))
        together = [request for request, receipt in kept.items() if receipt.result_proof]
        self.assertGreater(len(together), self.COUNT // 2)
        self.assertLess(len({kept[request].result_signature for request in together}), len(together))
        for change in ("receipt = (SELECT receipt FROM requests WHERE request_id <> ?1 LIMIT 1)", "requested_by = 'uid:12345'",
                       "input = '99'", "capability = 'system.info'", "expires_at = expires_at + 1"):
            with self.subTest(change):
                self.assertBad(cli, f"UPDATE requests SET {change} WHERE request_id = ?1", together[0])
        receipt = kept[together[0]]
        for field in ("result_proof", "result_signature", "output_sha256"):
            with self.subTest(field):
                value = bytearray(getattr(receipt, field))
                value[-1] ^= 1
                changed = wire.messages.Receipt.FromString(receipt.SerializeToString())
                setattr(changed, field, bytes(value))
                self.assertBad(cli, "UPDATE requests SET receipt = ?2 WHERE request_id = ?1", together[0], changed.SerializeToString())

    def assertBad(self, cli, sql, *values):
        copy = self.sandbox.root / "copy.db"
        shutil.copyfile(self.database, copy)
        with contextlib.closing(sqlite3.connect(copy)) as database, database:
            self.assertEqual(database.execute(sql, values).rowcount, 1)
        done = cli.run("journal", "verify", "--json", "--database", str(copy), expect=twinlatch.EXIT_STATE)
        self.assertEqual(json.loads(done.stdout)["finding"], "bad_receipt")


class TamperingThenStarted(twinlatch.TestCase):
    def test_the_gateway_itself_names_the_row(self):
        gateway = self.gateway()
        cli = Cli(dict(gateway.environment))
        for _ in range(3):
            gateway.mint("link")
        head = cli.run("journal", "head").stdout.strip()
        running = cli.run("journal", "verify", "--offline", str(gateway.state), expect=None)
        self.assertNotEqual(running.returncode, 0)
        self.assertIn("a gateway uses the store", running.stderr)
        gateway.stop()
        gateway.edit_database(("UPDATE journal SET actor = 'uid:12345' WHERE seq = 5",))
        gateway.start()
        done = cli.run("journal", "verify", expect=twinlatch.EXIT_STATE)
        self.assertIn("row 5 was changed", done.stderr)
        gateway.stop()
        gateway.edit_database((f"UPDATE journal SET actor = '{ME}' WHERE seq = 5",))
        gateway.start()
        cli.run("journal", "verify", "--head", head)
        # The newest rows removed: the gateway does not write over the gap.
        last = gateway.admin.GetJournalHead().seq
        gateway.stop()
        gateway.edit_database((f"DELETE FROM journal WHERE seq > {last - 2}",))
        gateway.start()
        gateway.mint("link")
        verdict = json.loads(cli.run("journal", "verify", "--json", expect=twinlatch.EXIT_STATE).stdout)
        self.assertEqual((verdict["finding"], verdict["bad_seq"]), ("missing", last - 1))


class Retention(twinlatch.TestCase):
    """Rows of long ago, made with the independent hash; the gateway removes them when it starts."""

    OLD = 7000  # more than one slice of removal, and more than the rows that always stay

    def test_a_pruned_journal_still_verifies(self):
        gateway = self.gateway()
        cli = Cli(dict(gateway.environment))
        gateway.stop()
        day = 86400 * 1000
        with contextlib.closing(sqlite3.connect(gateway.state / "twinlatch.db")) as database, database:
            seq, now, value = database.execute("SELECT seq, time, hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
            database.execute("DELETE FROM journal")
            made, value = [], bytes(32)
            for seq in range(1, self.OLD + 1):
                row = (seq, now - 500 * day + seq, "code.refused", "source:192.0.2.1", "", "{}")
                value = journal_check.row_hash(value, *row)
                made.append(row + (value,))
            database.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", made)
        twinlatch.seal_pages(gateway.state / "twinlatch.db")
        heads = {n: f"{n}:{made[n - 1][6].hex()}" for n in (100, self.OLD - 900)}
        gateway.start()
        twinlatch.until(lambda: cli.json("status")["journal_rows"] < 1100, "the old rows gone")
        status = cli.json("status")
        self.assertGreaterEqual(status["journal_rows"], 1000, "the newest ones stay whatever the clock says")
        prunes = rows(cli, "--kind", "journal.pruned")
        self.assertEqual(len(prunes), 2, "in slices")
        self.assertEqual(rows(cli)[0]["seq"], prunes[-1]["detail"]["last_seq"] + 1)
        self.assertIn("sound", cli.run("journal", "verify").stdout)
        cli.run("journal", "verify", "--head", heads[self.OLD - 900])
        verdict = json.loads(cli.run("journal", "verify", "--json", "--head", heads[100], expect=twinlatch.EXIT_FAILURE).stdout)
        self.assertEqual(verdict["finding"], "head_gone", "neither proven nor refuted")
        gateway.stop()
        with contextlib.closing(sqlite3.connect(gateway.state / "twinlatch.db")) as database:
            self.assertIsNone(journal_check.check(database))
            first = database.execute("SELECT min(seq) FROM journal").fetchone()[0]
        # What is left below the checkpoint cannot be shortened.
        gateway.edit_database((f"DELETE FROM journal WHERE seq = {first}",))
        verdict = json.loads(cli.run("journal", "verify", "--json", "--offline", str(gateway.state),
                                     expect=twinlatch.EXIT_STATE).stdout)
        self.assertEqual((verdict["finding"], verdict["bad_seq"]), ("missing", first))


class ManyAtOnce(twinlatch.TestCase):
    """20 processes that change identity state at once: some serial order, and the journal is that order."""

    PROCESSES, EACH = 20, 50 if twinlatch.FULL else 10

    def test_the_journal_explains_the_state(self):
        gateway = self.gateway()
        cli = Cli(dict(gateway.environment))
        devices = [gateway.pair_device(f"d{n}").device_id for n in range(5)]
        codes, lock = [gateway.mint("link").record.code_id for _ in range(5)], threading.Lock()

        def work(number):
            """One after the other, each a process: mint, cancel what anybody minted, revoke what others revoke too."""
            chance, done = random.Random(number), 0
            while done < self.EACH:
                what = chance.random()
                if what < 0.45:
                    minted = cli.run("pairing", "mint", "--link", "--json", expect=None)
                    if minted.returncode == 0:
                        with lock:
                            codes.append(json.loads(minted.stdout)["code"]["code_id"])
                elif what < 0.95 or not devices:
                    with lock:
                        code = chance.choice(codes[-20:])
                    cli.run("pairing", "cancel", code)
                else:
                    cli.run("devices", "revoke", chance.choice(devices), "--reason", f"process {number}", "--yes")
                done += 1

        with concurrent.futures.ThreadPoolExecutor(self.PROCESSES) as pool:
            for future in [pool.submit(work, n) for n in range(self.PROCESSES)]:
                future.result()

        cli.run("journal", "verify")
        state, revoked = {}, {}
        for row in rows(cli):
            if row["kind"] == "code.minted":
                self.assertNotIn(row["subject"], state)
                state[row["subject"]] = 1
            elif row["kind"] == "code.attempted":
                self.assertEqual(state[row["subject"]], 1)
            elif row["kind"] == "pairing.requested":
                state[row["detail"]["code_id"]] = 2
            elif row["kind"] == "code.cancelled":
                self.assertEqual(state[row["subject"]], 1, "cancelled while it was live, once")
                state[row["subject"]] = 5
            elif row["kind"] == "device.revoked":
                self.assertNotIn(row["subject"], revoked)
                revoked[row["subject"]] = row["detail"]["reason"]
        self.assertEqual({c["code_id"]: {"live": 1, "used": 2, "cancelled": 5}[c["state"]]
                          for c in cli.json("pairing", "codes", "--all")["items"]}, state)
        self.assertEqual({d["device_id"]: d["revoked_reason"] for d in cli.json("devices", "list", "--all")["items"]
                          if d["state"] == "revoked"}, revoked)
        self.assertGreater(len(revoked), 0)
        self.assertGreater(list(state.values()).count(5), 0)


if __name__ == "__main__":
    unittest.main()
