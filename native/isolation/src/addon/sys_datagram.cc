// Bindings: datagrams to a unix socket, which node:dgram has no call for (syslog's and journald's own sockets).
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "addon/addon.h"
#include "base/fd.h"
#include "base/pass_fd.h"

namespace berth::addon {
namespace {

constexpr uint32_t kMaxDatagrams = 4096;
/// journald grows its buffers the same way, so that most entries need no file.
constexpr int kSendBuffer = 8 << 20;
constexpr time_t kTimeoutSeconds = 5;

Result<UniqueFd> connect_datagram(const std::string& path) {
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{ENAMETOOLONG, "connect", path, {}};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return sys_error("socket", path);
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
  // A receiver that has stopped reading must not keep a thread of the pool for ever.
  const struct timeval timeout {kTimeoutSeconds, 0};
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (::connect(fd.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0) return sys_error("connect", path);
  return fd;
}

/// journald's way for what no datagram holds: the bytes in a sealed memory file, whose descriptor is the message.
Result<void> send_as_file(int socket, const std::string& path, const std::string& bytes) {
  const UniqueFd file(::memfd_create("berth-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return sys_error("memfd_create", path);
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t count = ::write(file.get(), bytes.data() + at, bytes.size() - at);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return sys_error("write", "memfd");
    at += static_cast<size_t>(count);
  }
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
    return sys_error("fcntl", "memfd");
  return send_with_fd(socket, {}, file.get(), path);
}

Result<void> send_one(int socket, const std::string& path, const std::string& bytes, bool large) {
  while (::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (large && (errno == EMSGSIZE || errno == ENOBUFS)) return send_as_file(socket, path, bytes);
    return sys_error("send", path);
  }
  return {};
}

/// sendDatagrams(path, messages, large): Promise<void>: each message a datagram to the unix socket at `path`, in order; with
/// `large`, one too long for that goes as a sealed memfd. Waits at most 5 s for a receiver (EAGAIN).
Napi::Value send_datagrams_call(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto path = args.string(0);
  const auto large = args.boolean(2);
  if (!args.ok()) return args.fail();
  if (!info[1].IsArray() || info[1].As<Napi::Array>().Length() > kMaxDatagrams) {
    Napi::TypeError::New(info.Env(), "argument 2 must be an array of at most 4096 Buffers").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  const auto list = info[1].As<Napi::Array>();
  auto messages = std::make_shared<std::vector<std::string>>();
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value item = list[i];
    if (!item.IsBuffer()) {
      Napi::TypeError::New(info.Env(), "argument 2 must be an array of at most 4096 Buffers").ThrowAsJavaScriptException();
      return info.Env().Undefined();
    }
    const auto buffer = item.As<Napi::Buffer<char>>();
    messages->emplace_back(buffer.Data(), buffer.Length());
  }
  return run_async_void(info.Env(), [=]() -> Result<void> {
    BERTH_ASSIGN(const UniqueFd socket, connect_datagram(path));
    for (const std::string& message : *messages) BERTH_TRY(send_one(socket.get(), path, message, large));
    return {};
  });
}

void init_datagram(Napi::Env env, Napi::Object exports) {
  exports.Set("sendDatagrams", Napi::Function::New(env, send_datagrams_call));
}

}  // namespace

BERTH_ADDON_MODULE(datagram, init_datagram);

}  // namespace berth::addon
