# SPDX-License-Identifier: Apache-2.0
"""Checks of the checkout itself: layout, lengths, licence lines, clang-format, nothing left open. Each rule has a sample that
fires it (self_test), so that a rule that stopped working is noticed."""
import re
import subprocess

import tap

TOP_LEVEL = {"meson.build", "meson_options.txt", "README.md", "LICENSE", "daemon", "agent", "ui", "shared", "data", "po", "tests"}
MAX_LINES = 800
SOURCE = (".c", ".h", ".proto", ".py", ".sh", ".go")
OPEN = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")


def listed(root):
    """Tracked files and new ones that are not ignored; without git (a tarball) everything but build folders."""
    try:
        git = subprocess.run(["git", "-c", f"safe.directory={root}", "ls-files", "-co", "--exclude-standard"], cwd=root,
                             capture_output=True, text=True, check=True)
        names = git.stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        relative = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]
        names = [n for n in relative if not n.startswith(("build", ".git/")) and "__pycache__" not in n]
    return sorted(n for n in names if (root / n).is_file())


def layout(name):
    top = name.split("/")[0]
    if not top.startswith(".") and top not in TOP_LEVEL:
        return f"{name}: '{top}' is not part of the agreed top level"


def length(name, text):
    lines = text.count("\n")
    if name.endswith(SOURCE) and lines > MAX_LINES:
        return f"{name}: {lines} lines, more than {MAX_LINES}"


def licence(name, text):
    if name.endswith(SOURCE + ("meson.build",)) and "SPDX-License-Identifier: Apache-2.0" not in text[:300]:
        return f"{name}: no SPDX-License-Identifier line"


def left_open(name, text):
    if name.endswith(SOURCE):
        match = OPEN.search(text)
        if match:
            return f"{name}:{text[:match.start()].count(chr(10)) + 1}: {match.group(0)} left in the code"


def forbidden(name, text):
    """Project rules that a compiler does not know."""
    if name.endswith((".c", ".h")) and not name.startswith("shared/base/tl-queue"):
        match = re.search(r"\b(GMutex|GAsyncQueue|GRWLock|GCond)\b(?! \()", re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S))
        if match:
            return f"{name}: {match.group(0)}: shared data takes pthread mutexes or TlQueue (false races under TSan otherwise)"


def translated(texts):
    """Every source with strings for people is in po/POTFILES.in, and nothing else."""
    marked = {n for n, t in texts.items() if n.endswith(".c") and not n.startswith("tests/") and re.search(r"\bN?_ \(\"", t)}
    listed = {line for line in texts.get("po/POTFILES.in", "").splitlines() if line and not line.startswith("#")}
    for name in sorted(marked ^ listed):
        yield f"po/POTFILES.in: {name} is {'missing' if name in marked else 'no file with strings for people'}"


def clang_format(root, names):
    sources = [n for n in names if n.endswith((".c", ".h"))]
    if not sources:
        return "no C file found"
    found = subprocess.run(["clang-format", "--dry-run", "--Werror", "--style=file", *sources], cwd=root,
                           capture_output=True, text=True)
    if found.returncode != 0:
        wrong = sorted(set(re.findall(r"^([^:\n]+):\d+:\d+: error", found.stderr, flags=re.M)))
        return "run clang-format -i on: " + (" ".join(wrong) or found.stderr[-2000:])


def self_test():
    assert layout("bin/x.c") and not layout("daemon/x.c") and not layout(".ci/run")
    assert length("a.c", "\n" * (MAX_LINES + 1)) and not length("a.c", "\n" * MAX_LINES)
    assert licence("a.c", "int x;") and not licence("a.c", "/* SPDX-License-Identifier: Apache-2.0 */")
    assert left_open("a.c", "/* TO" + "DO */") and not left_open("a.c", "/* done */")
    texts = {"a.c": '_ ("x")', "po/POTFILES.in": "b.c\\n"}
    assert len(list(translated(texts))) == 2
    assert forbidden("a.c", "GMutex lock;") and not forbidden("a.c", "/* not a GMutex */ pthread_mutex_t lock;")


def check(root):
    self_test()
    names = listed(root)
    texts = {n: (root / n).read_text(errors="replace") for n in names if n.endswith(SOURCE + ("meson.build", "POTFILES.in"))}
    rules = {
        "top level": [layout(n) for n in names],
        "file length": [length(n, t) for n, t in texts.items()],
        "licence lines": [licence(n, t) for n, t in texts.items()],
        "nothing left open": [left_open(n, t) for n, t in texts.items()],
        "project rules": [forbidden(n, t) for n, t in texts.items()],
        "translations": list(translated(texts)),
        "clang-format": [clang_format(root, names)],
    }
    results = []
    for name, findings in rules.items():
        findings = [f for f in findings if f]
        results.append(tap.Result(name, tap.FAILED if findings else tap.PASSED, "\n".join(findings)))
    return results
