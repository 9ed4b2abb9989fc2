// A small rtnetlink client: builds one request, sends it, waits for the kernel's acknowledgement.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace berth::net {

/// One netlink request under construction.
class Message {
 public:
  Message(uint16_t type, uint16_t flags);

  /// Appends a fixed header (ifinfomsg, ifaddrmsg, rtmsg); must come before any attribute.
  template <typename T>
  void header(const T& value) {
    append(&value, sizeof value);
  }
  void put(uint16_t type, const void* data, size_t size);
  void put_string(uint16_t type, std::string_view text);  // NUL-terminated on the wire
  void put_u32(uint16_t type, uint32_t value) { put(type, &value, sizeof value); }

  /// Opens a nested attribute; close() it with what open() gave.
  size_t open(uint16_t type);
  void close(size_t nest);

  /// Appends a header inside a nest (VETH_INFO_PEER carries an ifinfomsg).
  template <typename T>
  void nested_header(const T& value) {
    append(&value, sizeof value);
  }

 private:
  friend class Socket;
  void append(const void* data, size_t size);
  std::vector<char> bytes_;
};

class Socket {
 public:
  /// A NETLINK_ROUTE socket in the calling thread's network namespace; it stays there wherever it is used from.
  static Result<Socket> open();

  /// Sends a request and waits for its acknowledgement. `call` and `object` name it in the Error.
  Result<void> request(Message message, const char* call, const std::string& object);
  /// Sends a dump request; `each` gets every answer's header.
  Result<void> dump(Message message, const char* call, const std::function<void(const nlmsghdr*)>& each);

 private:
  explicit Socket(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<void> send(Message& message, const char* call, const std::string& object);
  UniqueFd fd_;
  uint32_t sequence_ = 0;
};

/// Runs through a message's attributes that start `offset` bytes into its payload.
void for_each_attribute(const nlmsghdr* header, size_t offset, const std::function<void(const rtattr*)>& each);

}  // namespace berth::net
