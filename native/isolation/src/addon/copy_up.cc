// Binding: what an image has at a path, copied into a new volume.
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addon/addon.h"
#include "addon/overlay.h"
#include "base/fd.h"
#include "tar/copy_tree.h"

namespace berth::addon {
namespace {

struct Request {
  OverlayMount view;
  std::string source;
  std::string target;
  std::string subpath;
};

Result<UniqueFd> open_resolved(int root, const std::string& path, int flags, uint64_t resolve) {
  struct open_how how {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: something was renamed while ".." was followed, and the kernel cannot vouch for the answer.
  for (int tries = 0;; ++tries) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
    if (fd) return fd;
    if ((errno != EAGAIN && errno != EINTR) || tries == 128) return sys_error("openat2", path);
  }
}

Result<bool> is_empty(int directory, const std::string& path) {
  const int list = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* entries = list < 0 ? nullptr : ::fdopendir(list);
  if (entries == nullptr) {
    const Error error = sys_error("opendir", path);
    if (list >= 0) ::close(list);
    return error;
  }
  int count = 0;
  while (count < 3 && ::readdir(entries) != nullptr) ++count;
  ::closedir(entries);
  return count < 3;  // "." and ".."
}

/// The volume's directory, or the one in it that is asked for.
Result<UniqueFd> open_target(const Request& request) {
  UniqueFd volume(::open(request.target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!volume) return sys_error("open", request.target);
  if (request.subpath.empty()) return volume;
  return open_resolved(volume.get(), request.subpath, O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH);
}

Result<std::string> copy_up(const Request& request) {
  // Before the view may cover it; whether it could be opened matters only if there is something to copy.
  const auto target = request.target.empty() ? Result<UniqueFd>(UniqueFd()) : open_target(request);
  // In a mount namespace of this thread's own, so that a crash leaves no mount behind.
  if (::unshare(CLONE_NEWNS) != 0) return sys_error("unshare", "mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0) return sys_error("mount", "/");
  BERTH_TRY(mount_overlay(request.view));
  const UniqueFd root(::open(request.view.target.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return sys_error("open", request.view.target);
  auto found = open_resolved(root.get(), request.source, O_PATH, RESOLVE_IN_ROOT);
  if (!found.ok() && (found.error().code == ENOENT || found.error().code == ENOTDIR)) return std::string("absent");
  if (!found.ok()) return found.error();
  struct stat status {};
  if (::fstat(found->get(), &status) != 0) return sys_error("fstat", request.source);
  if (request.target.empty()) return std::string("present");
  if (!S_ISDIR(status.st_mode)) return Error{ENOTDIR, "copy", request.source, "not a directory"};
  if (!target.ok()) return target.error();
  BERTH_ASSIGN(const bool empty, is_empty(target.value().get(), request.target));
  if (!empty) return std::string("full");
  const UniqueFd source(::openat(found->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!source) return sys_error("openat", request.source);
  BERTH_ASSIGN(const bool nothing, is_empty(source.get(), request.source));
  BERTH_TRY(tar::copy_tree(source.get(), target.value().get()));
  return std::string(nothing ? "empty" : "copied");
}

/// copyUp({ lower: string[] top first, scratch, source, target, subpath }): Promise<"absent"|"empty"|"copied"|"full">; without a target only
/// a look: "absent" or "present"
Napi::Value copy_up_call(const Napi::CallbackInfo& info) {
  Args args(info.Env(), info[0], "options");
  Request request;
  request.view.lower = args.strings("lower", 512);
  request.view.target = args.string("scratch");
  request.view.options = {"index=off", "redirect_dir=off", "metacopy=off"};
  request.view.read_only = true;
  request.source = args.string("source");
  request.target = args.string("target");
  request.subpath = args.string("subpath");
  if (!args.ok()) return args.fail();
  return run_async<std::string>(
      info.Env(),
      [request = std::move(request)]() -> Result<std::string> {
        std::string outcome;
        BERTH_TRY(run_on_own_thread([&]() -> Result<void> {
          BERTH_ASSIGN(outcome, copy_up(request));
          return {};
        }));
        return outcome;
      },
      [](Napi::Env env, std::string& outcome) -> Napi::Value { return Napi::String::New(env, outcome); });
}

void init_copy_up(Napi::Env env, Napi::Object exports) { exports.Set("copyUp", Napi::Function::New(env, copy_up_call)); }

}  // namespace
BERTH_ADDON_MODULE(copy_up, init_copy_up);
}  // namespace berth::addon
