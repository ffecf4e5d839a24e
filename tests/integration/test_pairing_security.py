# SPDX-License-Identifier: Apache-2.0
"""PROTOCOL 3, the properties marked P: who sits in the middle, who guesses, who approves (issue 2, Must show 2 and 3)."""
import base64
import concurrent.futures
import hashlib
import os
import re
import threading
import unittest

from google.protobuf import json_format

import mitm
import pake
import prover
import twinlatch
import wire
from prover import Device
from wire import messages

START = "/twinlatch.v1.PairingService/StartPairing"
WATCH = "/twinlatch.v1.PairingService/WatchPairing"


def state_name(record):
    return messages.enum_name("PairingState", record.state)


class ManInTheMiddle(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()

    def proxy(self, rewrite=None):
        proxy = mitm.TlsProxy.imitating(self.gw, rewrite)
        self.addCleanup(proxy.stop)
        return proxy

    def real_leaf_rewriter(self):
        real = self.gw.leaf_sha256()

        def rewrite(method, direction, message):
            if method == START and direction == "up":
                request = messages.StartPairingRequest.FromString(message)
                request.server_certificate_sha256 = real
                return request.SerializeToString()
            return message
        return rewrite

    def attempts_left(self, code):
        return self.gw.codes()[code.record.code_id].attempts_left

    def pin_failures(self):
        return self.gw.admin.GetStatus().pin_failures_last_hour

    def test_gateway_refuses_a_leaf_that_is_not_its_own(self):
        code, proxy = self.gw.mint("pin"), self.proxy()
        process = self.node("foreign-leaf").pair_start(code.text, proxy.address)
        self.assertEqual(process.wait(), twinlatch.EXIT_WRONG_CA, process.text)
        self.assertIn("somebody", process.text)
        self.assertEqual([m for m, _, _ in proxy.record if "Pairing" in m], [START], "nothing after the refusal")
        self.assertEqual(self.attempts_left(code), 3, "no exchange, so no attempt")

    def test_rewriting_the_leaf_hash_makes_both_confirmations_fail(self):
        code, proxy, before = self.gw.mint("pin"), self.proxy(self.real_leaf_rewriter()), self.pin_failures()
        node = self.node("mitm")
        process = node.pair_start(code.text, proxy.address)
        self.assertEqual(process.wait(), twinlatch.EXIT_CODE_INVALID, process.text)
        self.assertTrue(any("ExchangePairing" in m for m, _, _ in proxy.record), "the exchange did take place")
        self.assertFalse(any("CompletePairing" in m for m, _, _ in proxy.record), "nothing of the device after a bad confirm_v")
        self.assertEqual(list(node.folder.glob("*/gateway.json")), [], "no state after a failed pairing")
        self.assertEqual((self.attempts_left(code), self.pin_failures()), (2, before + 1), "the attempt counts")

        # The gateway's side: a device that does not look at confirm_v and goes on is refused by confirm_p.
        with wire.connect_tls(proxy.address, mitm.pem(proxy.authority.certificate), self.gw.gateway_id) as connection:
            session = self.gw.session(code, connection=connection, leaf=hashlib.sha256(mitm.der(proxy.leaf)).digest())
            session.start()
            session.send_share(session.share())
            with self.assertRaises(prover.WrongCode):
                session.confirm()
            self.assertRpcError(wire.PERMISSION_DENIED, "wrong_code", session.complete)
        self.assertEqual((self.attempts_left(code), self.pin_failures()), (1, before + 2))
        self.assertFalse([r for r in self.gw.admin.ListPairingRequests().requests if r.code_id == code.record.code_id])

    def test_swapping_the_ca_as_well_does_not_help(self):
        code, rewrite_leaf = self.gw.mint("pin"), self.real_leaf_rewriter()

        def rewrite(method, direction, message):
            if method == START and direction == "down":
                answer = messages.StartPairingResponse.FromString(message)
                answer.ca_certificate = mitm.der(proxy.authority.certificate)
                return answer.SerializeToString()
            return rewrite_leaf(method, direction, message)

        proxy = self.proxy(rewrite)
        process = self.node("mitm-ca").pair_start(code.text, proxy.address)
        self.assertEqual(process.wait(), twinlatch.EXIT_CODE_INVALID, process.text)
        self.assertEqual(self.attempts_left(code), 2)

    def test_link_ends_a_wrong_ca_in_the_first_handshake(self):
        code, proxy = self.gw.mint("link"), self.proxy(self.real_leaf_rewriter())
        link = re.sub(r"a=[^&]*", f"a={proxy.address}", code.text)
        process = self.node("mitm-link").pair_start(link)
        self.assertEqual(process.wait(), twinlatch.EXIT_WRONG_CA, process.text)
        self.assertEqual(proxy.record, [], "a wrong CA must end it before any message")

    def own_key_proxy(self, rewrite):
        """Whoever holds the gateway's server key can change messages; MACs still have to notice."""
        proxy = mitm.TlsProxy(self.gw, *self.gw.server_pems(), rewrite)
        self.addCleanup(proxy.stop)
        return proxy

    def test_a_device_that_typed_only_a_pin_ends_with_the_right_ca(self):
        node = self.node("pin-only")
        node.pair(self.gw, "pin")
        stored = [base64.urlsafe_b64decode(b + "=" * (-len(b) % 4)) for b in node.identity()["bundle"]]
        self.assertEqual(stored, [c.certificate_der for c in self.gw.admin.GetCaBundle().certificates])

    def test_another_ca_in_the_offer_makes_the_confirmation_fail(self):
        other = mitm.Authority(self.gw.gateway_id)

        def rewrite(method, direction, message):
            if method == START and direction == "down":
                answer = messages.StartPairingResponse.FromString(message)
                answer.ca_certificate = mitm.der(other.certificate)
                return answer.SerializeToString()
            return message

        code = self.gw.mint("pin")
        process = self.node("offer-ca").pair_start(code.text, self.own_key_proxy(rewrite).address)
        self.assertIn(process.wait(), (twinlatch.EXIT_CODE_INVALID, twinlatch.EXIT_WRONG_CA), process.text)

    def changed_last_answer(self, name, change):
        """Pairs through a proxy that changes the answer with the certificate; nothing may come of it."""
        seen = threading.Event()

        def rewrite(method, direction, message):
            if method == WATCH and direction == "down":
                answer = messages.WatchPairingResponse.FromString(message)
                if answer.ca_bundle:
                    change(answer)
                    seen.set()
                return answer.SerializeToString()
            return message

        node = self.node(name)
        process = node.pair_start(self.gw.mint("pin").text, self.own_key_proxy(rewrite).address)
        digits = node.digits(process)
        self.gw.approve(self.gw.wait_pending().request_id, digits)
        self.assertTrue(seen.wait(twinlatch.PATIENCE), "the proxy must have seen the certificate")
        process.stop()
        self.assertNotEqual(process.process.returncode, 0, process.text)
        self.assertEqual(list(node.folder.glob("*/gateway.json")), [], "nothing may be stored without a good MAC")

    def test_another_ca_in_the_last_answer_is_refused(self):
        def change(answer):
            answer.ca_bundle[0] = mitm.der(mitm.Authority(self.gw.gateway_id).certificate)
        self.changed_last_answer("answer-ca", change)

    def test_every_field_of_the_last_answer_is_authenticated(self):
        """Fields that nothing but the MAC protects."""
        def name(answer):
            answer.gateway_name = "another gateway"

        def addresses(answer):
            del answer.addresses[:]
            answer.addresses.append("192.0.2.1:7444")

        def policy(answer):
            answer.policy = '{"fs.read":"allow"}'

        def role(answer):
            answer.role = messages.enum("Role", "ROLE_OPERATOR")
        for change in (name, addresses, policy, role):
            with self.subTest(change.__name__):
                self.changed_last_answer("answer-" + change.__name__, change)


class Guessing(twinlatch.TestCase):
    def setUp(self):
        self.gw = self.gateway(name=self._testMethodName[:30])
        self.addCleanup(self.gw.stop)

    def guess(self, code):
        """One wrong guess, up to the answer that tells whether it was right."""
        with self.gw.connect() as connection:
            session = self.gw.session(code.wrong(), connection=connection)
            session.start()
            with self.assertRaises(prover.WrongCode):
                session.exchange()

    def code_invalid(self, call, *arguments):
        return self.assertRpcError(wire.NOT_FOUND, "code_invalid", call, *arguments).answer

    def start(self, code, **changes):
        with self.gw.connect() as connection:
            return self.gw.session(code, connection=connection).start(**changes)

    def test_three_wrong_pins_spend_the_code(self):
        code = self.gw.mint("pin")
        for left in (2, 1, 0):
            self.guess(code)
            self.assertEqual(self.gw.codes()[code.record.code_id].attempts_left, left)
        self.code_invalid(self.start, code)
        state = self.gw.codes()[code.record.code_id].state
        self.assertEqual(messages.enum_name("CodeState", state), "CODE_STATE_EXHAUSTED")

    def test_kill_between_attempts_gives_none_back(self):
        code = self.gw.mint("pin")
        for left in (2, 1, 0):
            self.guess(code)
            self.gw.restart(kill=True)
            self.assertEqual(self.gw.codes()[code.record.code_id].attempts_left, left)
        self.code_invalid(self.start, code)
        self.assertEqual(self.gw.admin.GetStatus().pin_failures_last_hour, 3)

    def test_fifty_sessions_in_parallel_get_three_guesses_in_total(self):
        code = self.gw.mint("pin").wrong()
        relays = [mitm.Relay(self.gw.port, f"127.0.1.{i}") for i in range(1, 8)]
        for relay in relays:
            self.addCleanup(relay.stop)
        connections = [self.gw.connect(address=relay.address) for relay in relays]
        leaf = self.gw.leaf_sha256()
        sessions = [self.gw.session(code, connection=connections[i % 7], leaf=leaf) for i in range(50)]
        for session in sessions:
            session.start()
        shares = [sessions[0].share()]  # one derivation: the salt is the code's, so w0 and w1 are the same for all
        for session in sessions[1:]:
            session.x = int.from_bytes(os.urandom(32), "big") % pake.ORDER
            shares.append(pake.prover_share(sessions[0].w0, session.x))
        self.assertEqual(len({s.offer.salt for s in sessions}), 1)
        barrier = threading.Barrier(50)

        def exchange(session, share):
            barrier.wait()
            try:
                return session.send_share(share)
            except wire.RpcError as error:
                return error.answer

        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(exchange, sessions, shares))
        guesses = [a for a in answers if not isinstance(a, tuple)]
        refusals = {a for a in answers if isinstance(a, tuple)}
        self.assertEqual(len(guesses), 3)
        self.assertEqual({r[:2] for r in refusals}, {(wire.NOT_FOUND, "code_invalid")})
        self.assertEqual(self.gw.admin.GetStatus().pin_failures_last_hour, 3)

    def test_a_right_pin_gives_the_failure_back_but_not_the_code(self):
        code, status = self.gw.mint("pin"), self.gw.admin.GetStatus
        self.guess(code)
        session = self.gw.session(code)
        session.start()
        session.exchange()
        self.assertEqual(status().pin_failures_last_hour, 2, "counted before message 2 was answered")
        session.complete()
        self.assertEqual(status().pin_failures_last_hour, 1)
        self.code_invalid(self.start, code)

    def test_strangers_see_one_answer(self):
        """Unknown, expired, spent, used, cancelled, of the wrong kind: status, reason and message are the same."""
        expired, spent, used, cancelled, kind = (self.gw.mint("pin") for _ in range(5))
        gone = self.gw.mint("link")
        for _ in range(3):
            self.guess(spent)
        session = self.gw.session(used)
        session.start()
        session.exchange()
        session.complete()
        self.gw.admin.CancelPairingCode(code_id=cancelled.record.code_id)
        self.gw.stop()
        self.gw.edit_database(("UPDATE codes SET expires_at = created_at + 1 WHERE code_id IN (?, ?)",
                               expired.record.code_id, gone.record.code_id))
        self.gw.start()
        slots = {c.slot for c in self.gw.codes().values()}
        unknown = next(s for s in range(1, 1000) if s not in slots)
        answers = {
            "unknown slot": self.code_invalid(lambda: self.start(expired, slot=unknown)),
            "unknown code id": self.code_invalid(lambda: self.start(gone, code_id=prover.ulid())),
            "expired pin": self.code_invalid(self.start, expired),
            "expired link": self.code_invalid(self.start, gone),
            "spent": self.code_invalid(self.start, spent),
            "used": self.code_invalid(self.start, used),
            "cancelled": self.code_invalid(self.start, cancelled),
            "wrong kind": self.code_invalid(lambda: self.start(gone, code_id=kind.record.code_id)),
        }
        self.assertEqual(len(set(answers.values())), 1, answers)

        # A session opened in time gets the same one when its code is gone at the exchange.
        late = self.gw.session(kind)
        late.start()
        self.gw.admin.CancelPairingCode(code_id=kind.record.code_id)
        self.assertEqual(self.code_invalid(late.send_share, late.share()), answers["spent"])

    def test_bad_shares_count_as_attempts(self):
        code = self.gw.mint("link")
        for share in (b"\x04" + bytes(64), pake.encode(pake.G)[:-1] + b"\0"):
            session = self.gw.session(code)
            session.start()
            with self.assertRaises(wire.RpcError):
                session.send_share(share)
        self.assertEqual(self.gw.codes()[code.record.code_id].attempts_left, 1)


