// Bindings: mount, umount, overlay.
#include <sys/mount.h>

#include "addon/addon.h"
#include "addon/overlay.h"

namespace berth::addon {
namespace {

/// mount({ source, target, type: string|null, flags, data: string|null }): Promise<void>
Napi::Value mount_call(const Napi::CallbackInfo& info) {
  Args args(info.Env(), info[0], "options");
  auto source = args.string("source");
  auto target = args.string("target");
  auto type = args.string_or_null("type");
  const auto flags = args.integer("flags", 0, UINT32_MAX);
  auto data = args.string_or_null("data");
  if (!args.ok()) return args.fail();
  return run_async_void(info.Env(), [=]() -> Result<void> {
    const int rc = ::mount(source.c_str(), target.c_str(), type ? type->c_str() : nullptr, static_cast<unsigned long>(flags),
                           data ? data->c_str() : nullptr);
    if (rc != 0) return sys_error("mount", target);
    return {};
  });
}

/// umount(target, flags): Promise<void>
Napi::Value umount_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto target = args.string(0);
  const auto flags = args.integer(1, 0, INT32_MAX);
  if (!args.ok()) return args.fail();
  return run_async_void(info.Env(), [=]() -> Result<void> {
    if (::umount2(target.c_str(), static_cast<int>(flags)) != 0) return sys_error("umount2", target);
    return {};
  });
}

/// mountOverlay({ target, lower: string[], upper: string|null, work: string|null, base: string|null, options: string[],
/// readOnly, privatePropagation }): Promise<void>
Napi::Value mount_overlay_call(const Napi::CallbackInfo& info) {
  Args args(info.Env(), info[0], "options");
  OverlayMount mount;
  mount.target = args.string("target");
  mount.lower = args.strings("lower", 512);
  mount.upper = args.string_or_null("upper").value_or("");
  mount.work = args.string_or_null("work").value_or("");
  mount.base = args.string_or_null("base").value_or("");
  mount.options = args.strings("options", 64);
  mount.read_only = args.boolean("readOnly");
  mount.private_propagation = args.boolean("privatePropagation");
  if (args.ok() && mount.upper.empty() != mount.work.empty()) args.reject("upper and work must be given together");
  if (!args.ok()) return args.fail();
  return run_async_void(info.Env(), [mount = std::move(mount)] { return mount_overlay(mount); });
}

void init_mount(Napi::Env env, Napi::Object exports) {
  exports.Set("mount", Napi::Function::New(env, mount_call));
  exports.Set("umount", Napi::Function::New(env, umount_call));
  exports.Set("mountOverlay", Napi::Function::New(env, mount_overlay_call));
}

}  // namespace
BERTH_ADDON_MODULE(mount, init_mount);
}  // namespace berth::addon
