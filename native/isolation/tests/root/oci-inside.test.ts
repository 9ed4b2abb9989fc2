// What a container sees: namespaces, mounts, masks, devices, users, capabilities, seccomp, limits.
import { chmod, lstat, mkdir, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bed, type Config } from "./oci-bed.ts";

let bed: Bed;
beforeAll(async () => {
  bed = await Bed.open();
});
afterAll(() => bed.close());

const without = (type: string) => (config: Config) => {
  config.linux.namespaces = config.linux.namespaces.filter((one) => one.type !== type);
};

describe("namespaces", () => {
  for (const [type, link] of [
    ["pid", "pid"],
    ["network", "net"],
    ["ipc", "ipc"],
    ["uts", "uts"],
    ["cgroup", "cgroup"],
  ] as const)
    test(`${type}: its own, or the host's`, async () => {
      const host = await readlink(`/proc/self/ns/${link}`);
      const own = await bed.sh(`readlink /proc/self/ns/${link}`);
      expect(own).toMatchObject({ code: 0, err: "" });
      expect(own.out.trim()).not.toBe(host);
      expect((await bed.sh(`readlink /proc/self/ns/${link}`, without(type))).out.trim()).toBe(host);
    });

  test("joined by path", async () => {
    const id = await bed.start((config) => {
      config.process.args = ["sleep", "100"];
    });
    const { pid } = await bed.state(id);
    const theirs = await readlink(`/proc/${pid}/ns/net`);
    const out = await bed.sh("readlink /proc/self/ns/net; readlink /proc/self/ns/pid", (config) => {
      for (const one of config.linux.namespaces) {
        if (one.type === "network") one.path = `/proc/${pid}/ns/net`;
        if (one.type === "pid") one.path = `/proc/${pid}/ns/pid`;
      }
    });
    expect(out.out.trim().split("\n")).toEqual([theirs, await readlink(`/proc/${pid}/ns/pid`)]);
  });

  test("user: ids are shifted, a joined network stays reachable", async () => {
    const mapping = [{ containerID: 0, hostID: 100000, size: 65536 }];
    const shift = (config: Config) => {
      config.linux.namespaces.push({ type: "user" });
      Object.assign(config.linux, { uidMappings: mapping, gidMappings: mapping });
    };
    const result = await bed.sh(
      "id -u; cat /proc/self/uid_map; ls -ln /bin/busybox | grep -c 65534; echo x > /dev/null",
      shift,
    );
    expect(result).toMatchObject({ code: 0, err: "" });
    expect(result.out.replace(/ +/g, " ")).toBe("0\n 0 100000 65536\n1\n");
  });

  test("hostname and domainname", async () => {
    const result = await bed.sh("hostname; cat /proc/sys/kernel/domainname", (config) => {
      config.hostname = "inside";
      config.domainname = "example.org";
    });
    expect(result.out).toBe("inside\nexample.org\n");
  });
});

describe("mounts and paths", () => {
  test("masked files are empty, masked directories too, read-only paths refuse", async () => {
    const result = await bed.sh(
      "wc -c < /proc/uptime; ls /proc/tty | wc -l; echo 1 > /proc/sys/kernel/shmmni",
      (config) => {
        config.linux["maskedPaths"] = ["/proc/uptime", "/proc/tty", "/not/there"];
      },
    );
    expect(result.out).toBe("0\n0\n");
    expect(result.err).toContain("Read-only file system");
  });

  test("binds keep their options and see only their source", async () => {
    await mkdir(join(bed.directory, "data"), { recursive: true });
    await writeFile(join(bed.directory, "data/file"), "content");
    const result = await bed.sh("cat /data/file /one; touch /data/x; grep ' /data ' /proc/self/mountinfo", (config) => {
      config.mounts.push(
        { destination: "/data", type: "bind", source: join(bed.directory, "data"), options: ["rbind", "ro", "nosuid"] },
        { destination: "/one", type: "bind", source: "data/file", options: ["bind"] },
      );
    });
    expect(result.out).toContain("contentcontent");
    expect(result.out).toMatch(/ \/data ro,nosuid/);
    expect(result.err).toContain("Read-only file system");
    await rm(join(bed.rootfs, "one"), { force: true });
  });

  test("a destination through the image's links stays inside the image", async () => {
    await symlink("/../../../../../../tmp/berth-escape", join(bed.rootfs, "trap"));
    const result = await bed.sh("grep -c ' /tmp/berth-escape/in ' /proc/self/mountinfo", (config) => {
      config.mounts.push({ destination: "/trap/in", type: "tmpfs", source: "tmpfs", options: ["size=4k"] });
    });
    expect(result).toMatchObject({ code: 0, out: "1\n" });
    await expect(lstat("/tmp/berth-escape")).rejects.toThrow();
    await rm(join(bed.rootfs, "trap"));
  });

  test("a /dev that is a link is refused", async () => {
    await rm(join(bed.rootfs, "dev"), { recursive: true });
    await symlink("/tmp", join(bed.rootfs, "dev"));
    const result = await bed.sh("true", (config) => {
      config.mounts = config.mounts.slice(0, 1);
    });
    await rm(join(bed.rootfs, "dev"));
    await mkdir(join(bed.rootfs, "dev"));
    expect(result.code).toBe(1);
    expect(result.err).toContain("/dev: a symbolic link");
  });

  test("tmpcopyup shows what it covers; a read-only root refuses", async () => {
    await mkdir(join(bed.rootfs, "etc/deep"), { recursive: true });
    await writeFile(join(bed.rootfs, "etc/deep/a"), "A");
    const result = await bed.sh("cat /etc/deep/a; touch /etc/new; touch /new; rm -r /etc/deep", (config) => {
      config.root.readonly = true;
      config.mounts.push({ destination: "/etc", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] });
    });
    expect(result.out).toBe("A");
    expect(result.err.trim()).toBe("touch: /new: Read-only file system");
  });

  test("control groups are visible, and only one's own", async () => {
    const result = await bed.sh("ls /sys/fs/cgroup; cat /proc/self/cgroup; mkdir /sys/fs/cgroup/x", (config) => {
      config.mounts.push({
        destination: "/sys/fs/cgroup",
        type: "cgroup",
        source: "cgroup",
        options: ["ro", "nosuid"],
      });
    });
    expect(result.out).not.toContain("berth-oci-test");
    expect(result.err).toContain("Read-only file system");
  });

  test("devices", async () => {
    const result = await bed.sh(
      "stat -c '%n %t:%T %a %u' /dev/null /dev/tty /dev/mine; readlink /dev/ptmx; readlink /dev/fd",
      (config) => {
        config.linux["devices"] = [{ path: "/dev/mine", type: "c", major: 1, minor: 5, fileMode: 0o640, uid: 7 }];
      },
    );
    expect(result.out).toBe("/dev/null 1:3 666 0\n/dev/tty 5:0 666 0\n/dev/mine 1:5 640 7\npts/ptmx\n/proc/self/fd\n");
  });
});

