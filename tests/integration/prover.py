# SPDX-License-Identifier: Apache-2.0
"""A device that speaks PairingService directly (PROTOCOL 3.2) and can misbehave at every step."""
import base64
import dataclasses
import hashlib
import hmac
import os
import re
import secrets
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.x509.oid import NameOID

import pake
from wire import messages

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
KINDS = {"node": "CLIENT_KIND_NODE", "desktop": "CLIENT_KIND_DESKTOP", "cli": "CLIENT_KIND_CLI"}


def ulid():
    value = int(time.time() * 1000) << 80 | secrets.randbits(80)
    return "".join(ALPHABET[value >> shift & 31] for shift in range(125, -5, -5))


@dataclasses.dataclass
class Code:
    """A PIN or a link as a person would have it."""
    slot: int = 0
    code_id: str = ""
    secret: str = ""
    link: dict = None

    @staticmethod
    def parse(text):
        if text.startswith("twinlatch:"):
            link = urllib.parse.parse_qs(text.split("?", 1)[1])
            return Code(code_id=link["c"][0], secret=link["t"][0], link=link)
        digits = re.sub(r"\D", "", text)
        return Code(slot=int(digits[:-8]), secret=digits[-8:])

    def wrong(self):
        """The same selector with a secret that does not fit."""
        if self.slot:
            return dataclasses.replace(self, secret=f"{(int(self.secret) + 1 + secrets.randbelow(10**8 - 1)) % 10**8:08d}")
        return dataclasses.replace(self, secret="".join(secrets.choice(ALPHABET) for _ in range(26)))

    @property
    def selector(self):
        return f"slot:{self.slot}" if self.slot else f"code:{self.code_id}"


def certificate_request(key, name="ignored by the gateway"):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256()).public_bytes(
        serialization.Encoding.DER)


class WrongCode(Exception):
    """confirm_v does not fit: another PIN, or somebody in the middle."""


class Device:
    """Keys of one device. Keep it to pair again or to connect with its certificate."""

    def __init__(self, name="python device", kind="node"):
        self.device_id, self.name, self.kind, self.platform = ulid(), name, kind, "linux python"
        self.identity = ed25519.Ed25519PrivateKey.generate()
        self.tls_key = ec.generate_private_key(ec.SECP256R1())
        self.certificate_der, self.ca_bundle = None, []

    @property
    def identity_public(self):
        return self.identity.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    @property
    def key_pem(self):
        return self.tls_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption())

    @property
    def chain_pem(self):
        return x509.load_der_x509_certificate(self.certificate_der).public_bytes(serialization.Encoding.PEM)


