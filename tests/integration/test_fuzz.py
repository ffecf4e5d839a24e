# SPDX-License-Identifier: Apache-2.0
"""Every fuzz target reads its corpus and searches on from it for some seconds (TL_TEST_FULL=1: a minute, and elsewhere)."""
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "runner"))
import tap  # noqa: E402

FUZZ = TESTS / "fuzz"
FULL = os.environ.get("TL_TEST_FULL") == "1"
CORPUS_FILES, CORPUS_BYTES = 30, 100 * 1024


def missing():
    """What of data/packages.txt [test] is not installed, for the skip's reason."""
    if not shutil.which("clang"):
        return "clang is not installed"
    folder = subprocess.run(["clang", "-print-runtime-dir"], capture_output=True, text=True).stdout.strip()
    if not folder or not list(pathlib.Path(folder).glob("libclang_rt.fuzzer*")):
        return "libclang-rt is not installed"
    return ""


def names():
    return sorted(path.stem[len("fuzz-"):] for path in FUZZ.glob("fuzz-*.c"))


class Corpora(unittest.TestCase):
    def test_every_target_has_a_small_corpus_and_a_dictionary(self):
        for name in names():
            with self.subTest(name):
                files = [path for path in (FUZZ / "corpus" / name).iterdir() if path.is_file()]
                self.assertIn(len(files), range(1, CORPUS_FILES))
                self.assertLess(sum(path.stat().st_size for path in files), CORPUS_BYTES)
                self.assertTrue((FUZZ / f"{name}.dict").read_text().count("\n") > 1)


@unittest.skipIf(missing(), missing())
class Fuzz(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        variables = dict(os.environ, TL_FUZZ_SEED="0") if FULL else dict(os.environ)
        arguments = ["60"] if FULL else []
        done = subprocess.run([str(FUZZ / "run-short.sh"), *arguments], env=variables, capture_output=True, text=True,
                              errors="replace", timeout=1800 if FULL else 400)
        cls.output = done.stdout + done.stderr
        cls.code = done.returncode
        cls.results = {result.name: result.outcome for result in tap.parse(done.stdout)}

    def test_all_ran(self):
        self.assertEqual(sorted(self.results), [f"fuzz/{name}" for name in names()], self.output[-8000:])
        self.assertEqual(self.code, 0, self.output[-8000:])


def add(name):
    def test(self):
        self.assertEqual(self.results.get(f"fuzz/{name}"), tap.PASSED, self.output[-8000:])
    setattr(Fuzz, "test_" + name.replace("-", "_"), test)


for target in names():
    add(target)


if __name__ == "__main__":
    unittest.main()