class Approval(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()
        cls.cli = twinlatch.Cli(cls.gw.environment)

    def requested(self, method="pin", device=None, **mint):
        """A session whose request waits for approval."""
        session = self.gw.session(self.gw.mint(method, **mint), device)
        session.start()
        session.exchange()
        session.complete()
        return session

    def test_the_comparison_code_is_nowhere_but_on_the_device(self):
        watch = self.cli.start("pairing", "watch", "--json")
        stream = self.gw.admin.WatchPairingRequests(timeout=twinlatch.PATIENCE)
        seen_by_device = []
        session = self.requested()
        seen_by_device += [session.offer, session.answer]
        first = stream.until(lambda r: r.request_id == session.request_id)
        seen = [first, self.gw.admin.ListPairingRequests(), self.gw.admin.ListPairingCodes(all=True), self.gw.admin.GetStatus()]
        watch.wait_line(session.request_id)
        texts = [self.cli.run("pairing", "list").stdout, self.cli.run("pairing", "list", "--json").stdout,
                 self.cli.run("status", "--json").stdout]
        wrong = f"{(int(session.comparison) + 1) % 10**6:06d}"
        refused = self.assertRpcError(wire.PERMISSION_DENIED, "wrong_code", self.gw.admin.DecidePairing,
                                      request_id=session.request_id, approve=True, code=wrong)
        texts.append(str(refused))
        refused = self.cli.run("pairing", "approve", session.request_id, "--code", wrong, expect=None)
        self.assertEqual(refused.returncode, twinlatch.EXIT_CODE_INVALID, refused.stderr)
        texts += [refused.stdout, refused.stderr]
        devices_view = session.watch(twinlatch.PATIENCE)
        seen_by_device.append(next(devices_view))
        seen.append(self.gw.approve(session.request_id, session.comparison))
        seen_by_device += list(devices_view)
        watch.stop()
        texts += [watch.text, "".join(self.gw.process.output), "".join(self.gw.process.errors)]

        digits = session.comparison
        pattern = re.compile(rf"(?<!\d){digits[:3]} ?{digits[3:]}(?!\d)")
        self.assertTrue(pattern.search(f"shown: {digits}."), "the search itself works")
        for text in texts + [json_format.MessageToJson(m) for m in seen + seen_by_device]:
            self.assertIsNone(pattern.search(text), text)
        for message in seen_by_device:
            self.assertNotIn(digits.encode(), message.SerializeToString())
        self.assertEqual(state_name(seen_by_device[-1]), "PAIRING_STATE_COMPLETED")

    def test_three_wrong_comparison_codes_reject(self):
        session = self.requested()
        wrong = f"{(int(session.comparison) + 7) % 10**6:06d}"
        for reason in ("wrong_code", "wrong_code", "rejected"):
            self.assertRpcError(wire.PERMISSION_DENIED, reason, self.gw.admin.DecidePairing,
                                request_id=session.request_id, approve=True, code=wrong)
        self.assertRpcError(wire.FAILED_PRECONDITION, "failed_precondition", self.gw.admin.DecidePairing,
                            request_id=session.request_id, approve=True, code=session.comparison)
        self.assertEqual(state_name(session.finish()), "PAIRING_STATE_REJECTED")

    def test_approval_needs_the_digits(self):
        session = self.requested()
        for code in ("", "12345", "1234567", "abcdef"):
            with self.assertRaises(wire.RpcError, msg=code):
                self.gw.admin.DecidePairing(request_id=session.request_id, approve=True, code=code)
        record = next(r for r in self.gw.admin.ListPairingRequests().requests if r.request_id == session.request_id)
        self.assertNotEqual(state_name(record), "PAIRING_STATE_APPROVED")

    def test_a_decided_request_is_never_decided_again(self):
        session = self.requested()
        self.gw.admin.DecidePairing(request_id=session.request_id, approve=False, reason="not today")
        self.assertRpcError(wire.FAILED_PRECONDITION, "failed_precondition", self.gw.admin.DecidePairing,
                            request_id=session.request_id, approve=True, code=session.comparison)
        last = session.finish()
        self.assertEqual((state_name(last), last.reason), ("PAIRING_STATE_REJECTED", "not today"))

        session = self.requested()
        self.gw.approve(session.request_id, session.comparison)
        self.assertRpcError(wire.FAILED_PRECONDITION, "failed_precondition", self.gw.admin.DecidePairing,
                            request_id=session.request_id, approve=False)

    def test_automatic_approval_is_for_links_with_role_node_only(self):
        for method, fields in (("pin", {}), ("link", dict(role=messages.enum("Role", "ROLE_OPERATOR")))):
            self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", self.gw.mint, method, auto_approve=True, **fields)
        session = self.requested("link", auto_approve=True)
        self.assertEqual(state_name(session.finish()), "PAIRING_STATE_COMPLETED")

    def test_the_role_is_the_codes(self):
        session = self.requested("link", role=messages.enum("Role", "ROLE_OPERATOR"))
        self.gw.approve(session.request_id, session.comparison)
        self.assertEqual(session.finish().role, messages.enum("Role", "ROLE_OPERATOR"))

    def test_the_commitment_binds_nonce_and_identity(self):
        """Without it, somebody who knows the PIN could search for a nonce whose digits match another session's."""
        for what in ("nonce", "identity"):
            session = self.gw.session(self.gw.mint("link"))
            session.start()
            session.exchange()
            if what == "nonce":
                session.nonce = bytes(32)
            else:
                session.device.identity = Device().identity
            with self.assertRaises(wire.RpcError, msg=what):
                session.complete()
            self.assertFalse([r for r in self.gw.admin.ListPairingRequests().requests
                              if r.device_id == session.device.device_id], what)

    def test_every_field_of_complete_is_authenticated(self):
        changes = dict(raw_device_name="another name", raw_platform="other", raw_replaces_device_id=prover.ulid(),
                       raw_csr_der=prover.certificate_request(Device().tls_key), raw_mac=bytes(32),
                       raw_identity_signature=bytes(64), raw_confirm_p=bytes(32), raw_device_nonce=bytes(32))
        for field, value in changes.items():
            with self.subTest(field):
                session = self.gw.session(self.gw.mint("link"))
                session.start()
                session.exchange()
                message = session.completion(**{field: value})
                with self.assertRaises(wire.RpcError):
                    session.complete(message)

    def test_names_that_lie_are_refused(self):
        for name in ("", "x" * 65, "a\u202eb", "line\nbreak", "e\u0301", " padded"):
            with self.subTest(repr(name)):
                session = self.gw.session(self.gw.mint("link"))
                session.start()
                session.exchange()
                self.assertRpcError(wire.INVALID_ARGUMENT, "invalid_argument", session.complete, device_name=name)

    def test_complete_and_watch_repeat_after_a_lost_answer_and_a_restart(self):
        session = self.gw.session(self.gw.mint("pin"))
        session.start()
        session.exchange()
        message = session.completion()
        first = session.complete(message)
        self.assertEqual(session.complete(message), first)
        self.gw.restart(kill=True)
        session.pairing = self.gw.connect().pairing
        self.assertEqual(session.complete(message), first)
        self.gw.approve(session.request_id, session.comparison)
        last = session.finish()
        self.assertEqual(state_name(last), "PAIRING_STATE_COMPLETED")
        self.gw.restart(kill=True)
        session.pairing = self.gw.connect().pairing
        self.assertEqual(session.finish().certificate_der, last.certificate_der)

    def test_watching_needs_the_key_of_the_session(self):
        session, other = self.requested(), self.requested()
        session.keys.device = other.keys.device
        with self.assertRaises(wire.RpcError):
            next(session.watch())

    def test_a_revoked_device_stays_out_until_cleared(self):
        device = self.gw.pair_device("banned")
        self.gw.admin.RevokeDevice(device=device.device_id)
        session = self.gw.session(self.gw.mint("link"), device)
        session.start()
        session.exchange()
        self.assertRpcError(wire.PERMISSION_DENIED, "revoked", session.complete)

    def test_a_known_device_needs_its_own_identity(self):
        device, impostor = self.gw.pair_device("known"), Device("impostor")
        impostor.device_id = device.device_id
        session = self.gw.session(self.gw.mint("link"), impostor)
        session.start()
        session.exchange()
        self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", session.complete)
        renamed = Device("same key, new id")
        renamed.identity = device.identity
        session = self.gw.session(self.gw.mint("link"), renamed)
        session.start()
        session.exchange()
        self.assertRpcError(wire.PERMISSION_DENIED, "permission_denied", session.complete)


if __name__ == "__main__":
    unittest.main()
