#!/bin/sh
# Runs the Python test suite of crun (its tests/ directory) against berth-runtime and sums up the TAP output.
#   run-crun-suite.sh CRUN_CHECKOUT [RUNTIME] [TEST_FILE_PATTERN]
# The checkout is not part of this repository. Results are left in $OUT (default: CRUN_CHECKOUT/../crun-results).
set -u
suite=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")/../.." && pwd)
runtime=${2:-$here/build/berth-runtime}
pattern=${3:-}
out=${OUT:-$suite/../crun-results}
mkdir -p "$out/include"
: > "$out/include/config.h"
init=$out/init
gcc -static -O1 -DHAVE_SECCOMP -DHAVE_LINUX_IOPRIO_H -I "$out/include" -I "$suite/src" -o "$init" "$suite/tests/init.c" || exit 1
export OCI_RUNTIME="$runtime" INIT="$init" LANG=C
frozen=/sys/fs/cgroup/freezer/frozen
[ -d "$frozen" ] && had_frozen=1 || had_frozen=
cd "$suite/tests" || exit 1
for file in test_*${pattern}*.py; do
  timeout "${TIMEOUT:-120}" python3 "$file" > "$out/$file.tap" 2> "$out/$file.err" < /dev/null
  code=$?
  plan=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$out/$file.tap" | head -1)
  good=$(grep -c '^ok ' "$out/$file.tap")
  skip=$(grep -ci '^ok .*#SKIP' "$out/$file.tap")
  bad=$(grep -c '^not ok ' "$out/$file.tap")
  printf '%-32s plan %3s  passed %3d  skipped %3d  failed %3d  exit %d\n' "$file" "${plan:-?}" $((good - skip)) "$skip" "$bad" "$code"
done
# test_delete.py freezes a group of its own and leaves it so, with what runs in it.
if [ -z "$had_frozen" ] && [ -d "$frozen" ]; then
  xargs -r kill -KILL < "$frozen/cgroup.procs"
  echo THAWED > "$frozen/freezer.state"
  for _ in 1 2 3 4 5 6 7 8 9 10; do rmdir "$frozen" 2>/dev/null && break; sleep 0.1; done
fi
echo
cat "$out"/test_*.tap | awk '
  /^1\.\./ { sub("1..", ""); plan += $1 }
  /^ok / { if (tolower($0) ~ /#skip/) skip++; else good++ }
  /^not ok / { bad++ }
  END { printf "planned %d passed %d skipped %d failed %d not reached %d\n", plan, good, skip, bad, plan - good - skip - bad }'
