# SPDX-License-Identifier: Apache-2.0
"""tests/bench/run.sh still measures everything and says it in the agreed form. No figure is judged here."""
import json
import math
import os
import subprocess
import unittest

import twinlatch
import wire

RUN = wire.SOURCE / "tests" / "bench" / "run.sh"
MEMBERS = ["bench", "value", "unit", "reference", "ratio", "budget", "ok"]
UNITS = {
    "pairing_p50": "ms", "pairing_p99": "ms",
    "mutual_handshakes": "1/s", "mutual_handshakes_4_in_flight": "1/s", "handshake_server_cpu": "ms",
    "dispatch_p50": "us", "dispatch_p99": "us", "dispatches_64_in_flight": "1/s",
    "dispatch_cpu_64_in_flight": "us", "quic_dispatch_p50": "us", "quic_dispatch_p99": "us",
    "quic_request_p50": "us", "quic_bare_request_p50": "us", "quic_request_p99": "us", "quic_bare_request_p99": "us",
    "quic_requests_32_streams": "1/s", "quic_handshake_server_cpu": "ms", "quic_bare_handshake_server_cpu": "ms",
    "quic_bare_handshake_chain_cpu": "ms", "quic_memory_per_connection": "KiB", "quic_restart_all_back": "s",
    "quic_flood_p99": "us", "quic_flood_memory": "KiB",
    "memory_per_node_rss": "KiB", "memory_per_node_private": "KiB",
    "dispatch_p50_with_history": "us", "start_with_history": "s", "revoke_p99": "ms",
    "noise": "1/s", "noise_disk": "us",
}
BUDGETS = ["dispatches_64_in_flight", "quic_dispatch_p50", "quic_request_p50", "quic_requests_32_streams", "quic_handshake_server_cpu",
           "quic_memory_per_connection", "quic_restart_all_back", "quic_flood_p99", "quic_flood_memory", "dispatch_p50_with_history",
           "start_with_history", "revoke_p99"]


def run(*arguments):
    return subprocess.run([str(RUN), *arguments], env=dict(os.environ, TL_BUILD_DIR=str(twinlatch.BUILD)), capture_output=True,
                          text=True, timeout=300)


class Bench(unittest.TestCase):
    def test_json(self):
        done = run("--json", "--quick")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertIn(done.returncode, (0, 1), done.stderr)  # 1: over a budget, which is for people to judge
        self.assertEqual(done.stderr, "")
        self.assertEqual([row["bench"] for row in rows], list(UNITS))
        for row in rows:
            with self.subTest(row["bench"]):
                self.assertEqual(list(row), MEMBERS)
                self.assertEqual(row["unit"], UNITS[row["bench"]])
                for member in ("value", "reference", "ratio"):
                    self.assertIsInstance(row[member], float)
                    self.assertGreater(row[member], 0)
                self.assertTrue(math.isclose(row["ratio"], row["value"] / row["reference"], rel_tol=1e-3), row)
                self.assertEqual(row["budget"] is not None, row["bench"] in BUDGETS)
                kept = row["budget"] is None or (row["value"] >= row["budget"] if row["unit"] == "1/s" else row["value"] <= row["budget"])
                self.assertEqual(row["ok"], kept)
        self.assertEqual(done.returncode, 0 if all(row["ok"] for row in rows) else 1)

    def test_unknown_argument(self):
        done = run("--fast")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stdout, "")
        self.assertIn("--fast", done.stderr)


if __name__ == "__main__":
    unittest.main()
