# SPDX-License-Identifier: Apache-2.0
"""`twinlatch events` (AdminService.WatchEvents): one numbered stream of what happens on the gateway, live and after a restart."""
import concurrent.futures
import contextlib
import json
import signal
import sqlite3
import unittest

import journal_check
import twinlatch
import wire
from pynode import PythonNode
from twinlatch import Cli
from wire import messages

OPERATOR = messages.enum("Role", "ROLE_OPERATOR")
# What an operator over the network is told of: what it can also list.
REMOTE = ("code.", "pairing.", "certificate.", "device.", "node.", "request.", "result.", "events.")


def journal(cli):
    """The second opinion: the same rows, read the other way."""
    found = [json.loads(line) for line in cli.run("journal", "show", "--json", "--limit", "0").stdout.splitlines()]
    return [{name: value for name, value in row.items() if name != "hash"} for row in found]


def lines(process):
    """The events; errors are on standard error, and are JSON too."""
    return [json.loads(line) for line in process.text.splitlines() if line.startswith('{"seq"')]


def numbers(events):
    return [event["seq"] for event in events]


class Watching(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.cli = Cli(dict(cls.gw.environment))

    def follow(self, *arguments):
        process = self.cli.start("events", "--follow", "--json", *arguments)
        self.addCleanup(process.stop)
        return process

    def seen(self, process, kind, **fields):
        def find():
            return next((e for e in lines(process) if e["kind"] == kind and fields.items() <= {**e, **e["detail"]}.items()), None)
        return twinlatch.until(find, f"an event {kind} with {fields} in\n{process.text}")

    def head(self):
        return self.gw.admin.GetJournalHead().seq

    def test_follows_a_pairing_a_request_and_a_revocation_live(self):
        watch = self.gw.admin.WatchEvents(from_now=True, follow=True, timeout=twinlatch.PATIENCE)
        before = next(watch).position  # answered at once, though nothing has happened
        self.assertEqual(before, self.head())
        process = self.follow("--from", str(before))
        device = self.gw.pair_device("watched")
        self.seen(process, "pairing.requested", device_id=device.device_id)
        self.seen(process, "pairing.approved", device_id=device.device_id)
        node = PythonNode(self.gw, device, ("echo",))
        node.open()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(lambda: list(self.gw.execute(device.device_id, "echo", "1")))
            node.submit(node.result(node.next_dispatch()[1], "1"))
            asked.result()
        created = self.seen(process, "request.created", device_id=device.device_id)
        self.seen(process, "request.ended", subject=created["subject"], state="succeeded")
        self.cli.run("devices", "revoke", device.device_id, "--yes")
        revoked = self.seen(process, "device.revoked", subject=device.device_id)
        self.assertEqual(process.stop(signal.SIGINT), twinlatch.EXIT_OK)
        watch.until(lambda answer: answer.position >= revoked["seq"])
        watch.cancel()
        told = lines(process)
        self.assertEqual(told, [row for row in journal(self.cli) if before < row["seq"] <= told[-1]["seq"]])

    def test_from_a_number_to_the_end(self):
        for _ in range(3):
            self.gw.mint("link")
        rows = journal(self.cli)
        printed = self.cli.run("events", "--json", "--from", str(rows[-4]["seq"])).stdout.splitlines()
        self.assertEqual([json.loads(line) for line in printed], rows[-3:])
        everything = self.cli.run("events", "--json", "--from", "0").stdout.splitlines()
        self.assertEqual(numbers(map(json.loads, everything)), list(range(1, len(rows) + 1)))
        self.assertEqual(self.cli.run("events", "--json", "--from", str(rows[-1]["seq"])).stdout, "", "nothing behind the newest")
        human = self.cli.run("events", "--from", str(rows[-2]["seq"])).stdout
        self.assertRegex(human, rf"^{rows[-1]['seq']}  [-0-9]{{10}} [:0-9]{{8}}  code\.minted  uid:\d+  {rows[-1]['subject']}  {{")

    def test_many_rows_come_in_order_whoever_is_slow(self):
        watch = self.gw.admin.WatchEvents(follow=True, timeout=twinlatch.PATIENCE)  # reads nothing yet
        code = self.gw.mint("link").record.code_id
        self.gw.admin.CancelPairingCode(code_id=code)
        device = self.gw.pair_device("renamed")
        for n in range(600):  # three slices
            self.gw.admin.RenameDevice(device=device.device_id, name=f"renamed {n}")
        head, told = self.head(), []
        for answer in watch:
            self.assertEqual(answer.oldest, 0)
            self.assertLessEqual(len(answer.events), 200)
            told += [event.seq for event in answer.events]
            if answer.position >= head:
                break
        watch.cancel()
        self.assertEqual(told[:head], list(range(1, head + 1)))

    def test_bad_numbers(self):
        failed = self.cli.run("events", "--json", expect=twinlatch.EXIT_USAGE)
        self.assertIn("--follow", failed.stderr)
        failed = self.cli.run("events", "--json", "--from", str(self.head() + 1000), expect=twinlatch.EXIT_USAGE)
        self.assertEqual(json.loads(failed.stderr)["error"]["reason"], "out_of_range")
        self.cli.run("events", "--from", "-1", expect=twinlatch.EXIT_USAGE)
        self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument",
                            lambda **fields: list(self.gw.admin.WatchEvents(**fields)), **{"from": 1 << 63})


