#include "addon/addon.h"

#include <cmath>
#include <cstring>
#include <thread>

namespace berth::addon {
namespace {

Module* first_module = nullptr;

const char* errno_name(int code) {
  const char* name = strerrorname_np(code);
  return name == nullptr ? "EUNKNOWN" : name;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  for (const Module* module = first_module; module != nullptr; module = module->next) module->init(env, exports);
  return exports;
}

}  // namespace

Module::Module(InitFn fn) noexcept : init(fn), next(first_module) { first_module = this; }

Napi::Error to_js_error(Napi::Env env, const Error& error) {
  const std::string name = errno_name(error.code);
  Napi::Error js = Napi::Error::New(env, name + ": " + error.message());
  Napi::Object fields = js.Value();
  fields.Set("code", Napi::String::New(env, name));
  fields.Set("errno", Napi::Number::New(env, error.code));
  fields.Set("syscall", Napi::String::New(env, error.call));
  fields.Set("path", Napi::String::New(env, error.object));
  fields.Set("detail", Napi::String::New(env, error.detail));
  return js;
}

Args::Args(Napi::Env env, Napi::Value object, std::string what) : env_(env), what_(std::move(what)) {
  if (!object.IsObject() || object.IsArray() || object.IsFunction()) {
    reject(what_ + " must be an object");
    return;
  }
  object_ = object.As<Napi::Object>();
}

Napi::Value Args::fail() const {
  Napi::TypeError::New(env_, mistake_).ThrowAsJavaScriptException();
  return env_.Undefined();
}

Napi::Value Args::at(const char* field) {
  if (!ok() || object_.IsEmpty()) return env_.Undefined();
  return object_.Get(field);
}

Napi::Value Args::at(int index) {
  if (!ok() || info_ == nullptr) return env_.Undefined();
  return (*info_)[static_cast<size_t>(index)];
}

std::string Args::to_string(Napi::Value value, const std::string& name, const char* expected) {
  if (!ok()) return {};
  if (!value.IsString()) {
    reject(name + " must be " + expected);
    return {};
  }
  std::string text = value.As<Napi::String>().Utf8Value();
  // A NUL would cut the string short on its way into a system call and so name another object than was checked.
  if (text.find('\0') != std::string::npos) {
    reject(name + " must not contain a NUL character");
    return {};
  }
  return text;
}

int64_t Args::to_integer(Napi::Value value, const std::string& name, int64_t min, int64_t max) {
  if (!ok()) return 0;
  const std::string expected = name + " must be an integer from " + std::to_string(min) + " to " + std::to_string(max);
  if (!value.IsNumber()) {
    reject(expected);
    return 0;
  }
  const double number = value.As<Napi::Number>().DoubleValue();
  constexpr double kMaxSafe = 9007199254740991.0;
  if (!(std::floor(number) == number) || number > kMaxSafe || number < -kMaxSafe || static_cast<int64_t>(number) < min ||
      static_cast<int64_t>(number) > max) {
    reject(expected);
    return 0;
  }
  return static_cast<int64_t>(number);
}

bool Args::to_boolean(Napi::Value value, const std::string& name) {
  if (!ok()) return false;
  if (!value.IsBoolean()) {
    reject(name + " must be a boolean");
    return false;
  }
  return value.As<Napi::Boolean>().Value();
}

std::vector<std::string> Args::to_strings(Napi::Value value, const std::string& name, size_t max_count) {
  std::vector<std::string> list;
  if (!ok()) return list;
  if (!value.IsArray()) {
    reject(name + " must be an array of strings");
    return list;
  }
  const Napi::Array array = value.As<Napi::Array>();
  if (array.Length() > max_count) {
    reject(name + " must have at most " + std::to_string(max_count) + " elements");
    return list;
  }
  list.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length() && ok(); ++i) list.push_back(to_string(array.Get(i), name + "[" + std::to_string(i) + "]"));
  return list;
}

std::vector<int> Args::to_fds(Napi::Value value, const std::string& name, size_t max_count) {
  std::vector<int> list;
  if (!ok()) return list;
  if (!value.IsArray() || value.As<Napi::Array>().Length() > max_count) {
    reject(name + " must be an array of at most " + std::to_string(max_count) + " file descriptors");
    return list;
  }
  const Napi::Array array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length() && ok(); ++i) {
    list.push_back(static_cast<int>(to_integer(array.Get(i), name + "[" + std::to_string(i) + "]", 0, INT32_MAX)));
  }
  return list;
}

Napi::Function Args::to_function(Napi::Value value, const std::string& name) {
  if (!ok() || value.IsNull()) return {};
  if (!value.IsFunction()) {
    reject(name + " must be a function or null");
    return {};
  }
  return value.As<Napi::Function>();
}

Result<void> run_on_own_thread(const std::function<Result<void>()>& work) {
  Result<void> result;
  std::thread thread([&] { result = work(); });
  thread.join();
  return result;
}

NODE_API_MODULE(isolation, init)

}  // namespace berth::addon
