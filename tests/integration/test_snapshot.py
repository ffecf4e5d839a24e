# SPDX-License-Identifier: Apache-2.0
"""node-runtime.v1.json: what it shows, that it is whole at every moment, and what an import of one does."""
import json
import stat

import jsonschema

import wire
from twinlatch import EXIT_STATE, Cli, Gateway, TestCase, until

SCHEMA = json.loads((wire.SOURCE / "data" / "doc" / "node-runtime.v1.schema.json").read_text())
DEVICE, OTHER = "01JD00000000000000000000D1", "01JD00000000000000000000D2"
PAIRING, REQUEST = "01JD00000000000000000000P1", "01JD00000000000000000000R1"

# The shape that the documents of the product's predecessor describe.
SEED = {
    "active_pairing_codes": {"438215": {"code": "438215", "method": "pin", "issued_by": "admin", "created_at_unix_ms": 1,
                                        "expires_at_unix_ms": 2}},
    "pairing_requests": {PAIRING: {
        "request_id": PAIRING, "session_id": "01JD00000000000000000000S1", "device_id": DEVICE, "client_kind": "Node",
        "method": "pin", "code_issued_by": "admin", "requested_at_unix_ms": 1700000000000,
        "expires_at_unix_ms": 1700000600000, "approval_id": "x", "state": "pending_approval", "decision_reason": None,
        "decision_scope_ttl_ms": None, "verified_pairing": {
            "device_id": DEVICE, "client_kind": "Node", "identity_fingerprint": "ab" * 32,
            "signing_public_key_hex": "01" * 32, "transcript_hash_hex": "02" * 32}, "material": None}},
    "nodes": {DEVICE: {"device_id": DEVICE, "platform": "linux", "capabilities": [{"name": "echo", "available": True}],
                       "registered_at_unix_ms": 1700000000000, "last_seen_at_unix_ms": 1700000001000,
                       "last_event_name": "node.heartbeat", "last_event_at_unix_ms": 1700000001000}},
    "capability_requests": {REQUEST: {
        "request_id": REQUEST, "device_id": DEVICE, "capability": "echo", "state": "succeeded",
        "created_at_unix_ms": 1700000000000, "updated_at_unix_ms": 1700000000500,
        "dispatched_at_unix_ms": 1700000000100, "completed_at_unix_ms": 1700000000500, "max_payload_bytes": 4096,
        "input_summary": "hello", "output_summary": "hello", "error": None}},
}


def read(gateway):
    path = gateway.state / "node-runtime.v1.json"
    inventory = json.loads(path.read_text())
    jsonschema.validate(inventory, SCHEMA)
    return inventory


def write(gateway, text):
    gateway.state.mkdir(mode=0o700)
    path = gateway.state / "node-runtime.v1.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


class Snapshot(TestCase):
    def test_follows_the_inventory(self):
        gateway = self.gateway()
        until((gateway.state / "node-runtime.v1.json").is_file, "the first snapshot")
        inventory = read(gateway)
        self.assertEqual(inventory["gateway_id"], gateway.gateway_id)
        self.assertEqual(stat.S_IMODE((gateway.state / "node-runtime.v1.json").stat().st_mode), 0o600)

        code = gateway.mint("pin")
        until(lambda: code.record.code_id in read(gateway)["active_pairing_codes"], "the code")
        shown = (gateway.state / "node-runtime.v1.json").read_text()
        digits = code.text.replace("-", "")[-8:]
        self.assertNotIn(digits, shown)
        self.assertNotIn(code.text, shown)

        node = self.node("snapshot")
        request = node.pair(gateway)
        node.run(gateway)
        answers = gateway.execute(node.marker["device_id"], "echo", '"a secret of mine"')
        device = node.marker["device_id"]
        until(lambda: read(gateway)["capability_requests"].get(answers[-1].request_id, {}).get("state") == "succeeded",
              "the finished request")
        inventory = read(gateway)
        self.assertEqual(inventory["nodes"][device]["state"], "active")
        self.assertIn({"name": "echo", "available": True}, inventory["nodes"][device]["capabilities"])
        self.assertEqual(inventory["pairing_requests"][request.request_id]["state"], "completed")
        node.stop()
        until(lambda: read(gateway)["nodes"][device]["last_event_name"] == "node.stopping", "the node's last word")
        status = Cli(gateway.environment).json("status")
        self.assertGreater(status["snapshot_bytes"], 0)

    def test_whole_at_every_moment(self):
        """A reader never sees half a file, also while the gateway is killed again and again."""
        gateway = self.gateway("whole")
        path = gateway.state / "node-runtime.v1.json"
        for _ in range(5):
            gateway.mint("link")
            until(path.is_file, "the snapshot")
            before = path.stat().st_ino
            until(lambda: read(gateway) and path.stat().st_ino != before, "the next snapshot")
            gateway.restart(kill=True)
            read(gateway)

    def test_cannot_be_written(self):
        """The gateway works without it, and says so."""
        gateway = self.gateway("no-snapshot", start=False)
        gateway.state.mkdir(mode=0o700)
        (gateway.state / "node-runtime.v1.json").mkdir()
        process = gateway.launch()
        self.addCleanup(process.stop)
        # A folder in the file's place is not an inventory: nothing is guessed.
        self.assertNotEqual(process.wait(), 0)
        self.assertIn("not a regular file", process.text)
        (gateway.state / "node-runtime.v1.json").rmdir()
        gateway.start()
        path = gateway.state / "node-runtime.v1.json"
        until(path.is_file, "the first snapshot")
        path.unlink()
        path.mkdir()
        (path / "full").mkdir()
        gateway.mint("link")
        until(lambda: gateway.admin.GetStatus().snapshot_error, "the error in the status")
        (path / "full").rmdir()
        path.rmdir()
        gateway.mint("link")
        until(lambda: not gateway.admin.GetStatus().snapshot_error, "the error to go")