class Restart(twinlatch.TestCase):
    def test_from_a_number_after_a_restart_comes_what_is_behind_it_once_and_in_order(self):
        gateway = self.gateway()
        cli = Cli(dict(gateway.environment))
        gateway.mint("link")
        first = cli.start("events", "--follow", "--json", "--from", "0")
        twinlatch.until(lambda: any(e["kind"] == "code.minted" for e in lines(first)), "the code that was minted")
        gateway.restart(kill=True)
        self.assertEqual(first.wait(), twinlatch.EXIT_UNREACHABLE, first.text)
        last = lines(first)[-1]["seq"]
        gateway.mint("pin")
        second = cli.start("events", "--follow", "--json", "--from", str(last))
        gateway.mint("link")
        head = gateway.admin.GetJournalHead().seq
        twinlatch.until(lambda: lines(second) and lines(second)[-1]["seq"] >= head, "the newest event")
        self.assertEqual(second.stop(signal.SIGINT), twinlatch.EXIT_OK)
        self.assertEqual(numbers(lines(first) + lines(second)), list(range(1, head + 1)))
        self.assertEqual(lines(first) + lines(second), journal(cli)[:head])
        self.assertEqual([e["kind"] for e in lines(second)].count("gateway.started"), 1)

    def test_people_are_told_where_to_go_on(self):
        gateway = self.gateway("told")
        cli = Cli(dict(gateway.environment))
        process = cli.start("events", "--follow", "--from", "0")
        process.wait_line("gateway.started")
        head = gateway.admin.GetJournalHead().seq
        gateway.stop()
        self.assertEqual(process.wait(), twinlatch.EXIT_UNREACHABLE)
        self.assertRegex(process.text, r"go on with --from \d+")
        self.assertGreaterEqual(int(process.text.split("--from ")[1].split()[0]), head)


