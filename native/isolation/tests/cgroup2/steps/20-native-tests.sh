# The same tests that run on the host's control groups.
. /bin/support.sh
berth-root-tests
left=$(find /sys/fs/cgroup -name 'berth-test*')
[ -z "$left" ] || fail "groups are left: $left"
