#!/bin/sh
# Runs the validation programs of opencontainers/runtime-tools against berth-runtime, each in the checkout's directory
# (where they look for runtimetest and rootfs-*.tar.gz). A program passes if its TAP output holds no "not ok" and it ended
# with 0: some (the hooks' ones) plan no tests and only speak when something is wrong.
#   run-runtime-tools.sh RUNTIME_TOOLS_CHECKOUT [RUNTIME] [PROGRAM_PATTERN]
# Build them before: make runtimetest validation-executables (Go >= 1.21). Results in $OUT (default: CHECKOUT/../rt-results).
set -u
suite=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")/../.." && pwd)
RUNTIME=${2:-$here/build/berth-runtime}
pattern=${3:-}
out=${OUT:-$suite/../rt-results}
mkdir -p "$out"
out=$(cd "$out" && pwd)
export RUNTIME
cd "$suite" || exit 1
total=0
passed=0
for program in validation/*${pattern}*/*.t; do
  name=$(basename "$program" .t)
  timeout "${TIMEOUT:-60}" "$program" > "$out/$name.tap" 2> "$out/$name.err" < /dev/null
  code=$?
  bad=$(grep -c '^ *not ok ' "$out/$name.tap")
  good=$(grep -c '^ok ' "$out/$name.tap")
  skipped=$(grep -c '^ok .*# SKIP' "$out/$name.tap")
  total=$((total + 1))
  verdict=FAIL
  if [ "$code" -eq 0 ] && [ "$bad" -eq 0 ]; then
    verdict=ok
    passed=$((passed + 1))
  fi
  printf '%-5s%-44s ok %3d  not ok %2d  skip %2d  exit %d\n' "$verdict" "$name" "$good" "$bad" "$skipped" "$code"
done
echo "passed $passed of $total"
