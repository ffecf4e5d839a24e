# SPDX-License-Identifier: Apache-2.0
"""Reads TAP (GLib's and ours) and meson's test log into a list of results."""
import collections
import json
import re

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
Result = collections.namedtuple("Result", "name outcome detail")

LINE = re.compile(r"^(not )?ok\b\s*(\d+)?\s*-?\s*([^#]*?)\s*(?:#\s*(\w+)\s*(.*))?$")
PLAN = re.compile(r"^1\.\.(\d+)")


def parse(text):
    """Results of one TAP stream; a plan that promised more adds one failure."""
    results, plan = [], None
    for line in text.splitlines():
        planned = PLAN.match(line)
        if planned:
            plan = int(planned.group(1))
        match = LINE.match(line)
        if not match:
            continue
        bad, number, name, directive, reason = match.groups()
        outcome = FAILED if bad else PASSED
        if directive and directive.upper() == "SKIP":
            outcome = SKIPPED
        elif directive and directive.upper() == "TO" "DO":
            outcome = FAILED if not bad else SKIPPED
        results.append(Result(name or f"test {number}", outcome, reason or ""))
    if plan is not None and len(results) < plan:
        results.append(Result("plan", FAILED, f"{plan} tests were planned, {len(results)} ran"))
    return results


def without_passed(text):
    """A TAP stream without the lines of what went well, for people who look for what did not."""
    return "\n".join(line for line in text.splitlines() if not re.match(r"ok\b|# \d+\.\d+ s ", line))


def from_meson_log(path, only=""):
    """(results, output of what failed) of every test program in meson-logs/testlog.json."""
    results, output = [], []
    if not path.exists():
        return results, f"{path} is not there\n"
    for line in path.read_text(errors="replace").splitlines():
        entry = json.loads(line)
        if only not in entry["name"]:
            continue
        program = entry["name"].split(":")[-1].strip().split(" / ")[-1]
        found = [Result(f"{program} {r.name}", r.outcome, r.detail) for r in parse(entry.get("stdout", ""))]
        good = entry["result"] in ("OK", "SKIP", "EXPECTEDFAIL")
        if not good and not any(r.outcome == FAILED for r in found):
            found.append(Result(program, FAILED, f"{entry['result']}, exit code {entry.get('returncode')}"))
        if good and not found:
            found.append(Result(program, FAILED, "it said ok without a single test"))
        if any(r.outcome == FAILED for r in found):
            output.append(f"== {program}\n{without_passed(entry.get('stdout', ''))[-8000:]}\n{entry.get('stderr', '')[-8000:]}")
        results += found
    return results, "\n".join(output)
