// Checked reading of JSON objects: every accessor names the field in its error, none throws.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "oci/parse.h"

namespace berth::oci {

/// nlohmann's document type; deep documents are refused before it is built.
using Json = nlohmann::json;

/// Parses a document, bounded in size and depth.
Result<Json> parse_json(std::string_view text, size_t max_bytes = kMaxDocumentBytes);

/// Reads one JSON object field by field. The first failure is kept, later reads do nothing: callers read everything
/// they know and look at error() once.
class ObjectReader {
 public:
  /// `where` is the object's own name ("linux.resources"), empty for the document.
  ObjectReader(const Json& json, std::string where);

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  void fail(const std::string& field, std::string expected);
  [[nodiscard]] std::string name(const std::string& field) const;

  /// The member, or null when it is absent or JSON null, or reading has failed already.
  const Json* member(const char* field);

  void read(const char* field, std::string& out);
  void read(const char* field, bool& out);
  void read(const char* field, std::vector<std::string>& out);
  void read(const char* field, StringMap& out);

  template <typename T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) void read(const char* field, T& out) {
    if (const Json* json = member(field)) number(*json, field, out);
  }
  template <typename T>
  void read(const char* field, std::optional<T>& out) {
    if (member(field) == nullptr) return;
    T value{};
    read(field, value);
    if (!error_) out = std::move(value);
  }
  /// A list of objects, each read by `one(ObjectReader&, T&)`.
  template <typename T, typename One>
  void read_list(const char* field, std::vector<T>& out, One one) {
    const Json* json = array(field);
    if (json == nullptr) return;
    out.reserve(json->size());
    size_t index = 0;
    for (const Json& item : *json) {
      ObjectReader reader(item, name(field) + "[" + std::to_string(index++) + "]");
      one(reader, out.emplace_back());
      if (adopt(reader)) return;
    }
  }
  /// A list of numbers.
  template <typename T>
  void read_numbers(const char* field, std::vector<T>& out) {
    const Json* json = array(field);
    if (json == nullptr) return;
    for (const Json& item : *json) {
      T value{};
      number(item, field, value);
      if (error_) return;
      out.push_back(value);
    }
  }
  /// A nested object.
  template <typename One>
  void read_object(const char* field, One one) {
    const Json* json = member(field);
    if (json == nullptr) return;
    ObjectReader reader(*json, name(field));
    one(reader);
    adopt(reader);
  }

  /// Takes over another reader's failure; true if there is one.
  bool adopt(const ObjectReader& other) {
    if (other.error_ && !error_) error_ = other.error_;
    return error_.has_value();
  }

 private:
  const Json* array(const char* field);
  void string(const Json& json, const char* field, std::string& out);

  template <typename T>
  void number(const Json& json, const char* field, T& out) {
    using Limits = std::numeric_limits<T>;
    if (json.is_number_unsigned()) {
      const uint64_t value = json.get<uint64_t>();
      if (value <= static_cast<uint64_t>(Limits::max())) {
        out = static_cast<T>(value);
        return;
      }
    } else if (json.is_number_integer()) {
      const int64_t value = json.get<int64_t>();
      if (std::is_signed_v<T> && value >= static_cast<int64_t>(Limits::min())) {
        out = static_cast<T>(value);
        return;
      }
    }
    fail(field, "a whole number from " + std::to_string(Limits::min()) + " to " + std::to_string(Limits::max()));
  }

  const Json* json_;
  std::string where_;
  std::optional<Error> error_;
};

}  // namespace berth::oci
