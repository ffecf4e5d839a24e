#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds (plainly and with ASan + UBSan), runs every test. Last line: "N passed, N failed".
#   --full       long counts as well (TL_TEST_FULL=1)
#   --only WORD  only stages, unit tests and integration files whose name contains WORD
#   --help       all options
# Build folders: build/ and build-asan/ in the checkout, or below $TL_BUILD_ROOT.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/data/install-packages.sh"
case " $* " in
  *' --help '* | *' -h '*) ;;
  *) tl_install_packages "$root/data/packages.txt" build test || { echo "0 passed, 1 failed"; exit 1; } ;;
esac
exec /usr/bin/python3 -B "$root/tests/runner/run.py" "$@"
