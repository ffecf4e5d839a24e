# SPDX-License-Identifier: Apache-2.0
"""Runs the unittest cases of one file and prints TAP: unittest_tap.py FILE [TEST_NAME_PART...]"""
import importlib.util
import pathlib
import sys
import time
import traceback
import unittest


class TapResult(unittest.TestResult):
    def __init__(self, total):
        super().__init__()
        self.number, self.good = 0, True
        print(f"1..{total}", flush=True)

    def line(self, test, ok, directive="", error=None):
        self.number += 1
        self.good = self.good and ok
        name = test.id().split(".", 1)[-1].replace("#", "")
        print(f"{'ok' if ok else 'not ok'} {self.number} {name}{directive}", flush=True)
        if error is not None:
            for text in "".join(traceback.format_exception(*error)).splitlines():
                print("# " + text, flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.subtests_failed = []
        self.started = time.monotonic()

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.subtests_failed.append((subtest, err))

    def stopTest(self, test):
        # unittest calls addSuccess only when no subtest failed, so a test with failed subtests has had no line yet.
        if self.subtests_failed:
            self.line(test, False, error=self.subtests_failed[0][1])
            for subtest, _ in self.subtests_failed:
                print(f"# failed part: {subtest}", flush=True)
        print(f"# {time.monotonic() - self.started:.2f} s {test.id()}", flush=True)
        super().stopTest(test)

    def addSuccess(self, test):
        self.line(test, True)

    def addFailure(self, test, err):
        self.line(test, False, error=err)

    def addError(self, test, err):
        self.line(test, False, error=err)

    def addSkip(self, test, reason):
        self.line(test, True, f" # SKIP {reason}")

    def addExpectedFailure(self, test, err):
        self.line(test, False, error=err)

    def addUnexpectedSuccess(self, test):
        self.line(test, False)


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def main():
    path, words = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    loaded = unittest.defaultTestLoader.loadTestsFromModule(module)
    if words:
        loaded = unittest.TestSuite(t for t in flatten(loaded) if any(w in t.id() for w in words))
    result = TapResult(loaded.countTestCases())
    loaded.run(result)
    return 0 if result.good and result.number else 1


if __name__ == "__main__":
    sys.exit(main())
