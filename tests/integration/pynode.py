# SPDX-License-Identifier: Apache-2.0
"""A node over python3-grpcio: registers, reads its event stream, hands in results; may claim what is not true."""
import hashlib
import json
import queue
import time

import pake
from prover import ulid
from wire import messages


class PythonNode:
    def __init__(self, gateway, device, capabilities=("echo",)):
        self.gateway, self.device, self.connection = gateway, device, gateway.connect(device)
        self.node, self.instance_id, self.up, self.events = self.connection.node, ulid(), queue.Queue(), None
        self.capabilities = [messages.CapabilityDescriptor(
            name=c, description=c, available=True, idempotent=True, consent=messages.enum("ConsentLevel", "CONSENT_LEVEL_ALLOW"))
            for c in capabilities]

    def register(self, **changes):
        fields = dict(device_id=self.device.device_id, versions=[1], platform="python", node_version="0", instance_id=ulid(),
                      capabilities=self.capabilities, client_kind=messages.enum("ClientKind", "CLIENT_KIND_NODE"))
        return self.node.RegisterNode(**dict(fields, **changes))

    @staticmethod
    def _requests(up):
        """Bound to its queue: an older stream's thread must not take what is meant for the newer one."""
        while (message := up.get()) is not None:
            yield message

    def stream(self, seq=0, event_id="", device_id=None, timeout=30):
        """Opens StreamEvents; the answer to look at first is Ready (or what comes before it)."""
        resume = messages.StreamEventsRequest()
        resume.resume.device_id = device_id or self.device.device_id
        resume.resume.instance_id = self.instance_id
        resume.resume.cursor.seq, resume.resume.cursor.event_id = seq, event_id
        self.up = queue.Queue()
        self.up.put(resume)
        self.events = self.node.StreamEvents(self._requests(self.up), timeout=timeout)
        return self.events

    def open(self):
        self.register()
        self.stream()
        return self.events.until(lambda m: m.WhichOneof("kind") == "ready").ready

    def next_dispatch(self):
        event = self.events.until(lambda m: m.WhichOneof("kind") == "event" and m.event.type == "capability.dispatch").event
        return event, json.loads(event.data)

    def acknowledge(self, seq, event_id):
        message = messages.StreamEventsRequest()
        message.ack.cursor.seq, message.ack.cursor.event_id = seq, event_id
        self.up.put(message)

    def tell(self, event_type, **data):
        message = messages.StreamEventsRequest()
        message.node_event.type, message.node_event.data = event_type, json.dumps(data)
        self.up.put(message)

    def result(self, dispatch, output="{}", **changes):
        """A signed SubmitCapabilityResultRequest for a dispatch; changes are made after signing."""
        now, device_id = int(time.time() * 1000), self.device.device_id
        fields = ("receipt", self.gateway.gateway_id, device_id, dispatch["request_id"], dispatch["capability"],
                  hashlib.sha256(dispatch["input"].encode()).digest(), dispatch["requested_by"],
                  dispatch["expires_at_unix_ms"], "allowed", "policy", now)
        receipt = messages.Receipt(
            alg="ed25519", decision="allowed", by="policy", time_unix_ms=now, requested_by=dispatch["requested_by"],
            expires_at_unix_ms=dispatch["expires_at_unix_ms"], input_sha256=fields[5],
            signature=self.device.identity.sign(pake.transcript(*fields)))
        digest = hashlib.sha256(output.encode()).digest()
        signature = self.device.identity.sign(pake.transcript("result", dispatch["request_id"], pake.h(*fields), digest))
        message = messages.SubmitCapabilityResultRequest(
            device_id=device_id, request_id=dispatch["request_id"], success=True, output=output, receipt=receipt,
            output_sha256=digest, result_signature=signature, state=messages.enum("RequestState", "REQUEST_STATE_SUCCEEDED"))
        message.MergeFrom(messages.SubmitCapabilityResultRequest(**changes))
        return message

    def submit(self, message):
        return self.node.SubmitCapabilityResult(message)

    def close(self):
        self.up.put(None)
        self.connection.close()