class Session:
    """One run. start(), exchange(), complete(), watch(); each may be called with other bytes than are right."""

    def __init__(self, connection, device, code, leaf_sha256):
        self.pairing, self.device, self.code, self.leaf_sha256 = connection.pairing, device, code, leaf_sha256
        self.nonce = os.urandom(32)
        self.ephemeral = x25519.X25519PrivateKey.generate()
        self.x = secrets.randbelow(pake.ORDER - 1) + 1
        self.versions = [1]

    def start(self, **changes):
        public = self.ephemeral.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        fields = dict(versions=self.versions, client_kind=messages_kind(self.device.kind), device_id=self.device.device_id,
                      device_ephemeral=public, device_commitment=pake.h("commit", self.nonce, self.device.identity_public),
                      server_certificate_sha256=self.leaf_sha256)
        fields.update(dict(slot=self.code.slot) if self.code.slot else dict(code_id=self.code.code_id))
        fields.update(changes)
        self.request = messages.StartPairingRequest(**fields)
        self.offer = self.pairing.StartPairing(self.request)
        return self.offer

    def share(self):
        """Derives w0, w1 (150 ms for a PIN) and makes share_p."""
        offer, request = self.offer, self.request
        self.w0, self.w1 = pake.derive(self.code.secret, offer.gateway_id, offer.kdf, offer.kdf_n, offer.kdf_r, offer.kdf_p,
                                       offer.salt)
        self.context = pake.transcript(
            "context", offer.version, b"".join(v.to_bytes(8, "little") for v in request.versions), pake.SUITE, offer.kdf,
            offer.kdf_n, offer.kdf_r, offer.kdf_p, offer.salt, self.code.selector, offer.session_id, self.device.kind,
            offer.challenge, request.device_ephemeral, offer.gateway_ephemeral, request.device_commitment,
            hashlib.sha256(offer.ca_certificate).digest(), request.server_certificate_sha256)
        return pake.prover_share(self.w0, self.x)

    def send_share(self, share_p):
        self.answer = self.pairing.ExchangePairing(session_id=self.offer.session_id, share_p=share_p)
        return self.answer

    def confirm(self):
        """Checks confirm_v; from here on the gateway is the one that knows the code."""
        done = pake.prover_finish(self.context, self.device.device_id, self.offer.gateway_id, self.w0, self.w1, self.x,
                                  self.answer.share_v)
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
        x = self.ephemeral.exchange(X25519PublicKey.from_public_bytes(self.offer.gateway_ephemeral))
        self.confirm_p = done.confirm_p
        self.keys = pake.Keys(done.shared, x, self.offer.challenge, self.offer.session_id, done.transcript_hash)
        if not hmac.compare_digest(done.confirm_v, self.answer.confirm_v):
            raise WrongCode("confirm_v does not fit")
        return self.keys

    def exchange(self):
        self.send_share(self.share())
        return self.confirm()

    @property
    def comparison(self):
        return self.keys.comparison(self.nonce)

    def completion(self, **changes):
        """The CompletePairing message; changes are made before it is signed, `raw_` ones after."""
        raw = {k[4:]: v for k, v in changes.items() if k.startswith("raw_")}
        fields = dict(session_id=self.offer.session_id, confirm_p=self.confirm_p, identity_public=self.device.identity_public,
                      device_nonce=self.nonce, csr_der=certificate_request(self.device.tls_key), device_name=self.device.name,
                      platform=self.device.platform, replaces_device_id="")
        fields.update({k: v for k, v in changes.items() if not k.startswith("raw_")})
        order = [fields[k] for k in ("session_id", "confirm_p", "identity_public", "device_nonce", "csr_der", "device_name",
                                     "platform", "replaces_device_id")]
        fields["identity_signature"] = self.device.identity.sign(self.keys.sign_input("complete", *order))
        fields["mac"] = self.keys.device_mac("complete", *order)
        fields.update(raw)
        return messages.CompletePairingRequest(**fields)

    def complete(self, message=None, **changes):
        answer = self.pairing.CompletePairing(message or self.completion(**changes))
        state = messages.enum_name("PairingState", answer.state)[len("PAIRING_STATE_"):].lower()
        expected = self.keys.gateway_mac("complete-answer", self.nonce, answer.request_id, state, answer.expires_at_unix_ms)
        if not hmac.compare_digest(expected, answer.mac):
            raise AssertionError("the gateway's MAC of CompletePairing does not verify")
        self.request_id = answer.request_id
        return answer

    def watch(self, timeout=20, check=True):
        nonce = os.urandom(16)
        stream = self.pairing.WatchPairing(
            session_id=self.offer.session_id, nonce=nonce, timeout=timeout,
            mac=self.keys.device_mac("watch", self.offer.session_id, nonce))
        for answer in stream:
            if check:
                self.check_watch(nonce, answer)
            yield answer

    def check_watch(self, nonce, answer):
        state = messages.enum_name("PairingState", answer.state)[len("PAIRING_STATE_"):].lower()
        expected = self.keys.gateway_mac(
            "watch-answer", nonce, state, answer.reason, answer.certificate_der, len(answer.ca_bundle), *answer.ca_bundle,
            len(answer.addresses), *answer.addresses, answer.policy, answer.gateway_name, answer.ca_generation, answer.role)
        if not hmac.compare_digest(expected, answer.mac):
            raise AssertionError("the gateway's MAC of WatchPairing does not verify")

    def finish(self, timeout=20):
        """Waits for the end of the request; takes certificate and bundle when it completed."""
        last = None
        for last in self.watch(timeout):
            name = messages.enum_name("PairingState", last.state)
            if name == "PAIRING_STATE_COMPLETED":
                self.device.certificate_der, self.device.ca_bundle = last.certificate_der, list(last.ca_bundle)
            if name in ("PAIRING_STATE_COMPLETED", "PAIRING_STATE_REJECTED", "PAIRING_STATE_EXPIRED"):
                break
        return last


def messages_kind(kind):
    return messages.enum("ClientKind", KINDS[kind])


def link_fingerprint(code):
    text = code.link["f"][0]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