class Retention(twinlatch.TestCase):
    def test_what_retention_removed_is_said(self):
        gateway = self.gateway()
        cli = Cli(dict(gateway.environment))
        gateway.stop()
        with contextlib.closing(sqlite3.connect(gateway.state / "twinlatch.db")) as database, database:
            now = database.execute("SELECT max(time) FROM journal").fetchone()[0]
            database.execute("DELETE FROM journal")
            value = bytes(32)
            for seq in range(1, 1501):  # of long ago; a thousand stay whatever their age
                row = (seq, now - 500 * 86400000 + seq, "code.refused", "source:192.0.2.1", "", "{}")
                value = journal_check.row_hash(value, *row)
                database.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", row + (value,))
        twinlatch.seal_pages(gateway.state / "twinlatch.db")
        gateway.start()
        twinlatch.until(lambda: cli.json("status")["journal_rows"] < 1100, "the old rows gone")
        found = [json.loads(line) for line in cli.run("events", "--json", "--from", "1").stdout.splitlines()]
        oldest = journal(cli)[0]["seq"]
        self.assertEqual(found[0], {"gap": True, "oldest": oldest})
        self.assertEqual(found[1]["seq"], oldest)
        self.assertIn(f"before event {oldest} is not retained", cli.run("events", "--from", "1").stderr)
        everything = cli.run("events", "--json", "--from", "0").stdout.splitlines()
        self.assertEqual(json.loads(everything[0])["seq"], oldest, "all there are: nothing is missing")


class Network(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway("remote", gateway=dict(name="remote"))

    def test_an_operator_sees_what_it_can_list(self):
        operator = self.gw.connect(self.gw.pair_device("operator", role=OPERATOR))
        kinds = {event.kind for answer in operator.admin.WatchEvents() for event in answer.events}
        self.assertLessEqual({"pairing.approved", "certificate.issued", "certificate.used"}, kinds)
        self.assertEqual([kind for kind in kinds if not kind.startswith(REMOTE)], [])
        local = {event.kind for answer in self.gw.admin.WatchEvents() for event in answer.events}
        self.assertIn("gateway.started", local)
        node = self.gw.connect(self.gw.pair_device("node"))
        self.assertRpcError(wire.PERMISSION_DENIED, "not_operator", lambda: list(node.admin.WatchEvents()))

    def test_readers_over_the_network_leave_room_for_local_ones(self):
        operators = [self.gw.connect(self.gw.pair_device(f"many {n}", role=OPERATOR)) for n in range(5)]
        watches = []
        for operator in operators[:4]:
            for _ in range(4):
                watches.append(operator.admin.WatchEvents(follow=True, timeout=twinlatch.PATIENCE))
                next(watches[-1])
            self.assertRpcError(wire.RESOURCE_EXHAUSTED, "resource_exhausted", lambda: next(operator.admin.WatchEvents()))
        self.assertRpcError(wire.RESOURCE_EXHAUSTED, "resource_exhausted", lambda: next(operators[4].admin.WatchEvents()))
        self.assertTrue(list(self.gw.admin.WatchEvents()), "there is room here")
        for watch in watches:
            watch.cancel()

        def again():
            try:
                return list(operators[4].admin.WatchEvents())
            except wire.RpcError:
                return None
        twinlatch.until(again, "room over the network", interval=0.1)

    def test_revoking_the_operator_ends_what_it_watches(self):
        device = self.gw.pair_device("gone soon", role=OPERATOR)
        watch = self.gw.connect(device).admin.WatchEvents(from_now=True, follow=True, timeout=twinlatch.PATIENCE)
        next(watch)
        self.gw.admin.RevokeDevice(device=device.device_id)
        with self.assertRaises(wire.RpcError):
            for _ in watch:
                pass

    def test_a_lost_connection_is_made_again_and_nothing_is_told_twice(self):
        laptop = self.node("laptop")
        laptop.pair(self.gw, role=OPERATOR)
        watch = laptop.cli.start("events", "--follow", "--from", "0", "--json", *laptop.options(), "--gateway", "remote")
        first = self.gw.mint("link").record.code_id
        watch.wait_line(first)
        self.gw.restart()
        second = self.gw.mint("link").record.code_id
        watch.wait_line(second)
        self.assertEqual(watch.stop(signal.SIGINT), twinlatch.EXIT_OK)
        told = lines(watch)
        rows = [row for row in journal(Cli(dict(self.gw.environment))) if row["kind"].startswith(REMOTE)]
        self.assertEqual(told, [row for row in rows if row["seq"] <= told[-1]["seq"]])


if __name__ == "__main__":
    unittest.main()
