# SPDX-License-Identifier: Apache-2.0
"""Operators over the network (PROTOCOL 4, P): what they may do, and one test for each escalation that is forbidden. The methods are
called directly, with an operator's certificate: the command line's politeness is not what protects."""
import json
import signal
import threading
import types
import unittest

import grpc

import twinlatch
import wire
from prover import Device
from pynode import PythonNode
from wire import messages

OPERATOR, NODE = (messages.enum("Role", "ROLE_" + name) for name in ("OPERATOR", "NODE"))
PIN, LINK = (messages.enum("CodeMethod", "CODE_METHOD_" + name) for name in ("PIN", "LINK"))
ACTIVE = messages.enum("DeviceState", "DEVICE_STATE_ACTIVE")
REVOKED = messages.enum("DeviceState", "DEVICE_STATE_REVOKED")
ADMIN = messages.service("twinlatch.v1.AdminService").methods_by_name
PATH = "/twinlatch.v1.AdminService/"

# PROTOCOL 4: list, watch, execute, cancel, mint, decide, revoke. A method that is not in here is refused, also a new one.
REMOTE = {"MintNodePairingCode", "ListPairingCodes", "CancelPairingCode", "ListPairingRequests", "WatchPairingRequests",
          "DecidePairing", "ListDevices", "GetDevice", "RevokeDevice", "ListNodes", "WatchNodes", "ExecuteCapability",
          "CancelCapability", "ListCapabilityRequests", "GetCapabilityRequest", "WatchCapabilityRequest", "WatchEvents",
          "GetStatus", "GetCaBundle"}
LOCAL = ["SetDeviceRole", "SuspendDevice", "ResumeDevice", "RenameDevice", "RemoveDevice", "ClearDevice", "RotateDevice",
         "SetNodeCapability", "RotateCa", "RetireCa", "ReadJournal", "VerifyJournal", "GetJournalHead", "ConfirmDevices"]


