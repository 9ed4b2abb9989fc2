# create, start, exec, pause, resume, kill, delete.
. /bin/support.sh
make_bundle /tmp/second sleep 1000
cd /tmp/second
berth-runtime create second >/dev/null </dev/null 2>&1
berth-runtime start second
status=0
out=$(berth-runtime exec second sh -c 'cat /proc/self/cgroup; exit 5') || status=$?
[ "$status" = 5 ] || fail "exec gave $status, not 5: $out"
[ "$out" = "0::/" ] || fail "exec's group: $out"
berth-runtime pause second
grep -q 'frozen 1' /sys/fs/cgroup/lane/second/cgroup.events || fail "not frozen"
berth-runtime resume second
grep -q 'frozen 0' /sys/fs/cgroup/lane/second/cgroup.events || fail "still frozen"
berth-runtime state second | grep -q running || fail "not running"
berth-runtime kill second KILL
for _ in $(seq 50); do berth-runtime state second | grep -q stopped && break; sleep 0.1; done
berth-runtime delete second
[ ! -e /sys/fs/cgroup/lane/second ] || fail "its group is left"
