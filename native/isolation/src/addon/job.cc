#include "addon/job.h"

namespace berth::addon {

std::shared_ptr<Job> Job::start(Napi::Env env, const char* name, std::function<void(Job&)> work, OnJavaScript settle, Work abort) {
  std::shared_ptr<Job> job(new Job());
  job->env_ = env;
  job->abort_ = std::move(abort);
  job->self_ = job;
  job->call_ = Queue::New(env, name, 0, 1);
  // Registered after the function's own hook and so run before it: the thread has ended when the function goes.
  napi_add_env_cleanup_hook(env, on_env_end, job.get());
  job->thread_ = std::thread([raw = job.get(), work = std::move(work), settle = std::move(settle)] {
    work(*raw);
    raw->post([raw, settle](Napi::Env js) {
      const auto keep = std::move(raw->self_);
      napi_remove_env_cleanup_hook(raw->env_, on_env_end, raw);
      raw->thread_.join();  // it only has the release below left to do
      settle(js);
    });
    raw->call_.Release();
  });
  return job;
}

void Job::run_queued(Napi::Env env, Napi::Function, std::nullptr_t*, OnJavaScript* call) {
  const std::unique_ptr<OnJavaScript> owned(call);
  if (env == nullptr) return;
  const Napi::HandleScope scope(env);
  (*owned)(env);
}

void Job::post(OnJavaScript call) {
  auto boxed = std::make_unique<OnJavaScript>(std::move(call));
  if (call_.NonBlockingCall(boxed.get()) == napi_ok) static_cast<void>(boxed.release());
}

void Job::on_env_end(void* data) {
  auto* job = static_cast<Job*>(data);
  job->abort_();
  if (job->thread_.joinable()) job->thread_.join();
  const auto keep = std::move(job->self_);
}

}  // namespace berth::addon
