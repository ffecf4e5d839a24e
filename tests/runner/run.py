# SPDX-License-Identifier: Apache-2.0
"""Runs every check of the checkout and counts: lint, both builds, unit tests, integration tests.

Prints one line a stage, the whole output of whatever failed, and as its last line "N passed, N failed".
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import lint
import tap

ROOT = pathlib.Path(__file__).resolve().parents[2]
INTEGRATION = ROOT / "tests" / "integration"
# Integration files that run against the ASan + UBSan build too (a daemon or node that leaks or trips exits non-zero there).
SANITIZED = ["test_main_job", "test_lifecycle", "test_admission", "test_pairing_security"]
SANITIZED_FULL = ["test_devices", "test_journal", "test_kill", "test_operators", "test_requests", "test_restore", "test_snapshot"]
UNIT_TIMEOUT_S = 1200
BUILD_TIMEOUT_S = 900
TRIXIE_TIMEOUT_S = 3600  # the first run installs a Debian


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []

    def add(self, stage, results, output="", seconds=0.0):
        """results: tap.Result list of one stage; output is shown when one of them failed."""
        failed = [r for r in results if r.outcome == tap.FAILED]
        skipped = [r for r in results if r.outcome == tap.SKIPPED]
        self.passed += len(results) - len(failed) - len(skipped)
        self.failed += [(stage, r) for r in failed]
        self.skipped += [(stage, r) for r in skipped]
        print(f"{'FAIL' if failed else 'ok  '} {stage}: {len(results) - len(failed) - len(skipped)} passed, "
              f"{len(failed)} failed{f', {len(skipped)} skipped' if skipped else ''} ({seconds:.1f} s)", flush=True)
        if failed and output:
            print("-" * 20, stage, "-" * 20, flush=True)
            print(output.rstrip(), flush=True)
            print("-" * (42 + len(stage)), flush=True)

    def close(self):
        for stage, result in self.skipped:
            print(f"skipped: {stage}: {result.name}: {result.detail}")
        for stage, result in self.failed:
            print(f"failed: {stage}: {result.name}{': ' + result.detail if result.detail else ''}")
        if self.passed + len(self.failed) == 0:
            self.failed.append(("all", tap.Result("nothing ran", tap.FAILED, "")))
        tail = f", {len(self.skipped)} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {len(self.failed)} failed{tail}", flush=True)
        return 1 if self.failed else 0


def run(command, timeout, env=None):
    """Runs in a process group of its own, so that a timeout ends its children too. Returns (code, output)."""
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        output, _ = process.communicate(timeout=timeout)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return 124, output + f"\n(ended: it took longer than {timeout} s)\n"


def build(tally, name, folder, options):
    start = time.monotonic()
    command = ["/usr/bin/meson", "setup", str(folder), str(ROOT), "-Dwerror=true", *options]
    if (folder / "build.ninja").exists():
        command.insert(2, "--reconfigure")
    code, output = run(command, BUILD_TIMEOUT_S)
    if code == 0:
        code, more = run(["/usr/bin/ninja", "-C", str(folder)], BUILD_TIMEOUT_S)
        output = "\n".join(output.splitlines()[-40:]) + "\n" + more
    outcome = tap.PASSED if code == 0 else tap.FAILED
    tally.add(name, [tap.Result("builds without a warning", outcome, "")], "\n".join(output.splitlines()[-120:]),
              time.monotonic() - start)
    return code == 0


def unit(tally, name, folder, arguments):
    start = time.monotonic()
    command = ["/usr/bin/meson", "test", "-C", str(folder), "--no-rebuild", "--num-processes", str(arguments.jobs)]
    if arguments.full:
        command += ["--timeout-multiplier", "10"]
    code, output = run(command, UNIT_TIMEOUT_S * (10 if arguments.full else 1), dict(os.environ, **test_environment(
        folder, arguments)))
    results, detail = tap.from_meson_log(folder / "meson-logs" / "testlog.json", arguments.only)
    if not results and not arguments.only:
        results = [tap.Result("unit tests", tap.FAILED, "none ran")]
    if code != 0 and not any(r.outcome == tap.FAILED for r in results) and not arguments.only:
        results.append(tap.Result("meson test", tap.FAILED, f"exit code {code}"))
        detail += output
    tally.add(name, results, detail, time.monotonic() - start)


def test_environment(folder, arguments):
    variables = {"TL_BUILD_DIR": str(folder), "TL_SOURCE_DIR": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    if arguments.full:
        variables["TL_TEST_FULL"] = "1"
    return variables


def integration(tally, name, folder, files, arguments):
    def one(path):
        start = time.monotonic()
        limit = arguments.timeout * (6 if arguments.full else 1)
        code, output = run(["/usr/bin/python3", "-B", str(ROOT / "tests" / "runner" / "unittest_tap.py"), str(path)], limit,
                           dict(os.environ, **test_environment(folder, arguments)))
        results = tap.parse(output)
        if code != 0 and not any(r.outcome == tap.FAILED for r in results):
            results.append(tap.Result(path.stem, tap.FAILED, "timed out" if code == 124 else f"exit code {code}"))
        if not results:
            results.append(tap.Result(path.stem, tap.FAILED, "no test in it ran"))
        return path, results, output, time.monotonic() - start

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(one, path) for path in files]):
            path, results, output, seconds = done.result()
            tally.add(f"{name}/{path.stem}", results, tap.without_passed(output), seconds)


def install_test(tally, folder):
    start = time.monotonic()
    target = folder / "install-root"
    shutil.rmtree(target, ignore_errors=True)
    code, output = run(["/usr/bin/meson", "install", "-C", str(folder), "--no-rebuild", "--destdir", str(target)],
                       BUILD_TIMEOUT_S)
    tally.add("install", [tap.Result("meson install", tap.PASSED if code == 0 else tap.FAILED, "")], output,
              time.monotonic() - start)


def trixie(tally):
    """The checkout in Debian 13, with OpenSSL's TLS for QUIC; tests/trixie.sh."""
    start = time.monotonic()
    code, output = run([str(ROOT / "tests" / "trixie.sh")], TRIXIE_TIMEOUT_S)
    results = tap.parse(output)
    if not results:
        skipped = output.strip().startswith("1..0 # SKIP")
        results = [tap.Result("Debian 13", tap.SKIPPED if skipped else tap.FAILED, output.strip().partition("# SKIP ")[2])]
    elif code != 0 and not any(r.outcome == tap.FAILED for r in results):
        results.append(tap.Result("trixie.sh", tap.FAILED, f"exit code {code}"))
    tally.add("trixie", results, tap.without_passed(output), time.monotonic() - start)


