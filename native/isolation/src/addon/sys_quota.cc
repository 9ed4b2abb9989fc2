// Bindings: bounds on directory trees by project quotas (quota/project.h).
#include "addon/addon.h"
#include "quota/project.h"

namespace berth::addon {
namespace {

/// quotasEnforced(directory): Promise<boolean>
Napi::Value quotas_enforced_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto directory = args.string(0);
  if (!args.ok()) return args.fail();
  return run_async<bool>(
      info.Env(), [=] { return quota::enforced(directory); },
      [](Napi::Env env, bool& enforced) -> Napi::Value { return Napi::Boolean::New(env, enforced); });
}

/// assignProject(directory, project): Promise<boolean>: false, and nothing done, if the project is in use.
Napi::Value assign_project_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto directory = args.string(0);
  const auto project = static_cast<uint32_t>(args.integer(1, 1, UINT32_MAX - 1));
  if (!args.ok()) return args.fail();
  return run_async<bool>(
      info.Env(),
      [=]() -> Result<bool> {
        BERTH_ASSIGN(const bool used, quota::in_use(directory, project));
        if (used) return false;
        BERTH_TRY(quota::assign(directory, project));
        return true;
      },
      [](Napi::Env env, bool& assigned) -> Napi::Value { return Napi::Boolean::New(env, assigned); });
}

/// limitProject(directory, project, bytes): Promise<void>; 0 bytes: no limit
Napi::Value limit_project_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto directory = args.string(0);
  const auto project = static_cast<uint32_t>(args.integer(1, 1, UINT32_MAX - 1));
  const auto bytes = static_cast<uint64_t>(args.integer(2, 0, INT64_MAX));
  if (!args.ok()) return args.fail();
  return run_async_void(info.Env(), [=] { return quota::limit(directory, project, bytes); });
}

/// projectOf(directory): Promise<number>; 0: none
Napi::Value project_of_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto directory = args.string(0);
  if (!args.ok()) return args.fail();
  return run_async<uint32_t>(
      info.Env(), [=] { return quota::project_of(directory); },
      [](Napi::Env env, uint32_t& project) -> Napi::Value { return Napi::Number::New(env, project); });
}

void init_quota(Napi::Env env, Napi::Object exports) {
  exports.Set("quotasEnforced", Napi::Function::New(env, quotas_enforced_call));
  exports.Set("assignProject", Napi::Function::New(env, assign_project_call));
  exports.Set("limitProject", Napi::Function::New(env, limit_project_call));
  exports.Set("projectOf", Napi::Function::New(env, project_of_call));
}

}  // namespace
BERTH_ADDON_MODULE(quota, init_quota);
}  // namespace berth::addon