describe("the process", () => {
  test("capabilities and no_new_privs", async () => {
    const status = "grep -E 'Cap(Prm|Bnd|Amb)|NoNew' /proc/self/status";
    const result = await bed.sh(status, (config) => {
      config.process["noNewPrivileges"] = true;
      config.process["capabilities"] = Object.fromEntries(
        ["bounding", "effective", "permitted", "inheritable", "ambient"].map((set) => [set, ["CAP_KILL"]]),
      );
      config.process["user"] = { uid: 1000, gid: 1000 };
    });
    expect(result.out.match(/0000000000000020/g)).toHaveLength(3);
    expect(result.out).toContain("NoNewPrivs:\t1");
    const unknown = await bed.sh("true", (config) => {
      config.process["capabilities"] = { bounding: ["CAP_FLY"] };
    });
    expect(unknown.err).toContain("CAP_FLY");
  });

  test("seccomp", async () => {
    for (const noNewPrivileges of [true, false]) {
      const result = await bed.sh("mkdir /tmp/denied; echo $?", (config) => {
        config.process["noNewPrivileges"] = noNewPrivileges;
        config.linux["seccomp"] = {
          defaultAction: "SCMP_ACT_ALLOW",
          architectures: ["SCMP_ARCH_X86_64"],
          syscalls: [{ names: ["mkdir", "mkdirat", "no_such_call"], action: "SCMP_ACT_ERRNO", errnoRet: 13 }],
        };
      });
      expect(result).toMatchObject({ code: 0, out: "1\n" });
      expect(result.err).toContain("Permission denied");
    }
  });

  test("rlimits, umask, groups, cwd, oom score, HOME", async () => {
    await writeFile(join(bed.rootfs, "etc/passwd"), "web:x:33:44::/srv/web:/bin/sh\n");
    const result = await bed.sh("ulimit -n; umask; id; pwd; cat /proc/self/oom_score_adj; echo $HOME", (config) => {
      config.process.cwd = "/made/up";
      Object.assign(config.process, {
        rlimits: [{ type: "RLIMIT_NOFILE", soft: 77, hard: 88 }],
        user: { uid: 33, gid: 44, umask: 0o27, additionalGids: [5, 6] },
        oomScoreAdj: 321,
      });
    });
    expect(result.out).toBe("77\n0027\nuid=33(web) gid=44 groups=5,6\n/made/up\n321\n/srv/web\n");
    await rm(join(bed.rootfs, "etc/passwd"));
  });

  test("a passwd that is a FIFO blocks nobody", async () => {
    await bed.sh("rm -f /etc/passwd; mknod /etc/passwd p");
    expect(await bed.sh("echo $HOME")).toMatchObject({ code: 0, out: "/\n" });
    await rm(join(bed.rootfs, "etc/passwd"));
  });

  test("exit codes and words", async () => {
    await writeFile(join(bed.rootfs, "etc/plain"), "x");
    await chmod(join(bed.rootfs, "etc/plain"), 0o644);
    const run = (...args: string[]) => bed.run((config) => (config.process.args = args));
    expect(await run("sh", "-c", "exit 42")).toMatchObject({ code: 42 });
    expect(await run("sh", "-c", "sh -c 'kill -9 $$'; exit $?")).toMatchObject({ code: 137 });
    expect(await run("nope")).toMatchObject({
      code: 127,
      err: expect.stringContaining('exec: "nope": executable file not found in $PATH'),
    });
    expect(await run("/no/such")).toMatchObject({
      code: 127,
      err: expect.stringContaining("no such file or directory"),
    });
    expect(await run("/etc")).toMatchObject({ code: 126, err: expect.stringContaining("is a directory") });
    expect(await run("/etc/plain")).toMatchObject({ code: 126, err: expect.stringContaining("permission denied") });
  });

  test("no descriptor of the host is inherited", async () => {
    // The shell's own, seen by a child of it.
    expect((await bed.sh("ls /proc/$$/fd; true")).out).toBe("0\n1\n2\n");
  });

  test("sysctls: one's own only", async () => {
    const own = await bed.sh("cat /proc/sys/net/ipv4/ip_forward", (config) => {
      config.linux["sysctl"] = { "net.ipv4.ip_forward": "1" };
    });
    expect(own.out).toBe("1\n");
    for (const key of ["kernel.panic", "net/../kernel/panic", "vm.swappiness"]) {
      const refused = await bed.sh("true", (config) => {
        config.linux["sysctl"] = { [key]: "1" };
      });
      expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("linux.sysctl") });
    }
  });
});
