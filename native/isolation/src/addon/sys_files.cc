// Bindings: statfs, syncfs, opening beneath a root, copying extended attributes, pipes, listening sockets.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>

#include "addon/addon.h"
#include "base/fd.h"

namespace berth::addon {
namespace {

/// statfs(path): Promise<{ type, blockSize, blocks, freeBlocks, availableBlocks, files, freeFiles }> (numbers; blocks of blockSize bytes)
Napi::Value statfs_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto path = args.string(0);
  if (!args.ok()) return args.fail();
  return run_async<struct statfs>(
      info.Env(),
      [=]() -> Result<struct statfs> {
        struct statfs status {};
        if (::statfs(path.c_str(), &status) != 0) return sys_error("statfs", path);
        return status;
      },
      [](Napi::Env env, struct statfs& status) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("type", static_cast<double>(static_cast<uint32_t>(status.f_type)));
        object.Set("blockSize", static_cast<double>(status.f_bsize));
        object.Set("blocks", static_cast<double>(status.f_blocks));
        object.Set("freeBlocks", static_cast<double>(status.f_bfree));
        object.Set("availableBlocks", static_cast<double>(status.f_bavail));
        object.Set("files", static_cast<double>(status.f_files));
        object.Set("freeFiles", static_cast<double>(status.f_ffree));
        return object;
      });
}

/// syncfs(path): Promise<void>: all data of the file system that holds `path` is on the medium.
Napi::Value syncfs_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto path = args.string(0);
  if (!args.ok()) return args.fail();
  return run_async_void(info.Env(), [=]() -> Result<void> {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return sys_error("open", path);
    if (::syncfs(fd.get()) != 0) return sys_error("syncfs", path);
    return {};
  });
}

Result<int> open_in_root(const std::string& root, const std::string& path, int flags, int mode) {
  UniqueFd dir(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return sys_error("open", root);
  struct open_how how {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? static_cast<uint64_t>(mode) : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: something was renamed while ".." was followed, and the kernel cannot vouch for the answer.
  for (int tries = 0;; ++tries) {
    const auto fd = static_cast<int>(::syscall(SYS_openat2, dir.get(), path.c_str(), &how, sizeof how));
    if (fd >= 0) return fd;
    if ((errno != EAGAIN && errno != EINTR) || tries == 128) return sys_error("openat2", path);
  }
}

/// openInRoot(root, path, flags, mode): Promise<fd>: resolved as if `root` were "/", whatever links say.
Napi::Value open_in_root_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto root = args.string(0);
  auto path = args.string(1);
  const auto flags = args.integer(2, 0, INT32_MAX);
  const auto mode = args.integer(3, 0, 07777);
  if (!args.ok()) return args.fail();
  return run_async<int>(
      info.Env(), [=] { return open_in_root(root, path, static_cast<int>(flags), static_cast<int>(mode)); },
      [](Napi::Env env, int& fd) -> Napi::Value { return Napi::Number::New(env, fd); });
}

Result<void> copy_xattrs(const std::string& from, const std::string& to) {
  std::vector<char> names(65536);  // the kernel's own limit, XATTR_LIST_MAX
  std::vector<char> value(65536);
  const ssize_t size = ::llistxattr(from.c_str(), names.data(), names.size());
  if (size < 0) return errno == ENOTSUP ? Result<void>{} : Result<void>{sys_error("llistxattr", from)};
  for (const char* name = names.data(); name < names.data() + size; name += std::strlen(name) + 1) {
    const ssize_t length = ::lgetxattr(from.c_str(), name, value.data(), value.size());
    if (length < 0 && errno == ENODATA) continue;
    if (length < 0) return sys_error("lgetxattr", from);
    if (::lsetxattr(to.c_str(), name, value.data(), static_cast<size_t>(length), 0) != 0 && errno != ENOTSUP) {
      return sys_error("lsetxattr", to);
    }
  }
  return {};
}

/// copyXattrs(from, to): Promise<void>; links are not followed.
Napi::Value copy_xattrs_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto from = args.string(0);
  auto to = args.string(1);
  if (!args.ok()) return args.fail();
  return run_async_void(info.Env(), [=] { return copy_xattrs(from, to); });
}

/// getXattr(path, name): Promise<Buffer|null>; links are not followed; null: it has none of that name.
Napi::Value get_xattr_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto path = args.string(0);
  auto name = args.string(1);
  if (!args.ok()) return args.fail();
  using Value = std::optional<std::string>;
  return run_async<Value>(
      info.Env(),
      [=]() -> Result<Value> {
        std::string value(65536, '\0');  // the kernel's own limit, XATTR_SIZE_MAX
        const ssize_t size = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
        if (size < 0 && errno == ENODATA) return Value();
        if (size < 0) return sys_error("lgetxattr", path);
        value.resize(static_cast<size_t>(size));
        return Value(std::move(value));
      },
      [](Napi::Env env, Value& value) -> Napi::Value {
        if (!value) return env.Null();
        return Napi::Buffer<char>::Copy(env, value->data(), value->size());
      });
}

/// pipe(): [readFd, writeFd], both close-on-exec.
Napi::Value pipe_call(const Napi::CallbackInfo& info) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) {
    to_js_error(info.Env(), sys_error("pipe2")).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  Napi::Array pair = Napi::Array::New(info.Env(), 2);
  pair.Set(0u, fds[0]);
  pair.Set(1u, fds[1]);
  return pair;
}

Result<int> listen_unix(const std::string& path, mode_t mode, int backlog) {
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{ENAMETOOLONG, "bind", path, {}};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return sys_error("socket", path);
  // The mode of the socket's inode is set before bind, so that there is no moment in which it is open to others.
  if (::fchmod(fd.get(), mode) != 0) return sys_error("fchmod", path);
  if (::bind(fd.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0) return sys_error("bind", path);
  if (::chmod(path.c_str(), mode) != 0 || ::listen(fd.get(), backlog) != 0) {
    const Error error = sys_error("listen", path);
    ::unlink(path.c_str());
    return error;
  }
  return fd.release();
}

/// listenUnix(path, mode, backlog): fd: bound and listening, nothing accepts yet; a client may connect and send at once.
Napi::Value listen_unix_call(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto path = args.string(0);
  const auto mode = args.integer(1, 0, 0777);
  const auto backlog = args.integer(2, 1, 65535);
  if (!args.ok()) return args.fail();
  const auto fd = listen_unix(path, static_cast<mode_t>(mode), static_cast<int>(backlog));
  if (!fd.ok()) {
    to_js_error(info.Env(), fd.error()).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  return Napi::Number::New(info.Env(), fd.value());
}

void init_files(Napi::Env env, Napi::Object exports) {
  exports.Set("statfs", Napi::Function::New(env, statfs_call));
  exports.Set("syncfs", Napi::Function::New(env, syncfs_call));
  exports.Set("openInRoot", Napi::Function::New(env, open_in_root_call));
  exports.Set("copyXattrs", Napi::Function::New(env, copy_xattrs_call));
  exports.Set("getXattr", Napi::Function::New(env, get_xattr_call));
  exports.Set("pipe", Napi::Function::New(env, pipe_call));
  exports.Set("listenUnix", Napi::Function::New(env, listen_unix_call));
}

}  // namespace
BERTH_ADDON_MODULE(files, init_files);
}  // namespace berth::addon
