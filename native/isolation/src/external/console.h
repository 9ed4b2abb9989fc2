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
  /// Readable when a runtime has come.
  [[nodiscard]] int fd() const { return listener_.get(); }
  /// Takes what it sends and gives the terminal `rows` and `cols` unless those are 0: at once, as not every runtime does that for
  /// an exec (crun 1.8), and the program may ask for its size as soon as it runs.
  void receive(uint16_t rows, uint16_t cols);
  /// The terminal's master that receive() has got.
  Result<UniqueFd> take();

 private:
  ConsoleSocket() = default;
  UniqueFd directory_, listener_;
  Result<UniqueFd> terminal_{Error{EPROTO, "console socket", "", "the runtime has sent no terminal"}};
};

}  // namespace berth::external