class Base(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.operator = cls.gw.pair_device("operator", role=OPERATOR)
        cls.actor = "device:" + cls.operator.device_id

    def setUp(self):
        self.connection = self.gw.connect(self.operator)
        self.admin = self.connection.admin

    def ask_to_pair(self, code, device=None, **completion):
        """A device that waits for approval."""
        device = device or Device("asks")
        session = self.gw.session(code, device)
        session.start()
        session.exchange()
        session.complete(**completion)
        return device, session

    def request(self, session):
        return next(r for r in self.gw.admin.ListPairingRequests().requests if r.request_id == session.request_id)

    def state(self, device):
        return self.gw.admin.GetDevice(device=device.device_id).device.state

    def assertLocalOnly(self, call, **fields):
        error = self.assertRpcError(wire.PERMISSION_DENIED, "local_only", call, **fields)
        self.assertIn("only at the gateway itself", error.message)

    def raw_status(self, connection, method, request=b""):
        """Calls by path, whether or not this version knows the method."""
        with self.assertRaises(grpc.RpcError) as caught:
            list(connection.channel.unary_stream(PATH + method)(request, timeout=15))
        return caught.exception.code().value[0]


class Allowed(Base):
    def test_lists_and_details(self):
        self.assertIn(self.operator.device_id, [d.device_id for d in self.admin.ListDevices().devices])
        self.assertEqual(self.admin.GetDevice(device=self.operator.device_id).device.role, OPERATOR)
        self.assertEqual(self.admin.GetCaBundle().gateway_id, self.gw.gateway_id)
        self.admin.ListNodes()
        self.admin.ListPairingCodes(all=True)
        self.admin.ListPairingRequests()

    def test_status_tells_the_network_nothing_of_the_machine(self):
        here, there = self.gw.admin.GetStatus(), self.admin.GetStatus()
        self.assertEqual(there.gateway_id, here.gateway_id)
        self.assertTrue(here.state_dir and here.pid)
        self.assertEqual((there.state_dir, there.pid), ("", 0))

    def test_watches_and_executes(self):
        device = self.gw.pair_device("node")
        watch = self.admin.WatchNodes(timeout=twinlatch.PATIENCE)
        node = PythonNode(self.gw, device)
        node.open()
        watch.until(lambda n: n.device_id == device.device_id and n.connected)
        watch.cancel()
        states = []
        thread = threading.Thread(target=lambda: states.extend(
            self.admin.ExecuteCapability(device=device.device_id, capability="echo", input="1", timeout=twinlatch.PATIENCE)))
        thread.start()
        event, dispatch = node.next_dispatch()
        self.assertEqual(dispatch["requested_by"], self.actor)
        node.submit(node.result(dispatch, '"done"'))
        thread.join(twinlatch.PATIENCE)
        self.assertEqual(states[-1].output, '"done"')
        node.acknowledge(event.seq, event.id)
        node.close()

    def test_executes_on_an_operators_device(self):
        node = PythonNode(self.gw, self.operator)
        node.open()
        stream = self.admin.ExecuteCapability(device=self.operator.device_id, capability="echo", timeout=twinlatch.PATIENCE)
        _, dispatch = node.next_dispatch()
        node.submit(node.result(dispatch, '"mine"'))
        self.assertEqual(list(stream)[-1].output, '"mine"')
        node.close()

    def test_mints_approves_with_the_digits_and_revokes(self):
        watch = self.admin.WatchPairingRequests(timeout=twinlatch.PATIENCE)
        answer = self.admin.MintNodePairingCode(method=PIN, label="new laptop")
        self.assertEqual((answer.code.minted_by, answer.code.role, answer.code.auto_approve), (self.actor, NODE, False))
        device, session = self.ask_to_pair(twinlatch.Code.parse(answer.secret))
        watch.until(lambda r: r.request_id == session.request_id)
        watch.cancel()
        wrong = f"{(int(session.comparison) + 1) % 1000000:06}"
        self.assertRpcError(wire.PERMISSION_DENIED, "wrong_code", self.admin.DecidePairing, request_id=session.request_id,
                            approve=True, code=wrong)
        self.assertEqual(self.request(session).wrong_codes, 1)
        request = self.admin.DecidePairing(request_id=session.request_id, approve=True, code=session.comparison).request
        self.assertEqual((request.decided_by, request.code_minted_by), (self.actor, self.actor))
        session.finish()
        self.assertEqual(self.gw.admin.GetDevice(device=device.device_id).device.approved_by, self.actor)
        revoked = self.admin.RevokeDevice(device=device.device_id, reason="lost")
        self.assertEqual((revoked.device.state, revoked.device.revoked_by), (REVOKED, self.actor))

    def test_rejects_a_node(self):
        _, session = self.ask_to_pair(self.gw.mint("link"))
        request = self.admin.DecidePairing(request_id=session.request_id, approve=False, reason="no").request
        self.assertEqual((request.decided_by, request.reason), (self.actor, "no"))

    def test_cancels_its_own_code(self):
        code = self.admin.MintNodePairingCode(method=LINK).code
        cancelled = self.admin.CancelPairingCode(code_id=code.code_id).code
        self.assertEqual(cancelled.state, messages.enum("CodeState", "CODE_STATE_CANCELLED"))

    def test_one_operator_cannot_take_all_codes(self):
        operator = self.gw.pair_device("mints", role=OPERATOR)
        admin = self.gw.connect(operator).admin
        codes = [admin.MintNodePairingCode(method=LINK).code.code_id for _ in range(25)]
        self.assertRpcError(wire.RESOURCE_EXHAUSTED, "resource_exhausted", admin.MintNodePairingCode, method=LINK)
        self.admin.MintNodePairingCode(method=LINK)  # another one still can
        for code in codes:
            admin.CancelPairingCode(code_id=code)

    def test_one_operator_cannot_pile_up_requests(self):
        device = self.gw.pair_device("away")
        node = PythonNode(self.gw, device)
        node.open()
        node.close()
        self.gw.wait_node(device.device_id, connected=False)
        operator = self.gw.pair_device("piles", role=OPERATOR)
        admin = self.gw.connect(operator).admin
        for _ in range(256):
            stream = admin.ExecuteCapability(device=device.device_id, capability="echo")
            next(stream)  # queued; it stays so when nobody follows it
            stream.cancel()
        again = dict(device=device.device_id, capability="echo")
        self.assertRpcError(wire.RESOURCE_EXHAUSTED, "resource_exhausted", admin.ExecuteCapability, **again)
        for other in (self.admin, self.gw.admin):
            stream = other.ExecuteCapability(**again)
            next(stream)
            stream.cancel()

    @unittest.skipUnless("CancelCapability" in ADMIN, "this version does not cancel")
    def test_lists_watches_and_cancels_requests(self):
        device = self.gw.pair_device("keeps requests")
        node = PythonNode(self.gw, device)
        node.open()
        node.close()
        self.gw.wait_node(device.device_id, connected=False)
        stream = self.gw.admin.ExecuteCapability(device=device.device_id, capability="echo", timeout=twinlatch.PATIENCE)
        request_id = next(stream).request_id
        listed = self.admin.ListCapabilityRequests(device=device.device_id).requests
        self.assertEqual([r.request_id for r in listed], [request_id])
        self.assertEqual(self.admin.GetCapabilityRequest(request_id=request_id).request.capability, "echo")
        watch = self.admin.WatchCapabilityRequest(request_id=request_id, timeout=twinlatch.PATIENCE)
        self.assertEqual(next(watch).request_id, request_id)
        self.admin.CancelCapability(request_id=request_id)
        cancelled = messages.enum("RequestState", "REQUEST_STATE_CANCELLED")
        self.assertEqual((list(watch)[-1].state, list(stream)[-1].state), (cancelled, cancelled))

    def test_its_certificate_counts_as_used(self):
        operator = self.gw.pair_device("only operates", role=OPERATOR)
        self.gw.connect(operator).admin.GetStatus()
        twinlatch.until(lambda: self.gw.admin.GetDevice(device=operator.device_id).device.certificates[0].used,
                        "the certificate is used")

    def test_unpair_stays(self):
        operator = self.gw.pair_device("leaves", role=OPERATOR)
        try:
            self.gw.connect(operator).node.Unpair(device_id=operator.device_id)
        except wire.RpcError as error:  # its connection may be gone before the answer is
            self.assertEqual(error.status, wire.UNAUTHENTICATED)
        self.assertEqual(self.state(operator), REVOKED)


class Escalations(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.gw.pair_device("other operator", role=OPERATOR)
        cls.node_device = cls.gw.pair_device("a node")

    def test_mint_a_code_for_an_operator(self):
        for method in (PIN, LINK):
            before = len(self.gw.codes())
            self.assertLocalOnly(self.admin.MintNodePairingCode, method=method, role=OPERATOR)
            self.assertEqual(len(self.gw.codes()), before)

    def test_mint_an_automatic_code(self):
        before = len(self.gw.codes())
        self.assertLocalOnly(self.admin.MintNodePairingCode, method=LINK, auto_approve=True)
        self.assertEqual(len(self.gw.codes()), before)

    def test_cancel_codes_of_others(self):
        live = messages.enum("CodeState", "CODE_STATE_LIVE")
        theirs = self.gw.connect(self.other).admin.MintNodePairingCode(method=LINK).code
        for code in (self.gw.mint("pin", role=OPERATOR).record, self.gw.mint("pin").record,
                     self.gw.mint("link", auto_approve=True).record, theirs):
            for name in [code.code_id, code.code_id.lower()] + ([str(code.slot)] if code.slot else []):
                self.assertLocalOnly(self.admin.CancelPairingCode, code_id=name)
            self.assertEqual(self.gw.codes()[code.code_id].state, live)

    def decide_is_local(self, session):
        """Neither approved (with the right digits), nor rejected, nor by three wrong guesses."""
        wrong = f"{(int(session.comparison) + 1) % 1000000:06}"
        for fields in [dict(approve=True, code=session.comparison), dict(approve=False)] + 3 * [dict(approve=True, code=wrong)]:
            self.assertLocalOnly(self.admin.DecidePairing, request_id=session.request_id, **fields)
        request = self.request(session)
        self.assertEqual((request.state, request.wrong_codes),
                         (messages.enum("PairingState", "PAIRING_STATE_PENDING_APPROVAL"), 0))
        self.gw.approve(session.request_id, session.comparison)  # the local operator still can

    def test_decide_the_request_of_an_operator(self):
        self.decide_is_local(self.ask_to_pair(self.gw.mint("link", role=OPERATOR))[1])

    def test_decide_its_own_pairing_again(self):
        operator = self.gw.pair_device("pairs again", role=OPERATOR)
        self.admin = self.gw.connect(operator).admin
        code = twinlatch.Code.parse(self.admin.MintNodePairingCode(method=LINK).secret)
        operator.tls_key = Device().tls_key
        self.decide_is_local(self.ask_to_pair(code, operator)[1])

    def test_decide_the_pairing_again_of_an_operator(self):
        operator = self.gw.pair_device("would fall to node", role=OPERATOR)
        operator.tls_key = Device().tls_key
        self.decide_is_local(self.ask_to_pair(self.gw.mint("link"), operator)[1])

    def test_decide_the_replacement_of_an_operator(self):
        self.decide_is_local(self.ask_to_pair(self.gw.mint("link"), Device("new"), replaces_device_id=self.other.device_id)[1])

    def test_revoke_an_operator(self):
        for name in (self.other.device_id, self.other.device_id[:20], "other operator"):
            self.assertLocalOnly(self.admin.RevokeDevice, device=name)
            self.assertLocalOnly(self.admin.RevokeDevice, device=name, dry_run=True)
        self.assertEqual(self.state(self.other), ACTIVE)

    def test_revoke_itself(self):
        self.assertLocalOnly(self.admin.RevokeDevice, device=self.operator.device_id)
        self.assertEqual(self.state(self.operator), ACTIVE)

    def local_method(self, name):
        """Against a node, an operator and itself; a method that does not exist yet must not answer either."""
        if name not in ADMIN:
            self.assertEqual(self.raw_status(self.connection, name), wire.UNIMPLEMENTED)
            return
        request = messages.factory.GetPrototype(ADMIN[name].input_type)
        targets = [d.device_id for d in (self.node_device, self.other, self.operator)]
        for target in targets:
            field = next((f for f in ("device", "device_id") if f in request.DESCRIPTOR.fields_by_name), None)
            message = request(**({field: target} if field else {}))
            if "role" in request.DESCRIPTOR.fields_by_name:
                message.role = OPERATOR if target == self.node_device.device_id else NODE
            self.assertLocalOnly(getattr(self.admin, name), request=message)
        for device, role in ((self.node_device, NODE), (self.other, OPERATOR), (self.operator, OPERATOR)):
            found = self.gw.admin.GetDevice(device=device.device_id).device
            self.assertEqual((found.state, found.role, found.name), (ACTIVE, role, device.name))

    def test_no_other_method_is_reachable(self):
        for name in ADMIN:
            if name not in REMOTE:
                with self.subTest(name):
                    self.assertEqual(self.raw_status(self.connection, name), wire.PERMISSION_DENIED)

    def test_a_node_reaches_nothing(self):
        connection = self.gw.connect(self.node_device)
        for name in ADMIN:
            with self.subTest(name):
                call = getattr(connection.admin, name)
                self.assertRpcError(wire.PERMISSION_DENIED, "not_operator", lambda: call(timeout=10))


def add_local_tests():
    for name in LOCAL:
        def test(self, name=name):
            self.local_method(name)
        test.__name__ = f"test_{name}"
        setattr(Escalations, test.__name__, test)


add_local_tests()


class EndOfRights(Base):
    def open_streams(self, connection):
        streams = [connection.admin.WatchNodes(timeout=twinlatch.PATIENCE),
                   connection.admin.WatchPairingRequests(timeout=twinlatch.PATIENCE)]
        ended = []

        def read(stream):
            try:
                for _ in stream:
                    pass
            except wire.RpcError as error:
                ended.append(error)
        threads = [threading.Thread(target=read, args=(s,)) for s in streams]
        for thread in threads:
            thread.start()
        connection.admin.GetStatus()  # the streams were opened before this call on the same connection
        return threads, ended

    def assertStreamsEnd(self, threads, ended):
        for thread in threads:
            thread.join(twinlatch.PATIENCE)
            self.assertFalse(thread.is_alive(), "the stream goes on")
        self.assertEqual(len(ended), len(threads))
        self.assertNotIn(wire.DEADLINE_EXCEEDED, [e.status for e in ended])

    def test_revoked(self):
        operator = self.gw.pair_device("to be revoked", role=OPERATOR)
        connection = self.gw.connect(operator)
        streams = self.open_streams(connection)
        self.gw.admin.RevokeDevice(device=operator.device_id)
        self.assertStreamsEnd(*streams)
        with self.assertRaises(wire.RpcError):
            connection.admin.GetStatus()

    def test_paired_again_as_a_node(self):
        """Pairing again with a code for nodes demotes: the certificate of before still works, but not for operators' calls."""
        operator = self.gw.pair_device("to be lowered", role=OPERATOR)
        old = types.SimpleNamespace(chain_pem=operator.chain_pem, key_pem=operator.key_pem)
        connection = self.gw.connect(old)
        streams = self.open_streams(connection)
        operator.tls_key = Device().tls_key
        _, session = self.ask_to_pair(self.gw.mint("link"), operator)
        self.gw.approve(session.request_id, session.comparison)
        session.finish()
        self.assertStreamsEnd(*streams)
        self.assertRpcError(wire.PERMISSION_DENIED, "not_operator", self.gw.connect(old).admin.ListDevices)
        self.assertEqual(self.gw.admin.GetDevice(device=operator.device_id).device.role, NODE)

    @unittest.skipUnless("SuspendDevice" in ADMIN, "this version does not suspend")
    def test_suspended(self):
        operator = self.gw.pair_device("to be suspended", role=OPERATOR)
        connection = self.gw.connect(operator)
        streams = self.open_streams(connection)
        self.gw.admin.SuspendDevice(device=operator.device_id)
        self.assertStreamsEnd(*streams)
        with self.assertRaises(wire.RpcError):
            connection.admin.GetStatus()
        self.gw.admin.ResumeDevice(device=operator.device_id)
        self.gw.connect(operator).admin.GetStatus()

    @unittest.skipUnless("SetDeviceRole" in ADMIN, "this version does not change roles")
    def test_demoted_takes_effect_on_the_next_call(self):
        operator = self.gw.pair_device("to be demoted", role=OPERATOR)
        connection = self.gw.connect(operator)
        streams = self.open_streams(connection)
        self.gw.admin.SetDeviceRole(device=operator.device_id, role=NODE)
        with self.assertRaises(wire.RpcError) as caught:
            connection.admin.GetStatus()
        self.assertIn(caught.exception.status, (wire.PERMISSION_DENIED, wire.UNAVAILABLE))  # its sockets were shut down
        self.assertStreamsEnd(*streams)
        again = self.gw.connect(operator)
        self.assertRpcError(wire.PERMISSION_DENIED, "not_operator", again.admin.GetStatus)
        self.assertEqual(again.node.GetGatewayInfo().gateway_id, self.gw.gateway_id)

    def test_nothing_of_a_demoted_operator_is_left_however_it_races(self):
        operator = self.gw.pair_device("races", role=OPERATOR)
        actor, live = "device:" + operator.device_id, messages.enum("CodeState", "CODE_STATE_LIVE")
        for _ in range(30 if twinlatch.FULL else 6):
            connections = [self.gw.connect(operator) for _ in range(3)]
            minted, going = [], threading.Event()

            def mint(admin):
                try:
                    while True:
                        minted.append(admin.MintNodePairingCode(method=LINK).code.code_id)
                        going.set()
                        admin.CancelPairingCode(code_id=minted[-1])  # of three threads, any: none reaches the limit
                except wire.RpcError:
                    going.set()
            threads = [threading.Thread(target=mint, args=(c.admin,)) for c in connections]
            for thread in threads:
                thread.start()
            going.wait(twinlatch.PATIENCE)
            self.gw.admin.SetDeviceRole(device=operator.device_id, role=NODE)
            codes = {c.code_id: c for c in self.gw.admin.ListPairingCodes(page=dict(page_size=500)).codes}
            self.assertEqual([c for c in codes.values() if c.minted_by == actor and c.state == live], [])
            for thread in threads:
                thread.join(twinlatch.PATIENCE)
            codes = self.gw.admin.ListPairingCodes(page=dict(page_size=500)).codes
            self.assertEqual([c for c in codes if c.minted_by == actor], [], "a code came after the rights had gone")
            self.assertTrue(minted)
            self.gw.admin.SetDeviceRole(device=operator.device_id, role=OPERATOR)

    def test_denials_are_in_the_journal_and_bounded(self):
        operator = self.gw.pair_device("denied", role=OPERATOR)
        admin, victim = self.gw.connect(operator).admin, self.gw.pair_device("victim", role=OPERATOR)
        node = self.gw.connect(self.gw.pair_device("curious"))
        for _ in range(70):
            with self.assertRaises(wire.RpcError):
                admin.RevokeDevice(device=victim.device_id)
        with self.assertRaises(wire.RpcError):
            node.admin.ListDevices()
        with self.assertRaises(wire.RpcError):
            self.gw.connect().admin.GetStatus()
        self.gw.stop()
        rows = self.gw.edit_database(("SELECT actor, subject, detail FROM journal WHERE kind = 'call.denied' ORDER BY seq",))[0]
        self.gw.start()
        mine = [(subject, json.loads(detail)) for actor, subject, detail in rows if actor == "device:" + operator.device_id]
        self.assertEqual((mine[0][0], mine[0][1]["reason"]), (victim.device_id, "local_only"))
        self.assertEqual(len(mine), 61, "60 rows, then a count")
        self.assertEqual(mine[-1][1]["count"], 10)
        others = [(actor.split(":")[0], subject.split("/")[-1], json.loads(detail)["reason"])
                  for actor, subject, detail in rows if operator.device_id not in actor]
        self.assertIn(("device", "ListDevices", "not_operator"), others)
        self.assertIn(("source", "GetStatus", "unauthenticated"), others)


class CommandLine(twinlatch.TestCase):
    """The real program on an operator's laptop: no socket of the gateway there, only its pairing."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway(gateway=dict(name="office"))
        cls.laptop = cls.node("laptop")
        process = cls.laptop.pair_start(cls.gw.mint("link", role=OPERATOR).text, None, "--kind", "cli")
        cls.gw.approve(cls.gw.wait_pending().request_id, cls.laptop.digits(process))
        assert process.wait() == 0, process.text
        cls.paired_as = process.text
        cls.worker = cls.node("worker")
        cls.worker.pair(cls.gw)
        cls.worker.run(cls.gw)

    def setUp(self):
        self.there = [*self.laptop.options(), "--gateway", "office"]

    def run_there(self, *words, **options):
        return self.laptop.cli.run(*words, *self.there, **options)

    def fails(self, code, *words, cli=None):
        done = (cli or self.laptop.cli).run(*words, expect=code)
        self.assertOneLine(done.stderr)
        return done.stderr

    def test_paired_without_a_node(self):
        self.assertIn("status --gateway " + self.gw.gateway_id, self.paired_as)
        self.assertNotIn("node run", self.paired_as)
        device = self.gw.admin.GetDevice(device=self.laptop.marker["device_id"]).device
        self.assertEqual(device.client_kind, messages.enum("ClientKind", "CLIENT_KIND_CLI"))

    def test_a_whole_day(self):
        """Status, code, approval, execution, revocation: as at the gateway."""
        self.assertIn("office", self.run_there("status").stdout)
        self.assertNotIn("State ", self.run_there("status").stdout)
        self.assertIn("worker", self.run_there("nodes", "list").stdout)
        self.assertIn("worker", self.run_there("nodes", "show", "worker").stdout)
        self.assertIn("worker", self.run_there("devices", "list").stdout)
        self.assertIn("BEGIN CERTIFICATE", self.run_there("ca", "export").stdout)
        self.run_there("ca", "show")
        self.assertEqual(json.loads(self.run_there("exec", "worker", "echo", '{"a":1}', "--json").stdout)["output"], {"a": 1})
        minted = json.loads(self.run_there("pairing", "mint", "--label", "guest", "--json").stdout)
        guest = self.node("guest")
        process = guest.pair_start(minted["secret"], self.gw.address)
        digits = guest.digits(process)
        (asking,) = json.loads(self.run_there("pairing", "list", "--json").stdout)["items"]
        self.run_there("pairing", "approve", asking["request_id"], "--code", digits)
        self.assertEqual(process.wait(), 0, process.text)
        self.run_there("pairing", "codes", "--all")
        self.run_there("devices", "revoke", "guest", "--yes")
        device = self.gw.admin.GetDevice(device="guest").device
        self.assertEqual(device.revoked_by, "device:" + self.laptop.marker["device_id"])

    def test_names_of_the_gateway(self):
        for name in ("office", self.gw.gateway_id, self.gw.gateway_id[:20].lower()):
            self.laptop.cli.run("status", *self.laptop.options(), "--gateway", name)
        cli = twinlatch.Cli(dict(self.laptop.cli.environment, TWINLATCH_GATEWAY="office"))
        cli.run("status", *self.laptop.options())
        here = cli.run("status", *self.laptop.options(), "--socket", self.gw.socket)  # what was typed wins
        self.assertIn("State ", here.stdout)

    def test_addresses_are_tried_in_order(self):
        laptop = self.node("old addresses")
        laptop.pair(self.gw, role=OPERATOR)
        (marker,) = laptop.folder.glob("*/gateway.json")
        content = json.loads(marker.read_text())
        content["addresses"] = [f"127.0.0.1:{twinlatch.free_port()}", *content["addresses"]]
        marker.write_text(json.dumps(content))
        damaged = laptop.cli.run("status", *laptop.options(), "--gateway", "office", expect=twinlatch.EXIT_STATE)
        self.assertIn("cannot be read", damaged.stderr)  # changed by hand: named, not "pair first"
        laptop.move_gateway(*content["addresses"])
        laptop.cli.run("status", *laptop.options(), "--gateway", "office")

    def test_what_is_local_says_so(self):
        for words in (["pairing", "mint", "--role", "operator"], ["pairing", "mint", "--link", "--auto-approve"],
                      ["devices", "revoke", "laptop", "--yes"]):
            self.assertIn("only at the gateway itself", self.fails(twinlatch.EXIT_DENIED, *words, *self.there))

    def test_errors_say_what_to_do(self):
        options = self.laptop.options()
        self.assertIn("twinlatch node pair", self.fails(twinlatch.EXIT_NOT_PAIRED, "status", *options, "--gateway", "nowhere"))
        self.fails(twinlatch.EXIT_USAGE, "status", *self.there, "--socket", self.gw.socket)
        self.assertIn("--gateway", self.fails(twinlatch.EXIT_UNREACHABLE, "status", *options))
        worker = [*self.worker.options(), "--gateway", "office"]
        text = self.fails(twinlatch.EXIT_DENIED, "nodes", "list", *worker)
        self.assertIn("role at office is node", text)
        self.assertIn(f"devices role {self.worker.marker['device_id']} operator", text)

    def test_revoked_and_unreachable(self):
        laptop = self.node("lost laptop")
        laptop.pair(self.gw, role=OPERATOR)
        there = [*laptop.options(), "--gateway", "office"]
        laptop.cli.run("status", *there)
        self.gw.admin.RevokeDevice(device="lost laptop")
        self.assertIn("does not admit this computer", self.fails(twinlatch.EXIT_DENIED, "status", *there, "--timeout", "10s"))
        other = self.gateway("other", gateway=dict(name="branch"))
        laptop.pair(other, role=OPERATOR)
        laptop.cli.run("status", *laptop.options(), "--gateway", "branch")
        other.stop()
        text = self.fails(twinlatch.EXIT_UNREACHABLE, "status", *laptop.options(), "--gateway", "branch", "--timeout", "2s")
        self.assertIn(other.address, text)

    def test_another_gateway_at_the_address(self):
        """The CA and the gateway-id name decide, not the address."""
        first = self.gateway("first", gateway=dict(name="first"))
        laptop = self.node("moves")
        laptop.pair(first, role=OPERATOR)
        first.stop()
        second = self.gateway("second", gateway=dict(name="second", listen=first.address, advertise=first.address))
        self.fails(twinlatch.EXIT_WRONG_CA, "status", *laptop.options(), "--gateway", "first", "--timeout", "10s")
        self.assertEqual(len(second.admin.ListDevices().devices), 0)

    def test_watching_goes_on_after_the_gateway_was_away(self):
        gateway = self.gateway("restarts", gateway=dict(name="restarts"))
        laptop = self.node("watches")
        laptop.pair(gateway, role=OPERATOR)
        options = [*laptop.options(), "--gateway", "restarts"]
        watch = laptop.cli.start("pairing", "watch", "--json", *options)
        first = self.gateway_asks(gateway)
        watch.wait_line(first)
        gateway.restart()
        watch.wait_line(first)  # told anew
        watch.wait_line(self.gateway_asks(gateway))
        self.assertEqual(watch.stop(signal.SIGINT), twinlatch.EXIT_OK)
        ended = laptop.cli.start("pairing", "watch", *options)
        ended.wait_line(first)
        gateway.admin.RevokeDevice(device="watches")
        self.assertEqual(ended.wait(), twinlatch.EXIT_DENIED, ended.text)
        self.fails(twinlatch.EXIT_DENIED, "nodes", "watch", *options)  # never connected: not something to wait for

    def gateway_asks(self, gateway):
        """A device that waits for approval; its request."""
        session = gateway.session(gateway.mint("link"), Device("asks"))
        session.start()
        session.exchange()
        session.complete()
        return session.request_id

    def test_watching_ends_in_time(self):
        enough = "10s" if twinlatch.SANITIZED else "3s"  # for the handshake too
        text = self.fails(twinlatch.EXIT_UNREACHABLE, "nodes", "watch", "--timeout", enough, *self.there)
        self.assertIn("--timeout", text)

    def test_beside_a_running_node(self):
        both = self.node("both")
        both.pair(self.gw, role=OPERATOR)
        both.run(self.gw)
        for _ in range(3):
            done = both.cli.run("exec", "both", "echo", "1", *both.options(), "--gateway", "office")
            self.assertEqual(done.stdout.strip(), "1")
        self.assertTrue(both.process.running)


if __name__ == "__main__":
    unittest.main()
