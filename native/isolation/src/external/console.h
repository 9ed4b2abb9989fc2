// Where a runtime sends the terminal that it has made (--console-socket).
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace berth::external {

class ConsoleSocket {
 public:
  /// Listens in `directory`, under a name that is removed with this object.
  static Result<ConsoleSocket> open(const std::string& directory);
  ConsoleSocket(ConsoleSocket&&) = default;
  ConsoleSocket& operator=(ConsoleSocket&&) = default;
  ~ConsoleSocket();

  /// For the runtime: short however long the directory's own is (a socket's address holds 107 bytes), and good as long as this lives.
  [[nodiscard]] std::string path() const;
  /// The terminal's master that has been sent, `rows` times `cols` in size unless those are 0. To be called when the runtime has
  /// ended: what it has sent waits here.
  Result<UniqueFd> take(uint16_t rows, uint16_t cols);

 private:
  ConsoleSocket() = default;
  UniqueFd directory_, listener_;
};

}  // namespace berth::external
