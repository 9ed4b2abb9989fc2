#!/bin/sh
# First process of the lane's machine: mounts, modules, then each step under a time limit, then power off.
export PATH=/bin HOME=/root
if [ ! -e /moved ]; then
  # The first file system cannot be pivoted away from, as containers must.
  /bin/busybox --install -s /bin
  mkdir /new
  mount -t tmpfs tmpfs /new
  cp -a /bin /dev /etc /init /mnt /modules /proc /root /run /steps /sys /tmp /var /new/
  touch /new/moved
  exec switch_root /new /init
fi
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
# Kernel messages would break the lines of the protocol.
echo 1 >/proc/sys/kernel/printk
for module in /modules/*.ko; do insmod "$module" || echo "insmod $module failed"; done
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; sleep 0.1; done
echo "@@ up"
for step in /steps/*.sh; do
  name=$(basename "$step" .sh)
  echo "@@ begin $name"
  timeout -s KILL 150 sh "$step" 2>&1 </dev/null
  echo "@@ end $name $?"
done
echo "@@ done"
sync
poweroff -f
