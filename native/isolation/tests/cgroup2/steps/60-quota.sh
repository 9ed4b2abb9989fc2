# What a writable layer may take, on the two file systems that can bound it.
. /bin/support.sh
mkdir -p /mnt/ext4 /mnt/xfs
mount -t ext4 -o prjquota /dev/vdb /mnt/ext4
mount -t xfs -o pquota /dev/vdc /mnt/xfs
mkdir /mnt/ext4/base /mnt/xfs/base
BERTH_TEST_QUOTA_DIRS=/mnt/ext4/base:/mnt/xfs/base berth-root-tests -tc='project quotas*' | tee /tmp/quota.out
grep -q 'Status: SUCCESS' /tmp/quota.out || fail "the tests"
for at in /mnt/ext4 /mnt/xfs; do
  [ -z "$(ls $at/base)" ] || fail "something is left in $at"
  umount $at
done
