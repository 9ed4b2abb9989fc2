#include "net/netlink.h"

#include <sys/socket.h>

#include <array>

namespace berth::net {

namespace {
constexpr size_t kAnswerBytes = 32768;  // the kernel's dumps come in pages of at most 32 KiB
}

Message::Message(uint16_t type, uint16_t flags) {
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  bytes_.reserve(256);
  append(&header, sizeof header);
}

void Message::append(const void* data, size_t size) {
  const auto* from = static_cast<const char*>(data);
  bytes_.insert(bytes_.end(), from, from + size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

void Message::put(uint16_t type, const void* data, size_t size) {
  rtattr attribute{};
  attribute.rta_type = type;
  attribute.rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
  append(&attribute, sizeof attribute);
  append(data, size);
}

void Message::put_string(uint16_t type, std::string_view text) {
  const std::string owned(text);
  put(type, owned.c_str(), owned.size() + 1);
}

size_t Message::open(uint16_t type) {
  const size_t at = bytes_.size();
  rtattr attribute{};
  attribute.rta_type = static_cast<uint16_t>(type | NLA_F_NESTED);
  append(&attribute, sizeof attribute);
  return at;
}

void Message::close(size_t nest) {
  auto* attribute = reinterpret_cast<rtattr*>(bytes_.data() + nest);
  attribute->rta_len = static_cast<uint16_t>(bytes_.size() - nest);
}

Result<Socket> Socket::open() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return sys_error("socket", "NETLINK_ROUTE");
  // A kernel that never answers would hang the caller's thread for ever.
  const timeval deadline{10, 0};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline) != 0)
    return sys_error("setsockopt", "SO_RCVTIMEO");
  return Socket(std::move(fd));
}

Result<void> Socket::send(Message& message, const char* call, const std::string& object) {
  auto* header = reinterpret_cast<nlmsghdr*>(message.bytes_.data());
  header->nlmsg_len = static_cast<uint32_t>(message.bytes_.size());
  header->nlmsg_seq = ++sequence_;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const ssize_t sent = ::sendto(fd_.get(), message.bytes_.data(), message.bytes_.size(), 0,
                                reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
  if (sent < 0) return sys_error(call, object);
  return {};
}

Result<void> Socket::request(Message message, const char* call, const std::string& object) {
  reinterpret_cast<nlmsghdr*>(message.bytes_.data())->nlmsg_flags |= NLM_F_ACK;
  BERTH_TRY(send(message, call, object));
  alignas(nlmsghdr) std::array<char, kAnswerBytes> answer;
  while (true) {
    const ssize_t got = ::recv(fd_.get(), answer.data(), answer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sys_error(call, object);
    auto left = static_cast<unsigned>(got);
    for (auto* header = reinterpret_cast<nlmsghdr*>(answer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_seq != sequence_ || header->nlmsg_type != NLMSG_ERROR) continue;
      const int code = -static_cast<nlmsgerr*>(NLMSG_DATA(header))->error;
      if (code == 0) return {};
      return Error{code, call, object, {}};
    }
  }
}

Result<void> Socket::dump(Message message, const char* call, const std::function<void(const nlmsghdr*)>& each) {
  reinterpret_cast<nlmsghdr*>(message.bytes_.data())->nlmsg_flags |= NLM_F_DUMP;
  BERTH_TRY(send(message, call, "dump"));
  alignas(nlmsghdr) std::array<char, kAnswerBytes> answer;
  while (true) {
    const ssize_t got = ::recv(fd_.get(), answer.data(), answer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sys_error(call, "dump");
    auto left = static_cast<unsigned>(got);
    for (auto* header = reinterpret_cast<nlmsghdr*>(answer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_seq != sequence_) continue;
      if (header->nlmsg_type == NLMSG_DONE) return {};
      if (header->nlmsg_type == NLMSG_ERROR)
        return Error{-static_cast<nlmsgerr*>(NLMSG_DATA(header))->error, call, "dump", {}};
      each(header);
    }
  }
}

void for_each_attribute(const nlmsghdr* header, size_t offset, const std::function<void(const rtattr*)>& each) {
  const size_t skip = NLMSG_LENGTH(NLMSG_ALIGN(offset));
  if (header->nlmsg_len < skip) return;
  auto left = static_cast<int>(header->nlmsg_len - skip);
  for (auto* attribute = reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(header) + skip);
       RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
    each(attribute);
}

}  // namespace berth::net
