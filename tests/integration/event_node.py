# SPDX-License-Identifier: Apache-2.0
"""A device that writes down the events it gets (tests/helpers/event-node.c), and operators that number what they send it."""
import collections
import re
import signal
import threading

import twinlatch
import wire


class EventNode:
    """The process, and its next one, and the one after that. test: whose end is its end, too."""

    def __init__(self, test, node, record):
        self.command = [*node.cli.inside, str(twinlatch.BUILD / "tests/helpers/event-node"), str(node.folder), str(record)]
        self.record, self.environment, self.process, self.past = record, test.sandbox.environment, None, []
        test.addCleanup(self.kill)

    def start(self):
        self.process = twinlatch.Process(self.command, self.environment)

    def kill(self):
        if self.process is not None:
            process, self.process = self.process, None
            died = not process.running
            process.stop(signal.SIGKILL)
            self.past.append(process.text)
            if died:
                raise AssertionError(f"event-node ended by itself:\n{process.text}")

    @property
    def opened(self):
        """How often its links opened, by transport."""
        text = "".join(self.past) + (self.process.text if self.process else "")
        return collections.Counter(re.findall(r"^open (\w+)", text, re.M))

    def seen(self):
        """(rows (seq, event id, type, input), complaints)"""
        lines = self.record.read_text().splitlines()
        return [line.split(" ", 3) for line in lines if line[0] != "!"], [line for line in lines if line[0] == "!"]

    def last_seen(self):
        rows, _ = self.seen()
        return int(rows[-1][0]) if rows else 0

    def check(self, test, gateway, device_id, sent, patience=120):
        """All that producers sent (number -> count) is there once, in order, and acknowledged. Waits for the last of it."""
        gateway.refresh()
        node = lambda: gateway.admin.GetDevice(device=device_id).node
        latest = node().latest_seq
        twinlatch.until(lambda: self.last_seen() >= latest, f"event {latest}", patience)
        twinlatch.until(lambda: node().acknowledged_seq == latest, "the last acknowledgement", patience)
        rows, complaints = self.seen()
        test.assertEqual(complaints, [])
        test.assertEqual([int(r[0]) for r in rows], list(range(1, latest + 1)), "each once, in order")
        test.assertEqual(len({r[1] for r in rows}), len(rows), "ids of their own")
        numbers = collections.defaultdict(list)
        for _, _, kind, value in rows:
            if kind == "capability.dispatch":
                producer, number = value.strip('"').split(".")
                numbers[int(producer)].append(int(number))
        test.assertEqual(dict(numbers), {k: list(range(1, n + 1)) for k, n in sent.items() if n}, "what each producer sent, in its order")
        return len(rows)


class Producer(threading.Thread):
    """Sends echo requests with inputs K.1, K.2, ... one after the other, each exactly once, whatever happens to the gateway: one a
    permit. A first answer takes 50 ms (shorter states are told with the end), so speed is several of them."""

    def __init__(self, gateway, device_id, number, permits, stopping):
        super().__init__(daemon=True)
        self.gateway, self.device_id, self.number, self.permits, self.stopping = gateway, device_id, number, permits, stopping
        self.sent, self.unanswered, self.trouble, self.connection = 0, 0, None, None

    def run(self):
        try:
            while self.permits.acquire() and not self.stopping.is_set():
                self.send(f'"{self.number}.{self.sent + 1}"')
                self.sent += 1
        except BaseException as error:  # the main thread raises it
            self.trouble = error
        self.disconnect()

    def disconnect(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    @property
    def admin(self):
        if self.connection is None:
            self.connection = wire.connect_local(self.gateway.socket)
        return self.connection.admin

    def send(self, value):
        while not self.stopping.is_set():
            try:
                stream = self.admin.ExecuteCapability(device=self.device_id, capability="echo", input=value, expires_in_ms=7 * 86400_000,
                                                      timeout=60)
                next(stream)
                stream.cancel()
                return
            except (wire.RpcError, OSError) as error:
                self.excuse(error)
            if self.is_there(value):  # the gateway died between its commit and its answer
                self.unanswered += 1
                return

    def is_there(self, value):
        """Asks until a gateway answers: the one that was killed took with it what it had not committed."""
        while not self.stopping.is_set():
            try:
                token = ""
                while True:
                    page = self.admin.ListCapabilityRequests(device=self.device_id, page=wire.messages.Page(page_size=500, page_token=token))
                    if any(r.input_summary == value for r in page.requests):
                        return True
                    token = page.next_page_token
                    if not token:
                        return False
            except (wire.RpcError, OSError) as error:
                self.excuse(error)
        return True

    def excuse(self, error):
        if getattr(error, "status", wire.UNAVAILABLE) not in (wire.UNAVAILABLE, wire.CANCELLED, wire.UNKNOWN, wire.INTERNAL):
            raise error
        self.disconnect()
        self.stopping.wait(0.02)


class Producers:
    """Several at once."""

    def __init__(self, gateway, device_id, count=16):
        self.permits, self.stopping = threading.Semaphore(0), threading.Event()
        self.all = [Producer(gateway, device_id, k, self.permits, self.stopping) for k in range(count)]
        for producer in self.all:
            producer.start()

    def release(self, count):
        for _ in range(count):
            self.permits.release()

    def look(self):
        """Raises what went wrong in one of them."""
        for producer in self.all:
            if producer.trouble:
                raise producer.trouble

    @property
    def sent(self):
        self.look()
        return {p.number: p.sent for p in self.all}

    @property
    def unanswered(self):
        return sum(p.unanswered for p in self.all)

    def wait(self, total, patience=120):
        twinlatch.until(lambda: sum(self.sent.values()) == total, f"{total} to be sent", patience)

    def stop(self):
        self.stopping.set()
        self.release(len(self.all))
        for producer in self.all:
            producer.join(60)
        self.look()
