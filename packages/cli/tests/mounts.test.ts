import { describe, expect, test } from "vitest";
import { mountOf } from "../src/commands/mounts.ts";

describe("--mount", () => {
  test("every option of every type", () => {
    expect(mountOf("type=bind,src=/a,dst=/b,ro,bind-propagation=rslave,bind-recursive=disabled")).toEqual({
      Type: "bind",
      Source: "/a",
      Target: "/b",
      ReadOnly: true,
      BindOptions: { Propagation: "rslave", NonRecursive: true },
    });
    expect(
      mountOf("src=v,target=/b,volume-nocopy,volume-subpath=x,volume-label=a=b,volume-label=c,volume-driver=d"),
    ).toEqual({
      Type: "volume",
      Source: "v",
      Target: "/b",
      ReadOnly: false,
      VolumeOptions: { NoCopy: true, Subpath: "x", Labels: { a: "b", c: "" }, DriverConfig: { Name: "d" } },
    });
    expect(mountOf('dst=/b,"volume-opt=o=addr=1.2.3.4,rw",volume-opt=type=nfs')).toMatchObject({
      VolumeOptions: { DriverConfig: { Options: { o: "addr=1.2.3.4,rw", type: "nfs" } } },
    });
    expect(mountOf("type=tmpfs,dst=/b,tmpfs-size=5m,tmpfs-mode=0700")).toMatchObject({
      TmpfsOptions: { SizeBytes: 5 << 20, Mode: 0o700 },
    });
    expect(mountOf("type=image,src=busybox,dst=/b,image-subpath=bin")).toMatchObject({
      ImageOptions: { Subpath: "bin" },
    });
    expect(mountOf("type=bind,src=/a,dst=/b,readonly,bind-recursive=readonly,bind-propagation=rprivate")).toMatchObject(
      {
        BindOptions: { ReadOnlyForceRecursive: true, Propagation: "rprivate" },
      },
    );
    expect(mountOf("type=bind,src=/a,dst=/b,bind-create-src")).toMatchObject({
      BindOptions: { CreateMountpoint: true },
    });
  });

  test.each([
    ["type=bind,src=/a", "target is required"],
    ["type=bind,what=1,dst=/b", 'unexpected key "what"'],
    ["dst", 'invalid field "dst" must be a key=value pair'],
    ["type=bind,src=/a,dst=/b,readonly=maybe", "invalid value for readonly: maybe"],
    ["type=tmpfs,dst=/b,tmpfs-size=much", "invalid value for tmpfs-size: much"],
    ["type=tmpfs,dst=/b,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"],
    ["type=tmpfs,dst=/b,volume-nocopy", "cannot mix 'volume-*' options with mount type 'tmpfs'"],
    ["type=bind,src=/a,dst=/b,bind-recursive=no", "invalid value for bind-recursive: no"],
    ["type=bind,src=/a,dst=/b,bind-recursive=writable", "requires 'readonly'"],
    ["type=bind,src=/a,dst=/b,ro,bind-recursive=readonly", "requires 'bind-propagation=rprivate'"],
    ['dst=/b,a"b', "quotes must enclose a whole field"],
  ])("%s is refused", (text, why) => {
    expect(() => mountOf(text)).toThrow(why);
  });
});
