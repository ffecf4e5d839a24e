# SPDX-License-Identifier: Apache-2.0
"""The restore rule (PROTOCOL 4.4, issue 3, Must show 4): an old copy of the store beside a newer admission.log, or without it."""
import contextlib
import json
import shutil
import sqlite3
import unittest

import twinlatch
import wire
from prover import Device
from test_admission import bytes_after_handshake
from test_devices import ACTIVE, OPERATOR, REMOVED, REVOKED, SUSPENDED, pair_again
from wire import messages


class Restore(twinlatch.TestCase):
    """Each test has a gateway of its own: what is lost in one must not be missing in another."""

    def setUp(self):
        self.sandbox = twinlatch.Sandbox()
        self.addCleanup(self.sandbox.remove)
        self.gw = self.start_gateway("gateway")
        self.cli = twinlatch.Cli(self.gw.environment)
        self.copy = self.sandbox.root / "copy.db"
        self.log = self.gw.state / "admission.log"

    def start_gateway(self, name):
        gateway = twinlatch.Gateway(self.sandbox, name)
        self.addCleanup(gateway.stop)
        return gateway

    def admitted(self, device):
        return bool(bytes_after_handshake(self.gw, device.chain_pem, device.key_pem))

    def state(self, device):
        return self.gw.admin.GetDevice(device=device.device_id).device.state

    def back_up(self):
        """As the man page says; the running gateway does not mind."""
        with contextlib.closing(sqlite3.connect(self.gw.state / "twinlatch.db")) as source, \
                contextlib.closing(sqlite3.connect(self.copy)) as target:
            source.backup(target)

    def put_back(self, copy=None):
        for suffix in ("", "-wal", "-shm"):
            (self.gw.state / f"twinlatch.db{suffix}").unlink(missing_ok=True)
        shutil.copy(copy or self.copy, self.gw.state / "twinlatch.db")

    def entries(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def journal(self):
        with contextlib.closing(sqlite3.connect(self.gw.state / "twinlatch.db")) as database:
            return [json.loads(d) for (d,) in database.execute(
                "SELECT detail FROM journal WHERE kind = 'gateway.restored' ORDER BY seq")]

    def assertRestored(self, device, reason):
        """Nobody is admitted; the admin socket and pairing work, and it is said everywhere."""
        status = self.gw.admin.GetStatus()
        self.assertTrue(status.restored)
        self.assertIn(reason, status.restored_reason)
        self.assertIn("NO DEVICE IS ADMITTED", self.cli.run("status").stdout)
        twinlatch.until(lambda: "devices confirm" in self.gw.process.text, "the log says it")
        self.assertFalse(self.admitted(device))
        with self.assertRaises(wire.RpcError):
            self.gw.connect(device).node.GetGatewayInfo(timeout=10)
        self.assertEqual(self.gw.connect().health.Check().status, 1, "strangers may pair")
        self.assertEqual(status.codes_live + status.pairing_requests_pending, 0)

    def test_revoked_stays_revoked(self):
        gw = self.gw
        names = ("stays", "revoked", "suspended", "removed", "resumed", "cleared", "role")
        devices = {name: gw.pair_device(name, role=OPERATOR if name == "role" else 0) for name in names}
        gw.admin.SuspendDevice(device="resumed")
        gw.admin.RevokeDevice(device="cleared")
        self.back_up()
        gw.admin.RevokeDevice(device="revoked", reason="stolen")
        gw.admin.SuspendDevice(device="suspended")
        gw.admin.RemoveDevice(device="removed")
        gw.admin.ResumeDevice(device="resumed")
        gw.admin.ClearDevice(device=devices["cleared"].device_id)
        gw.admin.SetDeviceRole(device="role", role=messages.enum("Role", "ROLE_NODE"))
        later = gw.pair_device("paired later, then revoked")
        gw.admin.RevokeDevice(device=later.device_id)
        counter = gw.admin.GetStatus().admission_counter
        self.assertEqual(counter, 9)
        gw.stop()
        self.put_back()
        gw.start()
        self.assertFalse(gw.admin.GetStatus().restored)
        self.assertEqual(gw.admin.GetStatus().admission_counter, counter)
        for name, state in (("stays", ACTIVE), ("revoked", REVOKED), ("suspended", SUSPENDED), ("removed", REMOVED),
                            ("resumed", ACTIVE), ("cleared", REMOVED), ("role", ACTIVE)):
            with self.subTest(name):
                record = gw.admin.GetDevice(device=devices[name].device_id).device
                self.assertEqual(record.state, state)
                self.assertEqual(self.admitted(devices[name]), state == ACTIVE)
        record = gw.admin.GetDevice(device=devices["revoked"].device_id).device
        self.assertEqual((record.revoked_reason, record.revoked_by[:4]), ("stolen", "uid:"))
        self.assertNotEqual(gw.admin.GetDevice(device="role").device.role, OPERATOR)
        self.assertFalse(self.admitted(later))
        self.assertEqual(self.state(later), REVOKED, "a ban of a device that the copy does not know")
        later.tls_key = Device().tls_key
        with self.assertRaises(wire.RpcError):
            pair_again(gw, later)
        self.assertEqual(self.journal()[-1]["applied"], 7)
        # And so it stays.
        gw.restart()
        self.assertFalse(self.admitted(devices["revoked"]))
        self.assertTrue(self.admitted(devices["stays"]))
        gw.admin.RevokeDevice(device="stays")
        self.assertEqual(self.entries()[-1]["n"], counter + 1)

    def test_without_the_log_nobody_is_admitted(self):
        gw = self.gw
        good, bad = gw.pair_device("good"), gw.pair_device("bad")
        gw.admin.SuspendDevice(device="good")
        gw.admin.ResumeDevice(device="good")
        pin = gw.mint("pin")
        undecided = gw.session(gw.mint("link"), Device("undecided"))
        undecided.start()
        undecided.exchange()
        undecided.complete()
        self.back_up()
        gw.admin.RevokeDevice(device="bad")
        gw.stop()
        self.put_back()
        self.log.unlink()
        gw.start()
        self.assertRestored(good, "missing")
        self.assertFalse(self.admitted(bad))
        self.assertEqual(gw.codes()[pin.record.code_id].state, messages.enum("CodeState", "CODE_STATE_CANCELLED"))
        states = {r.request_id: r.state for r in gw.admin.ListPairingRequests().requests}
        self.assertEqual(states[undecided.request_id], messages.enum("PairingState", "PAIRING_STATE_REJECTED"))
        gw.restart(kill=True)
        self.assertRestored(good, "missing")
        new = gw.pair_device("paired meanwhile")
        self.assertFalse(self.admitted(new))
        # The operator looks, takes out what should not be there, and confirms.
        shown = self.cli.run("devices", "confirm", expect=2)
        self.assertIn(good.device_id, shown.stdout)
        self.assertIn(bad.device_id, shown.stdout)
        self.assertFalse(self.admitted(good), "looking confirms nothing")
        self.cli.run("devices", "revoke", "bad", "--yes")
        self.assertNotIn(bad.device_id, self.cli.run("devices", "confirm", expect=2).stdout)
        self.assertRpcError(wire.FAILED_PRECONDITION, "failed_precondition", gw.admin.ConfirmDevices, restored_at_unix_ms=5)
        self.assertFalse(self.admitted(good))
        answer = self.cli.json("devices", "confirm", "--yes", "--reason", "looked at it")
        self.assertEqual(answer, {"devices": 2, "already": False})
        self.assertTrue(gw.admin.ConfirmDevices().already)
        for _ in range(2):
            self.assertFalse(gw.admin.GetStatus().restored)
            self.assertTrue(self.admitted(good))
            self.assertTrue(self.admitted(new))
            self.assertFalse(self.admitted(bad))
            gw.restart()
        self.assertEqual([d.get("confirmed", False) for d in self.journal()], [False, True])

    def test_a_second_restore_asks_again(self):
        """The confirmation was of the list of then: an older copy beside the new log is not confirmed by it."""
        gw = self.gw
        device = gw.pair_device("device")
        gw.admin.SuspendDevice(device="device")
        gw.admin.ResumeDevice(device="device")
        self.back_up()
        gw.stop()
        self.log.unlink()
        gw.start()
        self.assertRestored(device, "missing")
        gw.admin.ConfirmDevices()
        self.assertTrue(self.admitted(device))
        confirmed = self.sandbox.root / "confirmed.db"
        self.copy, before = confirmed, self.copy
        self.back_up()
        gw.stop()
        self.put_back(before)
        gw.start()
        self.assertRestored(device, "missing")
        gw.stop()
        self.put_back(confirmed)  # a copy of after the confirmation is as good as the log
        gw.start()
        self.assertFalse(gw.admin.GetStatus().restored)
        self.assertTrue(self.admitted(device))

    def test_a_confirmed_gateway_works(self):
        gw = self.gw
        node = twinlatch.Node(self.sandbox, "works")
        self.addCleanup(node.stop)
        node.pair(gw)
        gw.admin.RevokeDevice(device=gw.pair_device("x").device_id)
        gw.stop()
        self.log.unlink()
        gw.start()
        gw.admin.ConfirmDevices()
        node.run(gw)
        self.assertEqual(gw.execute(node.marker["device_id"], "echo", '{"a":1}')[-1].output, '{"a":1}')
        node.stop()
        gw.admin.RevokeDevice(device=node.marker["device_id"])
        gw.restart()
        self.assertEqual(gw.admin.GetDevice(device=node.marker["device_id"]).device.state, REVOKED)
        self.assertEqual(gw.admin.GetStatus().admission_counter, self.entries()[-1]["n"])

    def test_damage_is_detected(self):
        """A flipped bit anywhere, a removed line, swapped lines, a short log, another gateway's: none is gone by."""
        gw = self.gw
        device = gw.pair_device("device")
        for name in ("a", "b", "c"):
            gw.admin.RevokeDevice(device=gw.pair_device(name).device_id)
        other = self.start_gateway("other")
        for name in ("a", "b", "c"):
            other.admin.RevokeDevice(device=other.pair_device(name).device_id)
        other.stop()
        gw.stop()
        whole = self.log.read_bytes()
        self.copy.write_bytes((gw.state / "twinlatch.db").read_bytes())
        lines = whole.splitlines(keepends=True)
        self.assertEqual(len(lines), 4)
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        end = bytearray(whole)
        end[-1] ^= 1
        upper = whole[:-4] + whole[-4:].replace(whole[-4:-3], whole[-4:-3].swapcase(), 1)
        cases = {
            "a flipped bit": (bytes(flipped), "does not verify"),
            "a flipped bit in the last line feed": (bytes(end), "has no end"),
            "a removed line": (b"".join(lines[:2] + lines[3:]), "does not verify"),
            "swapped lines": (b"".join([lines[0], lines[2], lines[1], lines[3]]), "does not verify"),
            "without the last line": (b"".join(lines[:-1]), "the store knows of 3"),
            "half a last line": (whole[:-40], "the store knows of 3"),
            "only the header": (lines[0], "the store knows of 3"),
            "empty": (b"", "is not there"),
            "another gateway's": ((other.state / "admission.log").read_bytes(), "does not verify"),
        }
        if upper != whole:
            cases["a letter of a MAC in upper case"] = (upper, "does not verify")
        for name, (damaged, reason) in cases.items():
            with self.subTest(name):
                self.put_back()
                self.log.write_bytes(damaged)
                gw.start()
                self.assertRestored(device, reason)
                self.assertEqual((gw.state / "admission.log.damaged").read_bytes(), damaged)
                self.assertEqual(self.entries()[-1]["change"], "restored")
                gw.stop()
        self.put_back()
        self.log.write_bytes(whole)
        gw.start()
        self.assertFalse(gw.admin.GetStatus().restored, "the whole one is good")
        self.assertTrue(self.admitted(device))

    def test_the_key_is_gone(self):
        gw = self.gw
        device = gw.pair_device("device")
        gw.admin.RevokeDevice(device=gw.pair_device("x").device_id)
        gw.stop()
        (gw.state / "secrets" / "admission-log-key.secret").unlink()
        gw.start()
        self.assertRestored(device, "does not verify")

    def test_a_torn_line_is_no_damage(self):
        """What was being written when the power went was not acknowledged."""
        gw = self.gw
        device = gw.pair_device("device")
        gw.admin.RevokeDevice(device=gw.pair_device("x").device_id)
        gw.stop()
        whole = self.log.read_bytes()
        for torn in (b'{"n":2,"time":17', b"{", b"\0" * 4096):
            self.log.write_bytes(whole + torn)
            gw.start()
            self.assertFalse(gw.admin.GetStatus().restored)
            self.assertTrue(self.admitted(device))
            gw.stop()
        gw.start()
        gw.admin.SuspendDevice(device="device")
        gw.restart()
        self.assertEqual(self.state(device), SUSPENDED)
        self.assertEqual([e["change"] for e in self.entries()[1:]], ["revoke", "suspend"])

    def test_an_upgrade_makes_a_log(self):
        """A store of before admission.log gets one that knows its bans, and nobody has to confirm anything."""
        gw = self.gw
        device, banned = gw.pair_device("device"), gw.pair_device("banned")
        gw.admin.RevokeDevice(device="banned")
        gw.stop()
        gw.edit_database(("DELETE FROM counters WHERE name = 'admission'",))
        self.log.unlink()
        gw.start()
        self.assertFalse(gw.admin.GetStatus().restored)
        self.assertTrue(self.admitted(device))
        self.assertEqual([(e["change"], e["device"]) for e in self.entries()[1:]], [("revoke", banned.device_id)])

    def test_taken_away_while_running(self):
        gw = self.gw
        device = gw.pair_device("device")
        gw.admin.RevokeDevice(device=gw.pair_device("x").device_id)
        self.log.unlink()
        gw.admin.SuspendDevice(device="device")
        self.assertEqual([e["change"] for e in self.entries()[1:]], ["revoke", "suspend"])
        gw.restart()
        self.assertFalse(gw.admin.GetStatus().restored)
        self.assertEqual(self.state(device), SUSPENDED)

    def test_a_log_that_cannot_be_written(self):
        """No answer that claims success, and nothing changed."""
        gw = self.gw
        device = gw.pair_device("device")
        gw.stop()
        self.log.unlink()
        gw.edit_database(("DELETE FROM counters WHERE name = 'admission'",))
        gw.start()
        self.log.unlink()
        self.log.mkdir()
        with self.assertRaises(wire.RpcError) as caught:
            gw.admin.RevokeDevice(device="device")
        self.assertIn("admission.log", str(caught.exception))
        self.assertEqual(self.state(device), ACTIVE)
        self.assertTrue(self.admitted(device))
        self.log.rmdir()
        self.assertEqual(gw.admin.RevokeDevice(device="device").device.state, REVOKED)
        self.assertFalse(self.admitted(device))
        gw.restart()
        self.assertFalse(gw.admin.GetStatus().restored)
        self.assertEqual(self.state(device), REVOKED)


if __name__ == "__main__":
    unittest.main()
