// The first of the two promises of a job that has to be ready before its caller may go on.
#pragma once

#include <napi.h>

#include <optional>
#include <utility>

namespace berth::addon {

/// On the JavaScript thread only.
class Opening {
 public:
  /// The start() of such a job gives { opened: Promise<boolean>, done }.
  Napi::Object begin(Napi::Env env, const Napi::Promise& done) {
    deferred_ = Napi::Promise::Deferred::New(env);
    Napi::Object promises = Napi::Object::New(env);
    promises.Set("opened", deferred_->Promise());
    promises.Set("done", done);
    return promises;
  }
  /// The first word counts: true once it is ready, false when it has ended without.
  void tell(bool yes) {
    const auto deferred = std::exchange(deferred_, std::nullopt);
    if (deferred) deferred->Resolve(Napi::Boolean::New(deferred->Env(), yes));
  }

 private:
  std::optional<Napi::Promise::Deferred> deferred_;
};

}  // namespace berth::addon
