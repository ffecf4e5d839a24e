# SPDX-License-Identifier: Apache-2.0
"""The event log of a device and the life of a capability request (PROTOCOL 4.1, 4.2), seen from a node that does as it likes."""
import json
import threading
import time
import unittest

import prover
import twinlatch
import wire
from pynode import PythonNode
from wire import messages


def request_state(answer):
    return messages.enum_name("RequestState", answer.state)[len("REQUEST_STATE_"):].lower()


class Events(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()

    def setUp(self):
        self.device = self.gw.pair_device(self._testMethodName[:60])
        self.node = PythonNode(self.gw, self.device, ("echo", "work.once"))
        self.node.register()

    def execute(self, capability="echo", input="1", **fields):
        """Runs in a thread; join() gives the states."""
        states = []

        def run():
            try:
                states.extend(self.gw.execute(self.device.device_id, capability, input, **fields))
            except wire.RpcError as error:
                states.append(error)
        thread = threading.Thread(target=run)
        thread.start()

        def join():
            thread.join(twinlatch.PATIENCE)
            self.assertFalse(thread.is_alive(), "the request never ended")
            return states
        return join

    def queue(self, count, **fields):
        """Requests for a device that is away; waits until all are in its log."""
        before = self.latest()
        found = [self.execute(input=str(i), **fields) for i in range(count)]
        twinlatch.until(lambda: self.latest() == before + count, f"{count} events in the log")
        return found

    def latest(self):
        return self.gw.admin.GetDevice(device=self.device.device_id).node.latest_seq

    def read(self, seq=0, event_id=""):
        """What a stream opened at a cursor brings: (first answer, ready, dispatch events up to latest_seq)."""
        stream = self.node.stream(seq, event_id)
        first = ready = next(stream)
        while ready.WhichOneof("kind") != "ready":
            ready = next(stream)
        events = []
        while seq + len(events) < ready.ready.latest_seq:
            events.append(next(stream).event)
        return first.WhichOneof("kind"), events

    def test_events_come_again_until_acknowledged(self):
        waiting = self.queue(3)
        _, events = self.read()
        self.assertEqual([e.seq for e in events], [1, 2, 3], "from 1, without gaps")
        self.assertEqual(len({e.id for e in events}), 3)
        _, again = self.read()
        self.assertEqual(again, events, "the very same events, ids and all")
        self.node.acknowledge(events[1].seq, events[1].id)
        twinlatch.until(lambda: self.gw.admin.GetDevice(device=self.device.device_id).node.acknowledged_seq == 2, "the acknowledgement")
        _, rest = self.read(events[1].seq, events[1].id)
        self.assertEqual(rest, events[2:])
        for event in events:
            dispatch = json.loads(event.data)
            self.node.submit(self.node.result(dispatch, dispatch["input"]))
        self.assertEqual(sorted(join()[-1].output for join in waiting), ["0", "1", "2"])

    def test_events_survive_a_killed_gateway(self):
        self.queue(2)
        self.gw.restart(kill=True)
        self.node = PythonNode(self.gw, self.device)
        self.node.register()
        _, events = self.read()
        self.assertEqual([e.seq for e in events], [1, 2])
        dispatch = json.loads(events[0].data)
        answer = self.node.submit(self.node.result(dispatch, "0"))
        self.assertEqual((answer.duplicate, answer.unknown), (False, False), "the request is still open after the restart")
        self.assertTrue(self.node.submit(self.node.result(dispatch, "0")).duplicate)

    def test_a_cursor_of_another_log_is_reset(self):
        self.queue(2)
        _, events = self.read()
        for cursor in ((1, prover.ulid()), (99, prover.ulid())):
            kind, again = self.read_after_reset(*cursor)
            self.assertEqual((kind, again), ("reset", events), "everything from the start")

    def read_after_reset(self, seq, event_id):
        stream = self.node.stream(seq, event_id)
        first = next(stream)
        self.assertEqual(first.WhichOneof("kind"), "reset")
        ready = stream.until(lambda m: m.WhichOneof("kind") == "ready").ready
        return "reset", [next(stream).event for _ in range(ready.latest_seq)]

    def test_acknowledging_another_id_is_an_error(self):
        self.queue(1)
        self.read()
        self.node.acknowledge(1, prover.ulid())
        self.assertRpcError(wire.OUT_OF_RANGE, "out_of_range", lambda: list(self.node.events))

    def test_a_cloned_identity_is_suspended(self):
        """PROTOCOL 5: a superseded instance that comes back means that somebody else has the identity, too."""
        other = PythonNode(self.gw, self.device)
        for node in (self.node, self.node, other, other):  # coming again is nobody's clone
            node.stream()
            node.events.until(lambda m: m.WhichOneof("kind") == "ready")
        self.node.stream()
        with self.assertRaises(wire.RpcError):
            list(self.node.events)
        with self.assertRaises(wire.RpcError):
            list(other.events)  # who of them is the real one, nobody knows
        device = self.gw.admin.GetDevice(device=self.device.device_id).device
        self.assertEqual(messages.enum_name("DeviceState", device.state), "DEVICE_STATE_SUSPENDED")
        rows = [row for answer in self.gw.admin.ReadJournal(limit=1000) for row in answer.rows
                if row.kind == "device.suspended" and row.subject == self.device.device_id]
        self.assertEqual([row.actor for row in rows], ["gateway"])
        self.assertIn(self.node.instance_id, rows[0].detail)
        self.gw.admin.ResumeDevice(device=self.device.device_id)
        again = PythonNode(self.gw, self.device)
        again.instance_id = self.node.instance_id  # an operator decided: all begins anew
        again.open()

    def test_a_stream_names_its_process(self):
        self.node.instance_id = "no ulid"
        self.node.stream()
        self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", lambda: next(self.node.events))

    def test_fetch_event(self):
        self.queue(1)
        _, [event] = self.read()
        cursor = messages.Cursor(seq=1, event_id=event.id)
        self.assertEqual(self.node.node.FetchEvent(device_id=self.device.device_id, cursor=cursor).event, event)
        with self.assertRaises(wire.RpcError):
            self.node.node.FetchEvent(device_id=self.device.device_id, cursor=messages.Cursor(seq=7, event_id=prover.ulid()))

    def test_states_follow_what_the_node_says(self):
        self.node.open()
        join = self.execute()
        _, dispatch = self.node.next_dispatch()
        self.node.tell("capability.accepted", request_id=dispatch["request_id"])
        self.node.tell("capability.progress", request_id=dispatch["request_id"], percent=50)
        time.sleep(0.2)  # both are fire and forget; the order on one stream is what counts
        self.node.submit(self.node.result(dispatch, "1"))
        answers = join()
        self.assertEqual([request_state(step) for answer in answers for step in answer.steps], ["queued", "dispatched", "running", "succeeded"])
        for answer in answers:
            self.assertEqual(request_state(answer), request_state(answer.steps[-1]) if answer.steps else "running")

    def test_a_late_result_changes_nothing(self):
        self.node.open()
        join = self.execute(timeout_ms=1000)
        _, dispatch = self.node.next_dispatch()
        self.node.tell("capability.accepted", request_id=dispatch["request_id"])
        self.assertEqual(request_state(join()[-1]), "timed_out")
        answer = self.node.submit(self.node.result(dispatch, '"late"'))
        self.assertTrue(answer.duplicate or answer.unknown)

    def test_failures_are_passed_on(self):
        self.node.open()
        for state, reason in (("FAILED", "not_found"), ("DENIED", "capability_denied")):
            join = self.execute()
            _, dispatch = self.node.next_dispatch()
            message = self.node.result(dispatch, "")
            message.success, message.output, message.error, message.error_reason = False, "", "it did not work", reason
            message.state = messages.enum("RequestState", "REQUEST_STATE_" + state)
            self.node.submit(message)
            last = join()[-1]
            self.assertEqual((request_state(last), last.error, last.error_reason), (state.lower(), "it did not work", reason))

    def test_results_are_checked(self):
        self.node.open()
        join = self.execute(max_payload_bytes=100)
        _, dispatch = self.node.next_dispatch()
        for output in ("{not json", '"' + "x" * 200 + '"', '{"a":1,"a":2}'):
            with self.subTest(output[:20]):
                with self.assertRaises(wire.RpcError) as caught:
                    self.node.submit(self.node.result(dispatch, output))
                self.assertIn(caught.exception.status, (wire.INVALID_ARGUMENT, wire.RESOURCE_EXHAUSTED))
        other = dict(dispatch, input="2")
        with self.assertRaises(wire.RpcError, msg="a receipt for another input"):
            self.node.submit(self.node.result(other, "1"))
        self.node.submit(self.node.result(dispatch, "1"))
        self.assertEqual(join()[-1].output, "1")

    def test_no_wait_needs_a_connected_device(self):
        self.assertRpcError(wire.FAILED_PRECONDITION, "failed_precondition", self.gw.execute, self.device.device_id, "echo", no_wait=True)

    def test_limits_of_a_request(self):
        execute = self.gw.execute
        for fields in (dict(timeout_ms=3600_001), dict(max_payload_bytes=(4 << 20) + 1), dict(expires_in_ms=7 * 86400_000 + 1)):
            with self.subTest(fields):
                self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", execute, self.device.device_id, "echo", **fields)
        with self.assertRaises(wire.RpcError):
            execute(self.device.device_id, "echo", '"' + "x" * 70000 + '"')

    def test_an_expired_request_is_not_given_out(self):
        join = self.execute(expires_in_ms=1000)
        self.assertEqual(request_state(join()[-1]), "expired")
        self.node.open()
        before = self.latest()
        join = self.execute(input='"after"')
        event, dispatch = self.node.next_dispatch()
        while event.seq <= before:  # the log may still hold it: then it says itself that it is over
            self.assertLess(dispatch["expires_at_unix_ms"], time.time() * 1000)
            event, dispatch = self.node.next_dispatch()
        self.node.submit(self.node.result(dispatch, dispatch["input"]))
        self.assertEqual(join()[-1].output, '"after"')


if __name__ == "__main__":
    unittest.main()
