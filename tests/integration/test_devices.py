# SPDX-License-Identifier: Apache-2.0
"""Device administration (PROTOCOL 4, 4.4): every transition, what it cuts, what it keeps, dry runs, operators that are none any more."""
import concurrent.futures
import json
import unittest

import prover
import twinlatch
import wire
from prover import Device
from pynode import PythonNode
from test_admission import bytes_after_handshake
from wire import messages

ACTIVE, SUSPENDED, REVOKED, REMOVED = (
    messages.enum("DeviceState", f"DEVICE_STATE_{s}") for s in ("ACTIVE", "SUSPENDED", "REVOKED", "REMOVED"))
OPERATOR, NODE = messages.enum("Role", "ROLE_OPERATOR"), messages.enum("Role", "ROLE_NODE")


def pair_again(gateway, device, **mint):
    session = gateway.session(gateway.mint("link", **mint), device)
    session.start()
    session.exchange()
    session.complete()
    gateway.approve(session.request_id, session.comparison)
    session.finish()
    return device


class Devices(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.cli = twinlatch.Cli(cls.gw.environment)

    def admitted(self, device):
        return bool(bytes_after_handshake(self.gw, device.chain_pem, device.key_pem))

    def state(self, device):
        return self.gw.admin.GetDevice(device=device.device_id).device.state

    def journal(self, kind, subject):
        return [json.loads(d) for (d,) in self.gw_rows(
            "SELECT detail FROM journal WHERE kind = ? AND subject = ? ORDER BY seq", kind, subject)]

    def gw_rows(self, sql, *values):
        import contextlib
        import sqlite3
        with contextlib.closing(sqlite3.connect(self.gw.state / "twinlatch.db")) as database:
            return database.execute(sql, values).fetchall()

    def open_node(self, name):
        device = self.gw.pair_device(name)
        node = PythonNode(self.gw, device)
        node.open()
        return device, node

    def queue(self, device, n=1):
        """Requests that wait; their streams."""
        streams = [self.gw.admin.ExecuteCapability(device=device.device_id, capability="echo", input="{}", timeout=60)
                   for _ in range(n)]
        for stream in streams:
            stream.until(lambda m: m.state == messages.enum("RequestState", "REQUEST_STATE_QUEUED"))
        return streams

    def test_suspend_cuts_and_resume_admits(self):
        device, node = self.open_node("suspended")
        dry = self.gw.admin.SuspendDevice(device=device.device_id, dry_run=True)
        self.assertTrue(dry.dry_run)
        self.assertEqual((dry.certificates, dry.already, dry.device.state), (1, False, ACTIVE))
        self.assertGreaterEqual(dry.calls_cancelled, 1)
        self.assertGreaterEqual(dry.connections_closed, 1)
        self.assertTrue(self.gw.wait_node(device.device_id).connected, "a dry run cuts nothing")
        answer = self.gw.admin.SuspendDevice(device=device.device_id, reason="lost in a train")
        self.assertEqual((answer.certificates, answer.already, answer.device.state), (1, False, SUSPENDED))
        self.assertGreaterEqual(answer.calls_cancelled, 1)
        self.assertGreaterEqual(answer.connections_closed, 1)
        self.assertEqual((answer.device.changed_reason, answer.device.revoked_at_unix_ms), ("lost in a train", 0))
        with self.assertRaises(wire.RpcError):
            list(node.events)
        self.assertFalse(self.admitted(device))
        again = self.gw.admin.SuspendDevice(device=device.device_id)
        self.assertTrue(again.already)
        self.assertRpcError(wire.PERMISSION_DENIED, "revoked", self.gw.admin.ExecuteCapability,
                            device=device.device_id, capability="echo", input="{}")
        self.gw.restart()
        self.assertFalse(self.admitted(device), "suspended stays suspended over a restart")
        answer = self.gw.admin.ResumeDevice(device=device.device_id)
        self.assertEqual((answer.certificates, answer.already, answer.device.state), (1, False, ACTIVE))
        self.assertTrue(self.admitted(device))
        self.assertTrue(self.gw.admin.ResumeDevice(device=device.device_id).already)
        self.assertEqual([d["reason"] for d in self.journal("device.suspended", device.device_id)], ["lost in a train"])
        self.assertEqual(len(self.journal("device.resumed", device.device_id)), 1)

    def test_suspend_keeps_the_queue_revoke_fails_it(self):
        device, node = self.open_node("queue")
        node.connection.close()
        self.gw.wait_node(device.device_id, connected=False)
        streams = self.queue(device, 3)
        self.assertEqual(self.gw.admin.RevokeDevice(device=device.device_id, dry_run=True).requests_failed, 3)
        answer = self.gw.admin.SuspendDevice(device=device.device_id)
        self.assertEqual((answer.requests_kept, answer.requests_failed), (3, 0))
        self.gw.admin.ResumeDevice(device=device.device_id)
        node = PythonNode(self.gw, device)
        node.open()
        for _ in range(3):
            event, dispatch = node.next_dispatch()
            node.submit(node.result(dispatch, '"kept"'))
        self.assertEqual([list(s)[-1].output for s in streams], ['"kept"'] * 3)
        node.connection.close()
        self.gw.wait_node(device.device_id, connected=False)
        streams = self.queue(device, 2)
        self.assertEqual(self.gw.admin.RevokeDevice(device=device.device_id).requests_failed, 2)
        self.assertEqual([list(s)[-1].error_reason for s in streams], ["revoked"] * 2)
        device, node = self.open_node("queue of a removed one")
        node.connection.close()
        self.gw.wait_node(device.device_id, connected=False)
        streams = self.queue(device)
        self.assertEqual(self.gw.admin.RemoveDevice(device=device.device_id).requests_failed, 1)
        self.assertEqual([list(s)[-1].error_reason for s in streams], ["removed"])

    def test_revoked_is_banned_until_cleared(self):
        device = self.gw.pair_device("banned")
        self.gw.admin.RevokeDevice(device=device.device_id)
        self.assertRpcError(wire.FAILED_PRECONDITION, "failed_precondition", self.gw.admin.ResumeDevice, device=device.device_id)
        self.assertRpcError(wire.FAILED_PRECONDITION, "failed_precondition", self.gw.admin.RemoveDevice, device=device.device_id)
        self.assertRpcError(wire.FAILED_PRECONDITION, "failed_precondition", self.gw.admin.SuspendDevice, device=device.device_id)
        self.assertRpcError(wire.FAILED_PRECONDITION, "failed_precondition", self.gw.admin.SetDeviceRole,
                            device=device.device_id, role=OPERATOR)
        with self.assertRaises(wire.RpcError):
            pair_again(self.gw, device)
        answer = self.gw.admin.ClearDevice(device=device.device_id, reason="found again")
        self.assertEqual((answer.already, answer.device.state), (False, REMOVED))
        self.assertFalse(self.admitted(device), "clearing lifts the ban and revives no certificate")
        self.assertTrue(self.gw.admin.ClearDevice(device=device.device_id).already)
        old = (device.chain_pem, device.key_pem)
        device.tls_key = Device().tls_key
        pair_again(self.gw, device)
        self.assertTrue(self.admitted(device))
        self.assertFalse(bytes_after_handshake(self.gw, *old))
        self.gw.restart()
        self.assertTrue(self.admitted(device))
        self.assertFalse(bytes_after_handshake(self.gw, *old))

    def test_removal_cuts_and_forgets(self):
        device, node = self.open_node("to be removed")
        answer = self.gw.admin.RemoveDevice(device="to be removed")
        self.assertEqual((answer.certificates, answer.device.state), (1, REMOVED))
        self.assertGreaterEqual(answer.connections_closed, 1)
        with self.assertRaises(wire.RpcError):
            list(node.events)
        self.assertFalse(self.admitted(device))
        self.assertNotIn(device.device_id, [n.device_id for n in self.gw.admin.ListNodes().nodes])
        self.assertRpcError(wire.NOT_FOUND, "not_found", self.gw.admin.GetDevice, device="to be removed")
        self.assertTrue(self.gw.admin.RemoveDevice(device=device.device_id).already)
        self.assertRpcError(wire.NOT_FOUND, "not_found", self.gw.admin.RevokeDevice, device=device.device_id)
        self.gw.restart()
        self.assertNotIn(device.device_id, [n.device_id for n in self.gw.admin.ListNodes().nodes])
        device.name, device.tls_key = "new name", Device().tls_key
        pair_again(self.gw, device)
        self.assertEqual(self.gw.admin.GetDevice(device="new name").device.device_id, device.device_id)

    def test_rename(self):
        device, other = self.gw.pair_device("before"), self.gw.pair_device("other")
        answer = self.gw.admin.RenameDevice(device="before", name="after")
        self.assertEqual((answer.old_name, answer.device.name, answer.already), ("before", "after", False))
        self.assertTrue(self.gw.admin.RenameDevice(device="after", name="after").already)
        self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", self.gw.admin.RenameDevice, device="after", name="a\u202eb")
        self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", self.gw.admin.RenameDevice, device="after", name="")
        self.assertEqual(len(self.journal("device.renamed", device.device_id)), 1)
        self.assertTrue(self.admitted(device))
        self.assertEqual(self.cli.json("devices", "rename", other.device_id, "renamed")["device"]["name"], "renamed")

    def test_rotate_asks_once(self):
        device, node = self.open_node("rotated")
        answer = self.gw.admin.RotateDevice(device=device.device_id)
        self.assertFalse(answer.already)
        event = node.events.until(lambda m: m.WhichOneof("kind") == "event").event
        self.assertEqual((event.type, event.seq), ("certificate.renew", answer.seq))
        again = self.gw.admin.RotateDevice(device=device.device_id)
        self.assertEqual((again.already, again.seq), (True, answer.seq))
        node.acknowledge(event.seq, event.id)
        self.gw.wait_node(device.device_id)
        later = []
        # The acknowledgement travels by itself.
        twinlatch.until(lambda: later.append(self.gw.admin.RotateDevice(device=device.device_id)) or not later[-1].already,
                        "a new event after the acknowledgement")
        self.assertEqual(later[-1].seq, answer.seq + 1)
        self.gw.admin.RevokeDevice(device=device.device_id)
        self.assertRpcError(wire.FAILED_PRECONDITION, "failed_precondition", self.gw.admin.RotateDevice, device=device.device_id)

    def test_role_ends_streams_and_the_device_comes_back(self):
        node = self.node("role")
        node.pair(self.gw)
        node.run(self.gw)
        device_id = node.marker["device_id"]
        connected = self.gw.wait_node(device_id).connected_at_unix_ms
        dry = self.gw.admin.SetDeviceRole(device=device_id, role=OPERATOR, dry_run=True)
        self.assertGreaterEqual(dry.calls_cancelled + dry.connections_closed, 1)
        answer = self.gw.admin.SetDeviceRole(device=device_id, role=OPERATOR)
        self.assertGreaterEqual(answer.calls_cancelled + answer.connections_closed, 1)
        self.assertEqual(answer.device.role, OPERATOR)
        stream = self.gw.admin.WatchNodes(timeout=twinlatch.PATIENCE)
        stream.until(lambda n: n.device_id == device_id and n.connected and n.connected_at_unix_ms > connected)
        stream.cancel()
        self.assertTrue(self.gw.admin.SetDeviceRole(device=device_id, role=OPERATOR).already)
        self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", self.gw.admin.SetDeviceRole, device=device_id)
        self.gw.admin.SetDeviceRole(device=device_id, role=NODE)
        self.assertEqual(len(self.journal("device.role", device_id)), 2)

    def test_an_operator_that_is_none_any_more(self):
        """Its codes and undecided requests end; the devices that it admitted are listed and stay (PROTOCOL 4)."""
        for end in ("revoke", "demote", "suspend"):
            with self.subTest(end):
                operator = self.gw.pair_device("operator", role=OPERATOR)
                mine, others = self.gw.mint("pin"), self.gw.mint("link")
                pending = self.gw.session(self.gw.mint("link"), Device("pending"))
                pending.start()
                pending.exchange()
                pending.complete()
                admitted = self.gw.pair_device("admitted by " + end)
                actor = f"device:{operator.device_id}"
                self.gw.stop()
                self.gw.edit_database(
                    ("UPDATE codes SET minted_by = ? WHERE code_id = ?", actor, mine.record.code_id),
                    ("UPDATE pairings SET code_minted_by = ? WHERE request_id = ?", actor, pending.request_id),
                    ("UPDATE devices SET approved_by = ? WHERE device_id = ?", actor, admitted.device_id))
                self.gw.start()
                change = {
                    "revoke": lambda **f: self.gw.admin.RevokeDevice(device=operator.device_id, **f),
                    "suspend": lambda **f: self.gw.admin.SuspendDevice(device=operator.device_id, **f),
                    "demote": lambda **f: self.gw.admin.SetDeviceRole(device=operator.device_id, role=NODE, **f)}[end]
                for dry_run in (True, False):
                    answer = change(dry_run=dry_run)
                    self.assertEqual([c.code_id for c in answer.codes_cancelled], [mine.record.code_id])
                    self.assertEqual([r.request_id for r in answer.pairing_requests_ended], [pending.request_id])
                    self.assertEqual([d.device_id for d in answer.devices_admitted], [admitted.device_id])
                    cancelled = messages.enum("CodeState", "CODE_STATE_CANCELLED")
                    self.assertEqual(self.gw.codes()[mine.record.code_id].state == cancelled, not answer.dry_run)
                rejected = messages.enum("PairingState", "PAIRING_STATE_REJECTED")
                states = {r.request_id: r.state for r in self.gw.admin.ListPairingRequests().requests}
                self.assertEqual(states[pending.request_id], rejected)
                live = messages.enum("CodeState", "CODE_STATE_LIVE")
                self.assertEqual(self.gw.codes()[others.record.code_id].state, live, "not its own")
                self.assertTrue(self.admitted(admitted))
                listed = self.gw.admin.ListDevices(approved_by=actor).devices
                self.assertEqual([d.device_id for d in listed], [admitted.device_id])

    def test_races(self):
        """Whatever a device does while it is suspended, revoked or removed: after the answer nothing of it is connected."""
        for verb in ("SuspendDevice", "RevokeDevice", "RemoveDevice"):
            for _ in range(6 if twinlatch.FULL else 2):
                device = self.gw.pair_device("races")

                def hammer():
                    calls = 0
                    while True:
                        try:
                            with self.gw.connect(device) as connection:
                                while True:
                                    connection.node.GetGatewayInfo(timeout=5)
                                    calls += 1
                        except wire.RpcError:
                            if stop:
                                return calls
                stop = []
                with concurrent.futures.ThreadPoolExecutor(4) as pool:
                    hammers = [pool.submit(hammer) for _ in range(4)]
                    getattr(self.gw.admin, verb)(device=device.device_id)
                    # From here on nothing may succeed, and nothing is left.
                    with self.gw.connect(device) as connection, self.assertRaises(wire.RpcError):
                        connection.node.GetGatewayInfo(timeout=5)
                    stop.append(True)
                    for done in hammers:
                        done.result(twinlatch.PATIENCE)
                self.assertFalse(self.admitted(device))
                if verb == "RevokeDevice":
                    left = self.gw.admin.RevokeDevice(device=device.device_id)
                    self.assertEqual((left.already, left.certificates, left.calls_cancelled), (True, 0, 0))

    def test_completion_that_raced_with_suspension(self):
        """A certificate that is being issued while its device is suspended or revoked is not admitted."""
        for verb, wanted in (("SuspendDevice", SUSPENDED), ("RevokeDevice", REVOKED)):
            device = self.gw.pair_device("issuance")
            again = Device()
            device.tls_key = again.tls_key
            session = self.gw.session(self.gw.mint("link"), device)
            session.start()
            session.exchange()
            session.complete()
            self.gw.approve(session.request_id, session.comparison)
            getattr(self.gw.admin, verb)(device=device.device_id)
            with self.assertRaises(Exception):
                session.finish()
            self.assertEqual(self.state(device), wanted)
            record = self.gw.admin.GetDevice(device=device.device_id).device
            self.assertEqual(len(record.certificates), 1, "no certificate was issued")

    def test_command_line(self):
        one, two = self.gw.pair_device("cli one"), self.gw.pair_device("cli two")
        dry = self.cli.run("devices", "revoke", "--dry-run", "cli one", "cli two").stdout
        self.assertIn("Would revoke cli one", dry)
        self.assertEqual(self.state(one), ACTIVE)
        done = self.cli.run("devices", "suspend", "cli one", "no such", "cli two", "--reason", "bulk", expect=4)
        self.assertIn("Suspended cli one", done.stdout)
        self.assertIn("Suspended cli two", done.stdout)
        self.assertIn("no such", done.stderr)
        self.assertOneLine(done.stderr)
        items = self.cli.json("devices", "list", "--state", "suspended")["items"]
        self.assertLessEqual({one.device_id, two.device_id}, {d["device_id"] for d in items})
        self.assertTrue(all(d["state"] == "suspended" for d in items))
        self.assertNotIn("cli one", self.cli.run("devices", "list", "--role", "operator").stdout)
        lines = self.cli.run("devices", "resume", "cli one", "cli two", "--json").stdout.splitlines()
        self.assertEqual([json.loads(line)["device"]["state"] for line in lines], ["active", "active"])
        self.assertIn("is not suspended", self.cli.run("devices", "resume", "cli one").stdout)
        self.cli.run("devices", "revoke", "cli one", expect=2)  # no terminal, no --yes
        self.cli.run("devices", "remove", "cli one", expect=2)
        self.cli.run("devices", "role", "cli one", "king", "--yes", expect=2)
        self.assertIn("Changed the role", self.cli.run("devices", "role", "cli one", "operator", "--yes").stdout)
        self.assertIn("not connected", self.cli.run("devices", "rotate", "cli one").stdout)
        self.assertIn("asked already", self.cli.run("devices", "rotate", "cli one").stdout)
        self.assertIn("Revoked cli one", self.cli.run("devices", "revoke", "cli one", "--yes").stdout)
        self.assertIn("revoked already", self.cli.run("devices", "revoke", "cli one", "--yes").stdout)
        self.assertIn("its ban is lifted", self.cli.run("devices", "clear", one.device_id).stdout)
        self.assertIn("Removed cli two", self.cli.run("devices", "remove", "cli two", "--yes").stdout)
        self.assertIn("nothing to confirm", self.cli.run("devices", "confirm", "--yes").stdout)
        self.assertEqual(self.cli.json("devices", "list", "--connected")["items"], [])


if __name__ == "__main__":
    unittest.main()
