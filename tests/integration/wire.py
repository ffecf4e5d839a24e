# SPDX-License-Identifier: Apache-2.0
"""The wire without generated code: messages from the descriptor set, calls over python3-grpcio (the same core, an independent client)."""
import os
import pathlib

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SOURCE = pathlib.Path(os.environ.get("TL_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
PROTOSET = SOURCE / "tests" / "data" / "twinlatch-v1.protoset"

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, \
    RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS, \
    UNAUTHENTICATED = range(17)


def load_protoset(path=PROTOSET):
    found = descriptor_pb2.FileDescriptorSet()
    found.ParseFromString(pathlib.Path(path).read_bytes())
    return found


class _Messages:
    """messages.StartPairingRequest(...), messages.Role("ROLE_NODE")."""

    def __init__(self):
        self.pool = descriptor_pool.DescriptorPool()
        self.factory = message_factory.MessageFactory(self.pool)
        waiting = list(load_protoset().file)
        while waiting:  # a file goes in after those it imports
            for file in waiting:
                if all(not any(w.name == name for w in waiting) for name in file.dependency):
                    self.pool.Add(file)
                    waiting.remove(file)
                    break

    def message(self, full_name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(full_name))

    def __getattr__(self, name):
        return self.message("twinlatch.v1." + name)

    def enum(self, name, value):
        return self.pool.FindEnumTypeByName("twinlatch.v1." + name).values_by_name[value].number

    def enum_name(self, name, number):
        return self.pool.FindEnumTypeByName("twinlatch.v1." + name).values_by_number[number].name

    def service(self, full_name):
        return self.pool.FindServiceByName(full_name)


messages = _Messages()


class RpcError(Exception):
    """What a peer answered: status number, stable reason (may be ''), message."""

    def __init__(self, error):
        self.status = error.code().value[0]
        self.message = error.details() or ""
        trailing = error.trailing_metadata() or ()
        self.reason = next((v for k, v in trailing if k == "twinlatch-reason"), "")
        super().__init__(f"status {self.status} reason {self.reason!r}: {self.message}")

    @property
    def answer(self):
        """All that a stranger gets to see."""
        return (self.status, self.reason, self.message)


class Stream:
    """A server stream; iterate, or next(). Ends with RpcError or StopIteration."""

    def __init__(self, call):
        self.call = call

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return next(self.call)
        except grpc.RpcError as error:
            raise RpcError(error) from None

    def until(self, condition):
        """The first message for which condition holds (the call's deadline bounds the wait)."""
        for message in self:
            if condition(message):
                return message
        raise AssertionError("the stream ended before what was waited for came")

    def cancel(self):
        self.call.cancel()


class Service:
    """service.StartPairing(request, timeout=10): one service over one channel."""

    def __init__(self, channel, full_name):
        self._channel, self._name = channel, full_name
        self._service = messages.service(full_name)

    def __getattr__(self, method):
        found = self._service.methods_by_name[method]
        answer = messages.factory.GetPrototype(found.output_type)
        request_type = messages.factory.GetPrototype(found.input_type)
        path = f"/{self._name}/{method}"
        proto = descriptor_pb2.MethodDescriptorProto()
        found.CopyToProto(proto)
        codec = dict(request_serializer=lambda m: m.SerializeToString(), response_deserializer=answer.FromString)

        def call(request=None, timeout=15, **fields):
            if proto.client_streaming:
                return Stream(self._channel.stream_stream(path, **codec)(request, timeout=timeout))
            message = request if request is not None else request_type(**fields)
            if proto.server_streaming:
                return Stream(self._channel.unary_stream(path, **codec)(message, timeout=timeout))
            try:
                return self._channel.unary_unary(path, **codec)(message, timeout=timeout)
            except grpc.RpcError as error:
                raise RpcError(error) from None

        return call


class Connection:
    """One channel with a connection of its own (no sharing of subchannels) and the services over it."""

    def __init__(self, channel):
        self.channel = channel
        self.pairing = Service(channel, "twinlatch.v1.PairingService")
        self.node = Service(channel, "twinlatch.v1.NodeService")
        self.admin = Service(channel, "twinlatch.v1.AdminService")
        self.health = Service(channel, "grpc.health.v1.Health")

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0),
           ("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20)]


def connect_tls(address, ca_pem, gateway_id, chain_pem=None, key_pem=None):
    credentials = grpc.ssl_channel_credentials(root_certificates=ca_pem, private_key=key_pem, certificate_chain=chain_pem)
    name = gateway_id.lower() + ".gateway.twinlatch.internal"
    return Connection(grpc.secure_channel(address, credentials, OPTIONS + [("grpc.ssl_target_name_override", name)]))


def connect_local(path):
    return Connection(grpc.insecure_channel(f"unix:{path}", OPTIONS))
