# SPDX-License-Identifier: Apache-2.0
"""The device's half of pairing, written from PROTOCOL 3.3 and RFC 9383 alone: standard library and X25519/Ed25519 of python3-cryptography.

Nothing here is shared with the C code, so agreement means that both follow the text. Not constant time: for tests."""
import hashlib
import hmac

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
A = P - 3
B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b
ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
G = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
     0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)
SUITE = "SPAKE2+-P256-SHA256-HKDF-SHA256-HMAC-SHA256"


def on_curve(point):
    return (point[1] * point[1] - (point[0] ** 3 + A * point[0] + B)) % P == 0


def add(p, q):
    if p is None or q is None:
        return q if p is None else p
    if p[0] == q[0]:
        if (p[1] + q[1]) % P == 0:
            return None
        slope = (3 * p[0] * p[0] + A) * pow(2 * p[1], -1, P) % P
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P) % P
    x = (slope * slope - p[0] - q[0]) % P
    return (x, (slope * (p[0] - x) - p[1]) % P)


def neg(p):
    return None if p is None else (p[0], -p[1] % P)


def mul(k, p):
    k %= ORDER
    result = None
    while k:
        if k & 1:
            result = add(result, p)
        p = add(p, p)
        k >>= 1
    return result


def encode(p):
    return b"\x04" + p[0].to_bytes(32, "big") + p[1].to_bytes(32, "big")


def decode(data):
    if len(data) != 65 or data[0] != 4:
        raise ValueError("not an uncompressed point")
    p = (int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big"))
    if p[0] >= P or p[1] >= P or not on_curve(p):
        raise ValueError("not on the curve")
    return p


def _decompress(text):
    data = bytes.fromhex(text)
    x = int.from_bytes(data[1:], "big")
    y = pow(x ** 3 + A * x + B, (P + 1) // 4, P)
    return (x, y if y & 1 == data[0] & 1 else P - y)


M = _decompress("02886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f")
N = _decompress("03d8bbd6c639c62937b04d997f38c3770719c629d7014d49a24b4f98baa1292b49")


def lp(data):
    if isinstance(data, str):
        data = data.encode()
    elif isinstance(data, int):
        data = data.to_bytes(8, "little")
    return len(data).to_bytes(8, "little") + data


def transcript(purpose, *fields):
    return lp("twinlatch/1 " + purpose) + b"".join(lp(f) for f in fields)


def h(purpose, *fields):
    return hashlib.sha256(transcript(purpose, *fields)).digest()


def mac(key, purpose, *fields):
    return hmac.new(key, transcript(purpose, *fields), hashlib.sha256).digest()


def hkdf(ikm, info, length, salt=b""):
    prk = hmac.new(salt or b"\0" * 32, ikm, hashlib.sha256).digest()
    out = block = b""
    counter = 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha256).digest()
        out += block
        counter += 1
    return out[:length]


def derive(secret, gateway_id, kdf, n, r, p, salt):
    """w0, w1 (PROTOCOL 3.3, first item)."""
    ikm = lp(secret) + lp("") + lp(gateway_id)
    if kdf == "scrypt":
        out = hashlib.scrypt(ikm, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r + (1 << 20), dklen=80)
    elif kdf == "hkdf-sha256":
        out = hkdf(ikm, transcript("token"), 80, salt)
    else:
        raise ValueError("unknown kdf " + kdf)
    return int.from_bytes(out[:40], "big") % ORDER, int.from_bytes(out[40:], "big") % ORDER


class Exchange:
    """SPAKE2+ with known scalars: prover and verifier, for tests that sit on either side."""

    def __init__(self, context, id_prover, id_verifier, share_p, share_v, z, v, w0):
        tt = b"".join(lp(f) for f in (context, id_prover, id_verifier, encode(M), encode(N), share_p, share_v, encode(z),
                                      encode(v), w0.to_bytes(32, "big")))
        k_main = hashlib.sha256(tt).digest()
        self.transcript_hash = h("transcript", tt)
        confirm = hkdf(k_main, b"ConfirmationKeys", 64)
        self.shared = hkdf(k_main, b"SharedKey", 32)
        self.confirm_p = hmac.new(confirm[:32], share_v, hashlib.sha256).digest()
        self.confirm_v = hmac.new(confirm[32:], share_p, hashlib.sha256).digest()


def prover_share(w0, x):
    return encode(add(mul(x, G), mul(w0, M)))


def prover_finish(context, id_prover, id_verifier, w0, w1, x, share_v):
    blinded = add(decode(share_v), neg(mul(w0, N)))
    return Exchange(context, id_prover, id_verifier, prover_share(w0, x), share_v, mul(x, blinded), mul(w1, blinded), w0)


def verifier_finish(context, id_prover, id_verifier, w0, point_l, y, share_p):
    share_v = encode(add(mul(y, G), mul(w0, N)))
    return Exchange(context, id_prover, id_verifier, share_p, share_v,
                    mul(y, add(decode(share_p), neg(mul(w0, M)))), mul(y, point_l), w0), share_v


class Keys:
    """key_device, key_gateway, key_display (PROTOCOL 3.3)."""

    def __init__(self, shared, x25519, challenge, session_id, transcript_hash):
        out = hkdf(shared + x25519, transcript("pairing", session_id), 96, challenge)
        self.device, self.gateway, self.display = out[:32], out[32:64], out[64:]
        self.transcript_hash = transcript_hash

    def comparison(self, device_nonce):
        value = int.from_bytes(mac(self.display, "compare", self.transcript_hash, device_nonce)[:8], "big") % 10**6
        return f"{value:06d}"

    def sign_input(self, purpose, *fields):
        """What a MAC (and the identity signature) is over: every one begins with the transcript hash."""
        return transcript(purpose, self.transcript_hash, *fields)

    def device_mac(self, purpose, *fields):
        return mac(self.device, purpose, self.transcript_hash, *fields)

    def gateway_mac(self, purpose, *fields):
        return mac(self.gateway, purpose, self.transcript_hash, *fields)
