# Limits that end or stop what a container does.
. /bin/support.sh
RESOURCES='{ "memory": { "limit": 16777216, "swap": 16777216 } }'
make_bundle /tmp/third sh -c 'dd if=/dev/zero of=/dev/null bs=64M count=1; echo dd gave $?'
out=$(cd /tmp/third && berth-runtime run third 2>&1) || true
echo "memory: $out"
case $out in *"dd gave 137"*) ;; *) fail "the memory limit is not enforced" ;; esac
RESOURCES='{}'
make_bundle /tmp/fourth sh -c 'mknod /dev/kmsg2 c 1 11 && dd if=/dev/kmsg2 of=/dev/null bs=8192 count=1 2>&1; echo ok >/dev/null && echo null works'
out=$(cd /tmp/fourth && berth-runtime run fourth) || true
echo "devices: $out"
case $out in *"not permitted"*"null works"*) ;; *) fail "the device program" ;; esac
rmdir /sys/fs/cgroup/lane
[ -z "$(find /sys/fs/cgroup -mindepth 1 -type d)" ] || fail "groups are left"
