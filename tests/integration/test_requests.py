# SPDX-License-Identifier: Apache-2.0
"""Capability requests as operators handle them (PROTOCOL 4.2): cancel, follow, list, switches, history, process.run."""
import hashlib
import json
import os
import signal
import sqlite3
import threading
import unittest

import prover
import twinlatch
import wire
from pynode import PythonNode
from wire import messages


def state_name(answer):
    return messages.enum_name("RequestState", answer.state)[len("REQUEST_STATE_"):].lower()


def states(*names):
    return [messages.enum("RequestState", "REQUEST_STATE_" + name.upper()) for name in names]


class Case(twinlatch.TestCase):
    def journal(self, kind, subject):
        with sqlite3.connect(self.gw.state / "twinlatch.db") as database:
            return [json.loads(row[0]) for row in
                    database.execute("SELECT detail FROM journal WHERE kind = ? AND subject = ? ORDER BY seq", (kind, subject))]

    def follow(self, request_id):
        """Runs in a thread; join() gives the answers."""
        answers = []
        thread = threading.Thread(target=lambda: answers.extend(self.gw.admin.WatchCapabilityRequest(
            request_id=request_id, timeout=twinlatch.PATIENCE)))
        thread.start()

        def join():
            thread.join(twinlatch.PATIENCE)
            self.assertFalse(thread.is_alive(), "the request never ended")
            return answers
        return join

    def detach(self, device, capability="echo", input="1", **fields):
        """The request's id as soon as the gateway has it."""
        stream = self.gw.admin.ExecuteCapability(device=device, capability=capability, input=input, timeout=twinlatch.PATIENCE,
                                                 **fields)
        try:
            return next(stream).request_id
        finally:
            stream.cancel()

    def get(self, request_id):
        return self.gw.admin.GetCapabilityRequest(request_id=request_id).request

    def list(self, **filters):
        return [r.request_id for r in self.gw.admin.ListCapabilityRequests(**filters).requests]