def main():
    parser = argparse.ArgumentParser(prog="tests/run.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="long counts as well")
    parser.add_argument("--only", default="", metavar="WORD", help="stages, unit tests and files whose name contains WORD")
    parser.add_argument("--no-asan", action="store_true", help="leave the sanitizer build out")
    parser.add_argument("--jobs", type=int, default=2, help="test processes at a time (2)")
    parser.add_argument("--timeout", type=int, default=420, help="seconds for one integration file (420)")
    arguments = parser.parse_args()

    builds = pathlib.Path(os.environ.get("TL_BUILD_ROOT", ROOT))
    plain, sanitized = builds / "build", builds / "build-asan"
    files = sorted(INTEGRATION.glob("test_*.py"))
    chosen = [f for f in files if arguments.only in f.stem]
    tally = Tally()

    if arguments.only in "lint":
        start = time.monotonic()
        results = lint.check(ROOT)
        tally.add("lint", results, "\n".join(r.detail for r in results if r.outcome == tap.FAILED),
                  time.monotonic() - start)
    if build(tally, "build", plain, []):
        if arguments.only in "install" or any("install" in f.stem for f in chosen):
            install_test(tally, plain)
        unit(tally, "unit", plain, arguments)
        integration(tally, "integration", plain, chosen, arguments)
    if not arguments.no_asan and build(tally, "build-asan", sanitized, [
            "-Db_sanitize=address,undefined", "-Db_lundef=false"]):
        unit(tally, "unit-asan", sanitized, arguments)
        names = SANITIZED + (SANITIZED_FULL if arguments.full else [])
        integration(tally, "integration-asan", sanitized, [f for f in chosen if f.stem in names], arguments)
    if arguments.full and arguments.only in "trixie":
        trixie(tally)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