class Import(TestCase):
    def test_seed(self):
        gateway = self.gateway(start=False)
        path = write(gateway, SEED)
        gateway.start()
        nodes = {n.device_id: n for n in gateway.admin.ListNodes().nodes}
        self.assertEqual(nodes[DEVICE].state, wire.messages.enum("DeviceState", "DEVICE_STATE_NOT_PAIRED"))
        self.assertEqual([c.name for c in nodes[DEVICE].capabilities], ["echo"])
        cli = Cli(gateway.environment)
        self.assertIn("not paired", cli.run("nodes", "list").stdout)
        self.assertEqual(cli.json("status")["nodes_not_paired"], 1)
        self.assertIn("not paired", gateway.process.text)
        # Known is not paired: nothing runs on it, nothing of it is admitted.
        self.assertRpcError(9, "failed_precondition", gateway.admin.ExecuteCapability, device=DEVICE,
                            capability="echo", input="{}")
        self.assertEqual(list(gateway.admin.ListDevices().devices), [])
        # The plain code is gone, and the pairing request is history.
        self.assertEqual(gateway.codes(), {})
        [request] = gateway.admin.ListPairingRequests().requests
        self.assertEqual(request.state, wire.messages.enum("PairingState", "PAIRING_STATE_EXPIRED"))
        self.assertNotIn(b"438215", (gateway.state / "twinlatch.db").read_bytes())
        # The file is kept, under another name, and a snapshot of this gateway takes its place.
        self.assertEqual(json.loads((gateway.state / "node-runtime.v1.imported.json").read_text()), SEED)
        until(path.is_file, "the snapshot")
        inventory = read(gateway)
        self.assertEqual(inventory["nodes"][DEVICE]["state"], "not_paired")
        self.assertEqual(inventory["capability_requests"][REQUEST]["state"], "succeeded")
        gateway.restart()
        self.assertEqual([n.device_id for n in gateway.admin.ListNodes().nodes], [DEVICE])

    def test_own_snapshot(self):
        """The database is lost, the snapshot is not: every node is known, none is let in."""
        old = self.gateway("old")
        device = old.pair_device("survivor")
        node = self.node("survivor")
        node.pair(old)
        node.run(old)
        node.stop()
        old.stop()
        text = (old.state / "node-runtime.v1.json").read_text()
        self.assertIn(node.marker["device_id"], text)
        new = self.gateway("new", start=False)
        write(new, text)
        new.start()
        self.assertEqual([n.device_id for n in new.admin.ListNodes().nodes], [node.marker["device_id"]])
        self.assertNotEqual(new.gateway_id, old.gateway_id)
        self.assertNotIn(device.device_id, [n.device_id for n in new.admin.ListNodes().nodes])

    def test_pairing_makes_it_a_device(self):
        gateway = self.gateway("adopt", start=False)
        write(gateway, {"nodes": {OTHER: {"device_id": OTHER}}})
        gateway.start()
        from prover import Device
        device = Device("adopted")
        device.device_id = OTHER
        with gateway.connect() as connection:
            session = gateway.session(gateway.mint("link"), device, connection)
            session.start()
            session.exchange()
            session.complete()
            gateway.approve(session.request_id, session.comparison)
            session.finish()
        self.assertEqual([d.device_id for d in gateway.admin.ListDevices().devices], [OTHER])
        self.assertEqual(gateway.admin.GetStatus().nodes_not_paired, 0)

    def test_bad_file(self):
        """Named, and nothing of it lost: the gateway does not start over it."""
        cases = {"malformed": "{", "a list": "[]", "odd id": {"nodes": {"x": {"device_id": "x"}}},
                 "odd state": {"capability_requests": {REQUEST: {"device_id": DEVICE, "capability": "echo",
                                                                 "state": "flying"}}}}
        for number, (name, content) in enumerate(cases.items()):
            with self.subTest(name):
                gateway = Gateway(self.sandbox, f"bad-{number}", start=False)
                path = write(gateway, content)
                before = path.read_bytes()
                process = gateway.launch()
                self.assertEqual(process.wait(), EXIT_STATE, process.text)
                self.assertIn("node-runtime.v1.json", process.text)
                self.assertIn("move it away", process.text)
                self.assertEqual(path.read_bytes(), before)
                path.unlink()
                gateway.start()
                gateway.stop()

    def test_not_over_a_store(self):
        """A gateway that has a store does not look at the file."""
        gateway = self.gateway("has-store")
        gateway.stop()
        path = gateway.state / "node-runtime.v1.json"
        path.write_text("{")
        gateway.start()
        until(lambda: path.read_text() != "{", "the snapshot")
        read(gateway)
