#include "oci/json.h"

namespace berth::oci {

namespace {

/// Deepest nesting of brackets outside strings; the parser itself is not recursive, but its users and destructor are.
bool too_deep(std::string_view text) {
  unsigned depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

}  // namespace

Result<Json> parse_json(std::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) return bad_input("document", "at most " + std::to_string(max_bytes) + " bytes");
  if (too_deep(text)) return bad_input("document", "at most " + std::to_string(kMaxDepth) + " levels of nesting");
  Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return bad_input("document", "valid JSON");
  return json;
}

ObjectReader::ObjectReader(const Json& json, std::string where) : json_(&json), where_(std::move(where)) {
  if (!json.is_object()) error_ = bad_input(where_.empty() ? "document" : where_, "an object");
}

std::string ObjectReader::name(const std::string& field) const { return where_.empty() ? field : where_ + "." + field; }

void ObjectReader::fail(const std::string& field, std::string expected) {
  if (!error_) error_ = bad_input(name(field), std::move(expected));
}

const Json* ObjectReader::member(const char* field) {
  if (error_) return nullptr;
  const auto found = json_->find(field);
  if (found == json_->end() || found->is_null()) return nullptr;
  return &*found;
}

const Json* ObjectReader::array(const char* field) {
  const Json* json = member(field);
  if (json == nullptr) return nullptr;
  if (!json->is_array()) {
    fail(field, "a list");
    return nullptr;
  }
  if (json->size() > kMaxElements) {
    fail(field, "at most " + std::to_string(kMaxElements) + " elements");
    return nullptr;
  }
  return json;
}

void ObjectReader::string(const Json& json, const char* field, std::string& out) {
  const auto* text = json.get_ptr<const Json::string_t*>();
  if (text == nullptr) return fail(field, "a string");
  if (text->size() > kMaxString) return fail(field, "at most " + std::to_string(kMaxString) + " bytes");
  // Every string ends up in a system call, which would silently cut it there.
  if (text->find('\0') != std::string::npos) return fail(field, "a string without NUL bytes");
  out = *text;
}

void ObjectReader::read(const char* field, std::string& out) {
  if (const Json* json = member(field)) string(*json, field, out);
}

void ObjectReader::read(const char* field, bool& out) {
  const Json* json = member(field);
  if (json == nullptr) return;
  if (!json->is_boolean()) return fail(field, "true or false");
  out = json->get<bool>();
}

void ObjectReader::read(const char* field, std::vector<std::string>& out) {
  const Json* json = array(field);
  if (json == nullptr) return;
  out.reserve(json->size());
  for (const Json& item : *json) {
    string(item, field, out.emplace_back());
    if (error_) return;
  }
}

void ObjectReader::read(const char* field, StringMap& out) {
  const Json* json = member(field);
  if (json == nullptr) return;
  if (!json->is_object()) return fail(field, "an object of strings");
  if (json->size() > kMaxElements) return fail(field, "at most " + std::to_string(kMaxElements) + " elements");
  for (const auto& [key, value] : json->items()) {
    std::string text;
    string(value, field, text);
    if (error_) return;
    if (key.find('\0') != std::string::npos) return fail(field, "keys without NUL bytes");
    out.emplace(key, std::move(text));
  }
}

}  // namespace berth::oci
