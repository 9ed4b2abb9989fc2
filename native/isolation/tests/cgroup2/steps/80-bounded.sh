# The snapshotter's own writable layers, with a bound.
. /bin/support.sh
use_tools
mount -t ext4 -o prjquota /dev/vdb /mnt/ext4
mount -t xfs -o pquota /dev/vdc /mnt/xfs
for at in /mnt/ext4 /mnt/xfs; do
  mkdir $at/work
  BERTH_ISOLATION_ADDON=/tools/isolation.node node /tools/bounded.mjs $at/work
  [ -z "$(ls $at/work)" ] || fail "something is left in $at: $(ls $at/work)"
  umount $at
done