class Operators(Case):
    """Against a node in Python, which does as it likes."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.cli = twinlatch.Cli(cls.gw.environment)

    def setUp(self):
        self.device = self.gw.pair_device(self._testMethodName[:60])
        self.node = PythonNode(self.gw, self.device, ("echo", "work.once"))
        self.node.register()

    def next_event(self, kind):
        return self.node.events.until(lambda m: m.WhichOneof("kind") == "event" and m.event.type == kind).event

    def started(self, **fields):
        """A request that the node took: (request id, dispatch)."""
        if self.node.events is None:
            self.node.open()
        request_id = self.detach(self.device.device_id, **fields)
        _, dispatch = self.node.next_dispatch()
        self.node.tell("capability.accepted", request_id=request_id)
        return request_id, dispatch

    def test_a_queued_request_is_cancelled_at_once_and_never_given_out(self):
        request_id = self.detach(self.device.device_id)
        join = self.follow(request_id)
        answer = self.gw.admin.CancelCapability(request_id=request_id[:20] if len(self.list()) == 1 else request_id, reason="a mistake")
        self.assertEqual((state_name(answer.request), answer.already), ("cancelled", False))
        self.assertEqual(answer.request.cancelled_by, f"uid:{os.getuid()}")
        self.assertEqual(state_name(join()[-1]), "cancelled")
        self.assertTrue(self.gw.admin.CancelCapability(request_id=request_id).already)
        self.assertEqual(self.journal("request.cancelled", request_id), [{"state": "queued", "reason": "a mistake"}])
        [end] = self.journal("request.ended", request_id)
        self.assertEqual(end["state"], "cancelled")
        ready = self.node.open()
        self.assertEqual(ready.latest_seq, 1)
        event = next(self.node.events).event
        self.assertEqual((event.seq, event.id, event.type), (1, request_id, "capability.cancel"), "its event says the opposite now")

    def test_the_device_says_how_a_cancelled_request_ended(self):
        for success in (False, True):
            with self.subTest(success=success):
                request_id, dispatch = self.started()
                join = self.follow(request_id)
                answer = self.gw.admin.CancelCapability(request_id=request_id, reason="enough")
                self.assertIn(state_name(answer.request), ("dispatched", "running"))
                self.assertGreater(answer.request.cancel_requested_at_unix_ms, 0)
                self.assertTrue(self.gw.admin.CancelCapability(request_id=request_id).already)
                event = self.next_event("capability.cancel")
                self.assertEqual(json.loads(event.data), {"request_id": request_id, "reason": "enough"})
                if success:
                    self.node.submit(self.node.result(dispatch, '"faster"'))
                else:
                    message = self.node.result(dispatch, "")
                    message.success, message.output, message.error, message.error_reason = False, "", "stopped", "cancelled"
                    message.state = states("cancelled")[0]
                    self.node.submit(message)
                self.assertEqual(state_name(join()[-1]), "succeeded" if success else "cancelled")

    def test_a_silent_device_is_not_waited_for(self):
        request_id, dispatch = self.started()
        join = self.follow(request_id)
        done = self.cli.json("requests", "cancel", request_id)
        self.assertEqual(done, {"request_id": request_id, "state": "cancelled"})
        self.assertEqual(state_name(join()[-1]), "cancelled")
        for _ in range(3):  # late: known, told so, and on record once
            self.assertTrue(self.node.submit(self.node.result(dispatch, '"late"')).duplicate)
        [row] = self.journal("result.late", request_id)
        self.assertEqual((row["state"], row["result"], row["output"]), ("cancelled", "succeeded", hashlib.sha256(b'"late"').hexdigest()))
        self.assertEqual(self.get(request_id).output_kept, False)

    def test_a_cancel_survives_a_killed_gateway(self):
        request_id, _ = self.started()
        self.gw.admin.CancelCapability(request_id=request_id)
        self.gw.restart(kill=True)
        self.assertGreater(self.get(request_id).cancel_requested_at_unix_ms, 0)
        self.assertEqual(state_name(self.follow(request_id)()[-1]), "cancelled")

    def test_what_cannot_be_cancelled(self):
        admin = self.gw.admin
        request_id, dispatch = self.started()
        self.node.submit(self.node.result(dispatch, "1"))
        self.assertRpcError(wire.FAILED_PRECONDITION, "failed_precondition", admin.CancelCapability, request_id=request_id)
        self.assertRpcError(wire.NOT_FOUND, "not_found", admin.CancelCapability, request_id=prover.ulid())
        self.assertRpcError(wire.NOT_FOUND, "not_found", admin.CancelCapability, request_id="")
        self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument",
                            lambda: admin.CancelCapability(request_id=request_id, reason="x" * 241))
        error = self.cli.run("requests", "cancel", request_id, expect=1).stderr
        self.assertIn("succeeded", error)
        self.assertOneLine(error)

    def test_following_a_request_that_is_over(self):
        request_id, dispatch = self.started()
        self.node.submit(self.node.result(dispatch, '{"answer": 42}'))
        [answer] = self.follow(request_id)()
        self.assertEqual((state_name(answer), answer.output), ("succeeded", '{"answer": 42}'))
        self.assertEqual(json.loads(self.cli.run("requests", "show", request_id, "--follow").stdout), {"answer": 42})

    def test_results_of_others_are_refused_and_on_record(self):
        request_id, dispatch = self.started()
        other = PythonNode(self.gw, self.gw.pair_device("another device"))
        other.register()
        foreign = other.result(dispatch, '"not mine"')
        self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", other.submit, foreign)
        unknown = dict(dispatch, request_id=prover.ulid())
        self.assertTrue(other.submit(other.result(unknown, "1")).unknown)
        bad = self.node.result(dispatch, "1")
        bad.result_signature = bytes(64)
        self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", self.node.submit, bad)
        self.node.submit(self.node.result(dispatch, '"mine"'))
        self.assertEqual(self.get(request_id).output, '"mine"')
        self.assertEqual(len(self.journal("result.refused", request_id)), 2)
        self.assertEqual(len(self.journal("result.refused", unknown["request_id"])), 1)

    def test_refusals_do_not_fill_the_journal(self):
        request_id, dispatch = self.started()
        bad = self.node.result(dispatch, "1")
        bad.result_signature = bytes(64)
        for _ in range(100):
            with self.assertRaises(wire.RpcError):
                self.node.submit(bad)
        self.assertLessEqual(len(self.journal("result.refused", request_id)), 61)  # 60 a minute, and how many more

    def test_history_keeps_a_summary(self):
        secret = "S3CR3T-" + "z" * 20
        given = json.dumps({"password": secret, "path": "/srv/" + "x" * 100, "n": 1})
        request_id, dispatch = self.started(input=given)
        open_one = self.get(request_id)
        self.assertEqual(open_one.input, given, "the whole input while it is open")
        output = json.dumps({"token": secret, "lines": ["y" * 300]})
        self.node.submit(self.node.result(dispatch, output))
        ended = self.get(request_id)
        self.assertEqual((ended.input, ended.output, ended.output_kept), ("", output, True))
        self.assertEqual(ended.receipt.decision, "allowed")
        self.assertEqual(ended.input_sha256, hashlib.sha256(given.encode()).digest())
        self.assertEqual(ended.output_sha256, hashlib.sha256(output.encode()).digest())
        [listed] = self.gw.admin.ListCapabilityRequests(device=self.device.device_id).requests
        for summary in (ended.input_summary, ended.output_summary, listed.input_summary, listed.output_summary):
            self.assertNotIn("S3CR3T", summary)
            self.assertTrue(0 < len(summary.encode()) <= 240)
        self.assertEqual(listed.input_summary, ended.input_summary)
        self.assertIn("***", ended.input_summary)
        self.gw.stop()
        self.gw.edit_database(("UPDATE outputs SET completed_at = completed_at - 90000000",))
        self.gw.start()
        twinlatch.until(lambda: not self.get(request_id).output_kept, "the output to go after a day")
        self.assertEqual(self.get(request_id).output_summary, ended.output_summary)
        self.assertRpcError(wire.NOT_FOUND, "not_found", lambda: list(self.gw.admin.WatchCapabilityRequest(request_id=request_id)))
        shown = self.cli.json("requests", "show", request_id[:26])
        self.assertEqual((shown["state"], shown["output_kept"]), ("succeeded", False))

    def test_lists_and_pages(self):
        for i in range(5):
            self.detach(self.device.device_id, input=str(i))
        mine = self.list(device=self.device.device_id)
        self.assertEqual(mine, sorted(mine, reverse=True))
        self.assertEqual(len(mine), 5)
        found, token = [], ""
        while True:
            page = self.gw.admin.ListCapabilityRequests(device=self.device.device_id, page=messages.Page(page_size=2, page_token=token))
            found += [r.request_id for r in page.requests]
            token = page.next_page_token
            if not token:
                break
        self.assertEqual(found, mine)
        self.gw.admin.CancelCapability(request_id=mine[2])
        self.assertEqual(self.list(device=self.device.device_id, states=states("cancelled")), [mine[2]])
        self.assertEqual(self.list(device=self.device.device_id, states=states("queued")), mine[:2] + mine[3:])
        self.assertEqual(self.list(device=self.device.device_id, requested_by="uid:12345678"), [])
        self.assertEqual(self.list(device=self.device.device_id, capability="work.once"), [])
        created = self.get(mine[1]).created_at_unix_ms
        self.assertEqual(self.list(device=self.device.device_id, since_unix_ms=created + 1), mine[:1] if created < self.get(mine[0]).created_at_unix_ms else [])
        by_cli = self.cli.json("requests", "list", "--device", self.device.name, "--limit", "3", "--state", "open")["items"]
        self.assertEqual([r["request_id"] for r in by_cli], (mine[:2] + mine[3:])[:3])
        self.assertRpcError(wire.NOT_FOUND, "not_found", self.list, device="nobody")
        self.assertIn("awaiting_consent", self.cli.run("requests", "list", "--state", "odd", expect=twinlatch.EXIT_USAGE).stderr)

    def test_a_capability_that_is_switched_off(self):
        device_id = self.device.device_id
        waiting = self.detach(device_id, "work.once")
        other = self.detach(device_id, "echo")
        self.assertIn("off", self.cli.run("nodes", "capability", self.device.name, "work.once", "off").stdout)
        self.assertEqual(state_name(self.follow(waiting)()[-1]), "cancelled")
        self.assertEqual(state_name(self.get(other)), "queued")
        for restart in (None, dict(kill=True), dict(kill=False)):
            if restart is not None:
                self.gw.restart(**restart)
                self.node = PythonNode(self.gw, self.device, ("echo", "work.once"))
            self.node.register()  # what the node announces does not switch it on
            error = self.assertRpcError(wire.FAILED_PRECONDITION, "failed_precondition", self.gw.execute, device_id, "work.once")
            self.assertIn("switched off", str(error))
        self.assertEqual(self.cli.json("nodes", "show", device_id)["switched_off"], ["work.once"])
        self.assertIn("off (gateway)", self.cli.run("nodes", "show", device_id).stdout)
        answer = self.gw.admin.SetNodeCapability(device=device_id, capability="work.once", enabled=False)
        self.assertTrue(answer.already)
        self.cli.run("nodes", "capability", device_id, "work.once", "on")
        self.detach(device_id, "work.once")
        self.assertEqual(self.journal("node.capability", device_id), [dict(capability="work.once", enabled=False),
                                                                      dict(capability="work.once", enabled=True)])
        self.assertRpcError(wire.FAILED_PRECONDITION, "capability_unknown", self.gw.admin.SetNodeCapability, device=device_id,
                            capability="work.onec", enabled=False)
        self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", self.gw.admin.SetNodeCapability, device=device_id,
                            capability="No", enabled=False)
        self.cli.run("nodes", "capability", device_id, "echo", "maybe", expect=twinlatch.EXIT_USAGE)

    def test_an_operator_over_the_network(self):
        """Cancels, lists and follows; switches nothing."""
        operator = self.gw.pair_device("operator's laptop", role=messages.enum("Role", "ROLE_OPERATOR"))
        admin = self.gw.connect(operator).admin
        request_id = self.detach(self.device.device_id)
        self.assertEqual([r.request_id for r in admin.ListCapabilityRequests(device=self.device.device_id).requests], [request_id])
        answer = admin.CancelCapability(request_id=request_id)
        self.assertEqual((state_name(answer.request), answer.request.cancelled_by), ("cancelled", f"device:{operator.device_id}"))
        self.assertEqual(state_name(list(admin.WatchCapabilityRequest(request_id=request_id))[-1]), "cancelled")
        self.assertEqual(state_name(admin.GetCapabilityRequest(request_id=request_id).request), "cancelled")
        with self.assertRaises(wire.RpcError) as caught:
            admin.SetNodeCapability(device=self.device.device_id, capability="echo", enabled=False)
        self.assertEqual(caught.exception.status, wire.PERMISSION_DENIED)
        self.gw.admin.RevokeDevice(device=operator.device_id)

    def test_no_wait_and_detach(self):
        error = self.cli.run("exec", self.device.name, "echo", "1", "--no-wait", expect=1).stderr
        self.assertIn("not connected", error)
        request_id = self.cli.run("exec", self.device.name, "echo", "1", "--detach", "--expires", "2h").stdout.strip()
        waiting = self.get(request_id)
        self.assertEqual(state_name(waiting), "queued")
        self.assertAlmostEqual(waiting.expires_at_unix_ms - waiting.created_at_unix_ms, 7200_000, delta=1)
        self.assertEqual(self.cli.json("exec", self.device.name, "echo", "1", "--detach")["state"], "queued")


APPEND = "import os,sys; f=os.open(sys.argv[1],os.O_WRONLY|os.O_APPEND|os.O_CREAT); os.write(f,(sys.argv[2]+'\\n').encode()); os.fsync(f)"


class Programs(Case):
    """process.run on the real node."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.cli = twinlatch.Cli(cls.gw.environment)
        cls.log = cls.sandbox.root / "ran"
        config = (f"[program append]\ncommand=/usr/bin/python3 -c \"{APPEND}\" {cls.log}\narguments=append\ndescription=Appends a line\n"
                  "[program sleep]\ncommand=/bin/sleep\narguments=append\n[policy process.run]\nmode=allow\n")
        cls.real = cls.node("laptop", config=config)
        cls.real.pair(cls.gw, "link")
        cls.real.run(cls.gw)

    def run_program(self, program, *arguments, **fields):
        return self.gw.execute("laptop", "process.run", json.dumps({"program": program, "arguments": arguments}), **fields)

    def test_a_program_runs_once(self):
        answers = self.run_program("append", "once")
        self.assertEqual(state_name(answers[-1]), "succeeded", answers[-1].error)
        self.assertEqual(json.loads(answers[-1].output)["exit_status"], 0)
        self.assertEqual(self.log.read_text().splitlines().count("once"), 1)
        kept = self.get(answers[-1].request_id)
        self.assertIn("append", kept.input_summary)

    def test_ctrl_c_leaves_it_running_and_cancel_ends_it(self):
        waiting = self.cli.start("exec", "laptop", "process.run", '{"program":"sleep","arguments":["1000"]}')
        request_id = twinlatch.until(lambda: self.list(states=states("running")), "a running request")[0]
        waiting.send(signal.SIGINT)
        self.assertNotEqual(waiting.wait(), 0)
        self.assertIn(request_id, waiting.text)
        self.assertIn("requests cancel", waiting.text)
        self.assertEqual(state_name(self.get(request_id)), "running")
        pid = twinlatch.until(lambda: self.children("sleep"), "the program")
        follower = self.cli.start("requests", "show", request_id, "--follow")
        self.assertIn("Cancelled", self.cli.run("requests", "cancel", request_id, "--reason", "too long").stdout)
        self.assertEqual(follower.wait(), twinlatch.EXIT_FAILURE)
        twinlatch.until(lambda: not any(os.path.exists(f"/proc/{p}") for p in pid), "the program to end")
        self.assertEqual(self.get(request_id).error_reason, "cancelled")

    def children(self, name):
        found = []
        for child in os.listdir("/proc"):
            try:
                with open(f"/proc/{child}/stat") as stat:
                    fields = stat.read().rsplit(")", 1)
                if fields[0].endswith(f"({name}") and int(fields[1].split()[1]) == self.real.process.pid:
                    found.append(child)
            except (OSError, IndexError):
                continue
        return found

    def test_a_timeout_ends_the_program(self):
        answers = self.run_program("sleep", "1000", timeout_ms=1000)
        self.assertEqual(state_name(answers[-1]), "timed_out")
        twinlatch.until(lambda: not self.children("sleep"), "the program to end")

    def test_a_killed_node_reports_interrupted_and_runs_nothing_again(self):
        request_id = self.detach("laptop", "process.run", '{"program":"sleep","arguments":["1000"]}', timeout_ms=600_000)
        pids = twinlatch.until(lambda: self.children("sleep"), "the program")
        self.real.kill()
        twinlatch.until(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids), "the program to end with its node")
        self.real.run(self.gw)
        answer = self.follow(request_id)()[-1]
        self.assertEqual((state_name(answer), answer.error_reason), ("failed", "interrupted"))
        self.assertEqual(self.children("sleep"), [])

    def test_a_running_request_outlives_the_gateway(self):
        """What the gateway had not written when it was killed, the node says again."""
        request_id = self.detach("laptop", "process.run", '{"program":"sleep","arguments":["3"]}', expires_in_ms=1500)
        twinlatch.until(lambda: self.children("sleep"), "the program")
        self.gw.restart(kill=True)
        answers = self.follow(request_id)()
        self.assertEqual(state_name(answers[-1]), "succeeded", "expires_at is no end for what runs")
        self.assertEqual(self.get(request_id).output, answers[-1].output)


class Policy(Case):
    def test_no_default_allows_process_run(self):
        self.gw = self.gateway()
        node = self.node("careful", config="[program true]\ncommand=/bin/true\n[policy]\ndefault=allow\n")
        node.pair(self.gw, "link")
        node.run(self.gw)
        answer = self.gw.execute("careful", "process.run", '{"program":"true"}')[-1]
        self.assertEqual(state_name(answer), "denied")
        self.assertIn("[policy process.run]", answer.error)
        self.assertEqual(self.get(answer.request_id).receipt.by, "absent")


if __name__ == "__main__":
    unittest.main()
