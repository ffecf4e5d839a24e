# SPDX-License-Identifier: Apache-2.0
"""The gateway's side of QUIC (PROTOCOL 5), seen from a client that says what it likes."""
import json
import threading
import time
import unittest

import prover
import quicclient
import twinlatch
import wire
from prover import ulid
from pynode import PythonNode
from quicclient import request
from wire import messages


class QuicTestCase(twinlatch.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = quicclient.QuicClient(cls.sandbox)
        cls.addClassCleanup(cls.client.stop)

    def pair(self, gateway=None):
        return (gateway or self.gw).pair_device(self._testMethodName[-60:])

    def connect(self, device, gateway=None):
        return self.client.connect(gateway or self.gw, device).opened()

    def follow(self, connection, seq=0, event_id="", instance=None):
        """An event stream, opened and ready; what came before `ready` is in .before."""
        stream = connection.open(request("node.stream_events", resume_from=seq, resume_id=event_id, instance_id=instance or ulid()))
        stream.before, answer = [], stream.next()
        while answer["kind"] != "ready":
            stream.before.append(answer)
            answer = stream.next()
        stream.ready = answer
        return stream

    def register(self, device, capabilities=("echo", "work.once")):
        node = PythonNode(self.gw, device, capabilities)
        node.register()
        return node

    def execute(self, device, capability="echo", input="1", **fields):
        states = []

        def run():
            try:
                states.extend(self.gw.execute(device.device_id, capability, input, **fields))
            except wire.RpcError as error:
                states.append(error)
        thread = threading.Thread(target=run)
        thread.start()

        def join():
            thread.join(twinlatch.PATIENCE)
            self.assertFalse(thread.is_alive(), "the request never ended")
            return states
        return join

    def journal(self, kind, subject=None, actor=None):
        return [row for answer in self.gw.admin.ReadJournal(limit=10000) for row in answer.rows
                if row.kind == kind and subject in (None, row.subject) and actor in (None, row.actor)]

    def assertRefused(self, answer, error, reason=None):
        self.assertEqual((answer["kind"], answer["ok"], answer["error"]), ("error", False, error), answer)
        if reason is not None:
            self.assertEqual(answer["reason"], reason, answer)


class Requests(QuicTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gw = cls.gateway()

    def test_health(self):
        device = self.pair()
        answer = self.connect(device).health()
        self.assertEqual((answer["kind"], answer["ok"], answer["gateway_id"], answer["node_rpc_mtls_required"], answer["latest_seq"]),
                         ("health", True, self.gw.gateway_id, True, 0))
        self.assertLess(abs(answer["server_time_unix_ms"] / 1000 - time.time()), 60)


if __name__ == "__main__":
    unittest.main()
