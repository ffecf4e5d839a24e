#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Second implementation of the pairing's bytes (data/doc/protocol.md), standard library only.

    pairing_vectors.py > pairing-vectors.json
    pairing_vectors.py --check pairing-vectors.json

Shares nothing with the C code: P-256, X25519 and Ed25519 are plain integers here. Slow and not constant time;
never for anything but these vectors. All randomness is the stream of tl_random_new_test(): SHA-256(seed || counter), both
8 bytes little-endian, counter from 0.
"""
import base64
import hashlib
import hmac
import json
import sys
import urllib.parse


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def u64(value):
    return value.to_bytes(8, "little")


def lp(data):
    return u64(len(data)) + data


def field(value):
    if isinstance(value, int):
        value = u64(value)
    elif isinstance(value, str):
        value = value.encode()
    return lp(value)


def transcript(purpose, *fields):
    return lp(b"twinlatch/1 " + purpose.encode()) + b"".join(field(f) for f in fields)


def hkdf(salt, material, info, length):
    key = mac(salt or bytes(32), material)
    block, out, i = b"", b"", 1
    while len(out) < length:
        block = mac(key, block + info + bytes([i]))
        out += block
        i += 1
    return out[:length]


class Stream:
    def __init__(self, seed):
        self.seed, self.counter, self.rest = seed, 0, b""

    def take(self, n):
        while len(self.rest) < n:
            self.rest += sha256(u64(self.seed) + u64(self.counter))
            self.counter += 1
        out, self.rest = self.rest[:n], self.rest[n:]
        return out


# --- P-256 (FIPS 186-4, D.1.2.3); points are (x, y), None is infinity

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BASE = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)


def p256_add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if a[1] != b[1] or a[1] == 0:
            return None
        slope = 3 * (a[0] * a[0] - 1) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def p256_mul(k, point):
    out = None
    for bit in bin(k)[2:]:
        out = p256_add(out, out)
        if bit == "1":
            out = p256_add(out, point)
    return out


def p256_bytes(point):
    return b"\x04" + point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def p256_point(hex_text):
    raw = bytes.fromhex(hex_text)
    return int.from_bytes(raw[1:33], "big"), int.from_bytes(raw[33:], "big")


M = p256_point("04886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f"
               "5ff355163e43ce224e0b0e65ff02ac8e5c7be09419c785e0ca547d55a12e2d20")
N = p256_point("04d8bbd6c639c62937b04d997f38c3770719c629d7014d49a24b4f98baa1292b49"
               "07d60aa6bfade45008a636337f5168c64d9bd36034808cd564490b1e656edbe7")


def draw_scalar(stream):
    while True:
        k = int.from_bytes(stream.take(32), "big")
        if 0 < k < ORDER:
            return k


# --- Curve25519: X25519 (RFC 7748) and Ed25519 (RFC 8032)

Q = 2**255 - 19


def x25519(scalar, u):
    k = int.from_bytes(scalar, "little")
    k = (k & ~7 & (2**255 - 1)) | 2**254
    x1 = int.from_bytes(u, "little") % 2**255
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % Q, x1 * (da - cb) ** 2 % Q
        x2, z2 = aa * bb % Q, e * (aa + 121665 * e) % Q
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, Q - 2, Q) % Q).to_bytes(32, "little")


X25519_BASE = (9).to_bytes(32, "little")
ED_ORDER = 2**252 + 27742317777372353535851937790883648493
ED_D = -121665 * pow(121666, -1, Q) % Q
ED_BASE_Y = 4 * pow(5, -1, Q) % Q
ED_BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202, ED_BASE_Y)


def ed_add(a, b):
    k = ED_D * a[0] * b[0] * a[1] * b[1] % Q
    return ((a[0] * b[1] + b[0] * a[1]) * pow(1 + k, -1, Q) % Q, (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, -1, Q) % Q)


def ed_mul(k, point):
    out = (0, 1)
    while k:
        if k & 1:
            out = ed_add(out, point)
        point = ed_add(point, point)
        k >>= 1
    return out


def ed_bytes(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def ed_expand(seed):
    h = hashlib.sha512(seed).digest()
    return (int.from_bytes(h[:32], "little") & ~7 & (2**254 - 1)) | 2**254, h[32:]


def ed25519_public(seed):
    return ed_bytes(ed_mul(ed_expand(seed)[0], ED_BASE))


def ed25519_sign(seed, message):
    a, prefix = ed_expand(seed)
    public = ed25519_public(seed)
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % ED_ORDER
    point = ed_bytes(ed_mul(r, ED_BASE))
    k = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little") % ED_ORDER
    return point + ((r + k * a) % ED_ORDER).to_bytes(32, "little")


# --- the protocol

SUITE = "SPAKE2+-P256-SHA256-HKDF-SHA256-HMAC-SHA256"


def run(v):
    """v: the inputs of a vector; returns the outputs."""
    gateway, device, minting = Stream(v["gateway_seed"]), Stream(v["device_seed"]), Stream(v["verifier_seed"])
    gid, did, sid = v["gateway_id"], v["device_id"], v["session_id"]
    ca, leaf, csr = (bytes.fromhex(v[k]) for k in ("ca_certificate", "server_certificate_sha256", "csr_der"))
    out = {}

    # 3.3, first item: w0, w1, L
    salt = minting.take(16)
    pin = v["method"] == "pin"
    secret_input = lp(v["secret"].encode()) + lp(b"") + lp(gid.encode())
    if pin:
        kdf, n, r, p = "scrypt", 32768, 8, 1
        raw = hashlib.scrypt(secret_input, salt=salt, n=n, r=r, p=p, maxmem=64 << 20, dklen=80)
    else:
        kdf, n, r, p = "hkdf-sha256", 0, 0, 0
        raw = hkdf(salt, secret_input, transcript("token"), 80)
    w0, w1 = (int.from_bytes(half, "big") % ORDER for half in (raw[:40], raw[40:]))
    point_l = p256_mul(w1, BASE)

    # message 1
    identity_seed = bytes.fromhex(v["identity_seed"])
    identity = ed25519_public(identity_seed)
    nonce = device.take(32)
    device_private = device.take(32)
    commitment = sha256(transcript("commit", nonce, identity))
    challenge = gateway.take(32)
    gateway_private = gateway.take(32)
    device_ephemeral = x25519(device_private, X25519_BASE)
    gateway_ephemeral = x25519(gateway_private, X25519_BASE)
    x = x25519(device_private, gateway_ephemeral)
    assert x == x25519(gateway_private, device_ephemeral)
    selector = "slot:%d" % v["slot"] if pin else "code:" + v["code_id"]
    context = transcript("context", 1, u64(1), SUITE, kdf, n, r, p, salt, selector, sid, v["client_kind"], challenge,
                         device_ephemeral, gateway_ephemeral, commitment, sha256(ca), leaf)

    # message 2: RFC 9383
    x_scalar, y_scalar = draw_scalar(device), draw_scalar(gateway)
    share_p = p256_bytes(p256_add(p256_mul(x_scalar, BASE), p256_mul(w0, M)))
    share_v = p256_bytes(p256_add(p256_mul(y_scalar, BASE), p256_mul(w0, N)))
    z = p256_mul(x_scalar * y_scalar % ORDER, BASE)
    point_v = p256_mul(y_scalar, point_l)
    tt = b"".join(lp(item) for item in (context, did.encode(), gid.encode(), p256_bytes(M), p256_bytes(N), share_p, share_v,
                                        p256_bytes(z), p256_bytes(point_v), w0.to_bytes(32, "big")))
    k_main = sha256(tt)
    confirm_keys = hkdf(b"", k_main, b"ConfirmationKeys", 64)
    k_shared = hkdf(b"", k_main, b"SharedKey", 32)
    confirm_p, confirm_v = mac(confirm_keys[:32], share_v), mac(confirm_keys[32:], share_p)

    # pairing key
    transcript_hash = sha256(transcript("transcript", tt))
    key = hkdf(challenge, k_shared + x, transcript("pairing", sid), 96)
    key_device, key_gateway, key_display = key[:32], key[32:64], key[64:]

    # messages 3 and 4
    complete = transcript("complete", transcript_hash, sid, confirm_p, identity, nonce, csr, v["device_name"], v["platform"],
                          v["replaces_device_id"])
    answer = v["complete_answer"]
    complete_answer = transcript("complete-answer", transcript_hash, nonce, answer["request_id"], answer["state"],
                                 answer["expires_at_ms"])
    watch_nonce = device.take(16)
    watch = transcript("watch", transcript_hash, sid, watch_nonce)
    w = v["watch_answer"]
    cas = [bytes.fromhex(c) for c in w["ca_bundle"]]
    watch_answer = transcript("watch-answer", transcript_hash, watch_nonce, w["state"], w["reason"],
                              bytes.fromhex(w["certificate_der"]), len(cas), *cas, len(w["addresses"]), *w["addresses"],
                              w["policy"], w["gateway_name"], w["ca_generation"], w["role"])
    compare = mac(key_display, transcript("compare", transcript_hash, nonce))

    for name, value in (("salt", salt), ("w0", w0.to_bytes(32, "big")), ("w1", w1.to_bytes(32, "big")),
                        ("L", p256_bytes(point_l)), ("identity_public", identity), ("device_nonce", nonce),
                        ("device_commitment", commitment), ("challenge", challenge),
                        ("device_ephemeral", device_ephemeral), ("gateway_ephemeral", gateway_ephemeral),
                        ("context", context), ("context_sha256", sha256(context)), ("share_p", share_p),
                        ("share_v", share_v), ("confirm_v", confirm_v), ("confirm_p", confirm_p),
                        ("transcript_hash", transcript_hash), ("keys", key + transcript_hash),
                        ("complete_input", complete), ("identity_signature", ed25519_sign(identity_seed, complete)),
                        ("complete_mac", mac(key_device, complete)),
                        ("complete_answer_mac", mac(key_gateway, complete_answer)), ("watch_nonce", watch_nonce),
                        ("watch_mac", mac(key_device, watch)), ("watch_answer_mac", mac(key_gateway, watch_answer))):
        out[name] = value.hex()
    out["comparison"] = "%06d" % (int.from_bytes(compare[:8], "big") % 10**6)
    if not pin:
        out["link"] = ("twinlatch:pair?v=1&g=%s&c=%s&t=%s&f=%s" % (
            gid, v["code_id"], v["secret"], base64.urlsafe_b64encode(sha256(ca)).rstrip(b"=").decode())
            + "".join("&a=" + a for a in v["addresses"]) + "&n=" + urllib.parse.quote(v["name"], safe=""))
    return out


def inputs():
    common = {
        "gateway_id": "01JD0000000000000000GATEWA", "device_id": "01JD0000000000000000DEV1CE",
        "session_id": "01JD0000000000000000SESS10", "ca_certificate": b"a CA certificate in DER".hex(),
        "server_certificate_sha256": sha256(b"the server's leaf").hex(), "csr_der": b"a certificate request".hex(),
        "identity_seed": bytes(range(32)).hex(), "platform": "linux x86_64",
        "complete_answer": {"request_id": "01JD0000000000000000REQEST", "state": "pending_approval",
                            "expires_at_ms": 1763719200000},
    }
    return [
        dict(common, vector="pin", method="pin", slot=7, secret="01234567", client_kind="desktop", device_name="K\u00fcche",
             replaces_device_id="", gateway_seed=101, device_seed=102, verifier_seed=103,
             watch_answer={"state": "completed", "reason": "", "certificate_der": b"a device leaf".hex(),
                           "ca_bundle": [b"CA two".hex(), b"CA one".hex()],
                           "addresses": ["192.0.2.1:7444", "[2001:db8::1]:7444"], "policy": "{\"echo\":\"allow\"}",
                           "gateway_name": "B\u00fcro", "ca_generation": 2, "role": 1}),
        dict(common, vector="link", method="link", code_id="01JD0000000000000000C0DE00", secret="0123456789ABCDEFGHJKMNPQRW",
             client_kind="node", device_name="attic", replaces_device_id="01JD0000000000000000BEF0RE", gateway_seed=201,
             device_seed=202, verifier_seed=203, addresses=["192.0.2.1:7444", "[2001:db8::1]:7444", "gw.example:7444"],
             name="B\u00fcro & Werkstatt",
             watch_answer={"state": "rejected", "reason": "not today", "certificate_der": "", "ca_bundle": [],
                           "addresses": [], "policy": "", "gateway_name": "", "ca_generation": 0, "role": 0}),
    ]


def main(arguments):
    document = {"vectors": [dict(v, expected=run(v)) for v in inputs()]}
    if arguments[:1] == ["--check"]:
        with open(arguments[1], encoding="utf-8") as file:
            same = json.load(file) == document
        print("same" if same else "different")
        return 0 if same else 1
    json.dump(document, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
