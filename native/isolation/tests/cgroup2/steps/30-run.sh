# A container from start to end, its group and its limits seen from inside.
. /bin/support.sh
RESOURCES='{ "memory": { "limit": 33554432 }, "pids": { "limit": 20 }, "cpu": { "quota": 50000, "period": 100000 } }'
make_bundle /tmp/first sh -c 'cat /proc/self/cgroup; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max; exit 7'
status=0
out=$(cd /tmp/first && berth-runtime run first) || status=$?
echo "$out"
[ "$status" = 7 ] || fail "exit status $status, not 7"
[ "$out" = "0::/
33554432
20
50000 100000" ] || fail "what the container saw"
[ ! -e /sys/fs/cgroup/lane/first ] || fail "its group is left"
