# What the steps share.
set -eu
NO_RESOURCES='{}'

fail() {
  echo "FAILED: $*"
  exit 1
}

# Node, runc and crun, with their libraries where they look for them.
use_tools() {
  if [ ! -d /tools ]; then
    mkdir /tools
    mount -t ext4 -o ro /dev/vdd /tools
    ln -s /tools/lib /lib
    ln -s /tools/lib64 /lib64
  fi
  export PATH="/tools/bin:$PATH"
}

# A bundle in $1 whose process is the rest of the arguments, with a busybox root file system and $RESOURCES (JSON).
make_bundle() {
  bundle=$1
  shift
  mkdir -p "$bundle/rootfs/bin" "$bundle/rootfs/proc" "$bundle/rootfs/dev" "$bundle/rootfs/sys" "$bundle/rootfs/tmp"
  cp /bin/busybox "$bundle/rootfs/bin/busybox"
  for name in sh cat echo sleep id ls dd head true mknod ps grep; do ln -sf busybox "$bundle/rootfs/bin/$name"; done
  : "${RESOURCES:=$NO_RESOURCES}"
  args=
  for word in "$@"; do args="$args${args:+,}\"$word\""; done
  cat >"$bundle/config.json" <<END
{ "ociVersion": "1.2.0",
  "process": { "terminal": false, "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": [$args],
    "env": ["PATH=/bin"], "noNewPrivileges": true,
    "capabilities": { "bounding": ["CAP_KILL", "CAP_MKNOD"], "effective": ["CAP_KILL", "CAP_MKNOD"], "permitted": ["CAP_KILL", "CAP_MKNOD"] } },
  "root": { "path": "rootfs" }, "hostname": "lane",
  "mounts": [
    { "destination": "/proc", "type": "proc", "source": "proc" },
    { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"] },
    { "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666", "mode=0620"] },
    { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid", "noexec", "nodev"] } ],
  "linux": { "cgroupsPath": "/lane/$(basename "$bundle")", "resources": $RESOURCES,
    "namespaces": [ { "type": "pid" }, { "type": "mount" }, { "type": "uts" }, { "type": "ipc" }, { "type": "network" }, { "type": "cgroup" } ] } }
END
}
