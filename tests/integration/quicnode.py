# SPDX-License-Identifier: Apache-2.0
"""A node whose QUIC is quic-go (goquic.py): registers over gRPC, all else on streams of one QUIC connection (PROTOCOL 5)."""
import base64
import json

import goquic
from pynode import PythonNode
from wire import messages


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def result_request(message):
    """What a SubmitCapabilityResultRequest is in JSON."""
    receipt = message.receipt
    return dict(
        protocol_version=1, method="node.submit_result", request_id=message.request_id, success=message.success,
        state=messages.enum_name("RequestState", message.state)[len("REQUEST_STATE_"):].lower(), output=message.output,
        error=message.error, output_sha256=base64url(message.output_sha256), result_signature=base64url(message.result_signature),
        receipt=dict(alg=receipt.alg, decision=receipt.decision, by=receipt.by, time_unix_ms=receipt.time_unix_ms,
                     requested_by=receipt.requested_by, expires_at_unix_ms=receipt.expires_at_unix_ms,
                     input_sha256=base64url(receipt.input_sha256), signature=base64url(receipt.signature)))


class QuicNode:
    def __init__(self, program, gateway, device, folder, capabilities=("echo",), **flags):
        self.grpc = PythonNode(gateway, device, capabilities)
        self.peer = goquic.client(program, gateway, folder, device, **flags)
        self.peer.wait("confirmed")
        self.events = None

    def stream(self, seq=0, event_id=""):
        self.events = self.peer.send(dict(protocol_version=1, method="node.stream_events", resume_from=seq, resume_id=event_id,
                                          instance_id=self.grpc.instance_id), open=True)
        return self.events

    def open(self, seq=0, event_id=""):
        """Registers and opens the event stream; `ready`."""
        self.grpc.register()
        self.stream(seq, event_id)
        return self.peer.answer(self.events, kind="ready")

    def next_dispatch(self):
        event = self.peer.answer(self.events, kind="event", type="capability.dispatch")
        return event, json.loads(event["data"])

    def acknowledge(self, event):
        return self.peer.request("node.ack_events", seq=event["seq"], id=event["id"])

    def tell(self, event_type, **data):
        return self.peer.request("node.event", type=event_type, data=json.dumps(data))

    def submit(self, dispatch, output):
        id = self.peer.send(result_request(self.grpc.result(dispatch, output)))
        return self.peer.answer(id)

    def close(self):
        self.peer.close()
        self.grpc.connection.close()
