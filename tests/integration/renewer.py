# SPDX-License-Identifier: Apache-2.0
"""A device that renews its certificate itself (PROTOCOL 4.3), over mTLS or with its identity alone."""
import hashlib

from cryptography.hazmat.primitives.asymmetric import ec

import pake
from prover import certificate_request
from wire import messages


class Renewer:
    """A device that renews by hand and may claim what is not true."""

    def __init__(self, gateway, device):
        self.gateway, self.device = gateway, device
        self.key = ec.generate_private_key(ec.SECP256R1())

    def challenge(self, connection, device_id=None):
        return connection.pairing.GetChallenge(device_id=device_id or self.device.device_id).challenge

    def request(self, challenge, signer=None, **changes):
        csr = changes.pop("csr_der", None) or certificate_request(self.key)
        signature = (signer or self.device.identity).sign(pake.transcript(
            "renew", self.gateway.gateway_id, self.device.device_id, challenge, hashlib.sha256(csr).digest()))
        fields = dict(device_id=self.device.device_id, csr_der=csr, challenge=challenge, identity_signature=signature)
        return messages.RenewRequest(**dict(fields, **changes))

    def by_certificate(self, connection, **changes):
        return connection.node.RenewCertificate(self.request(self.challenge(connection), **changes))

    def by_identity(self, connection, **changes):
        return connection.pairing.RenewWithIdentity(self.request(self.challenge(connection), **changes))

    def take(self, answer):
        self.device.certificate_der, self.device.tls_key = answer.certificate_der, self.key
        self.key = ec.generate_private_key(ec.SECP256R1())
