// Failure as a value: no exceptions, and every failed system call says which call on which object.
#pragma once

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace berth {

/// A failure. `code` is an errno value (EINVAL for bad input); `call` names the system call or the check that
/// failed ("mount", "config"); `object` what it was done to (a path, a field); `detail` is free text, may be empty.
struct Error {
  int code = EIO;
  std::string call;
  std::string object;
  std::string detail;

  [[nodiscard]] std::string message() const {
    std::string text = call;
    if (!object.empty()) text += (text.empty() ? "" : " ") + object;
    if (!detail.empty()) text += (text.empty() ? "" : ": ") + detail;
    if (code != 0 && detail.empty()) text += std::string(text.empty() ? "" : ": ") + std::strerror(code);
    return text;
  }
};

/// The error of the system call that has just failed (reads errno).
inline Error sys_error(std::string call, std::string object = {}) {
  return Error{errno, std::move(call), std::move(object), {}};
}

/// Bad input: EINVAL with the field's name and what was expected.
inline Error bad_input(std::string field, std::string expected) {
  return Error{EINVAL, "config", std::move(field), std::move(expected)};
}

/// A value or an Error.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  T& operator*() & { return std::get<0>(state_); }
  [[nodiscard]] const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  [[nodiscard]] bool ok() const noexcept { return !error_; }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace berth

#define BERTH_CONCAT_(a, b) a##b
#define BERTH_CONCAT(a, b) BERTH_CONCAT_(a, b)

/// Runs an expression that gives a Result; returns its Error from the enclosing function if it failed.
#define BERTH_TRY(expression)                                    \
  do {                                                           \
    auto berth_try_result = (expression);                        \
    if (!berth_try_result.ok()) return berth_try_result.error(); \
  } while (false)

/// `BERTH_ASSIGN(auto name, expression)`: binds the value, or returns the Error.
#define BERTH_ASSIGN(declaration, expression)                                                   \
  auto BERTH_CONCAT(berth_result_, __LINE__) = (expression);                                    \
  if (!BERTH_CONCAT(berth_result_, __LINE__).ok()) return BERTH_CONCAT(berth_result_, __LINE__).error(); \
  declaration = std::move(BERTH_CONCAT(berth_result_, __LINE__)).value()
