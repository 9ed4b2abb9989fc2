// The network calls (net/network.h) as promises.
#include "addon/addon.h"
#include "net/network.h"

namespace berth::addon {
namespace {

Napi::Value to_fd_number(Napi::Env env, UniqueFd& fd) { return Napi::Number::New(env, fd.release()); }

Napi::Value ensure_bridge(const Napi::CallbackInfo& info) {
  Args call(info);
  Args in = call.object(0);
  net::BridgeOptions options;
  options.name = in.string("name");
  options.address = in.string("address");
  options.mtu = static_cast<uint32_t>(in.integer("mtu", 68, 65535));
  if (!in.ok()) return in.fail();
  return run_async_void(info.Env(), [options] { return net::ensure_bridge(options); });
}

Napi::Value create_namespace(const Napi::CallbackInfo& info) {
  return run_async<UniqueFd>(info.Env(), [] { return net::create_namespace(); }, to_fd_number);
}

Napi::Value create_endpoint(const Napi::CallbackInfo& info) {
  Args call(info);
  Args in = call.object(0);
  net::EndpointOptions options;
  options.namespace_fd = in.fd("namespace");
  options.bridge = in.string("bridge");
  options.host_interface = in.string("hostInterface");
  options.name = in.string("name");
  options.mac = in.string("mac");
  options.address = in.string("address");
  options.gateway = in.string_or_null("gateway").value_or("");
  options.mtu = static_cast<uint32_t>(in.integer("mtu", 68, 65535));
  if (!in.ok()) return in.fail();
  return run_async_void(info.Env(), [options] { return net::create_endpoint(options); });
}

Napi::Value remove_link(const Napi::CallbackInfo& info) {
  Args in(info);
  const std::string name = in.string(0);
  if (!in.ok()) return in.fail();
  return run_async_void(info.Env(), [name] { return net::remove_link(name); });
}

Napi::Value list_routes(const Napi::CallbackInfo& info) {
  return run_async<std::vector<std::string>>(
      info.Env(), [] { return net::routes(); },
      [](Napi::Env env, std::vector<std::string>& list) -> Napi::Value {
        Napi::Array array = Napi::Array::New(env, list.size());
        for (uint32_t i = 0; i < list.size(); ++i) array.Set(i, list[i]);
        return array;
      });
}

Napi::Object to_js(Napi::Env env, const net::InterfaceStats& stats) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", stats.name);
  const auto number = [&](const char* field, uint64_t value) { object.Set(field, Napi::Number::New(env, static_cast<double>(value))); };
  number("rxBytes", stats.rx_bytes);
  number("rxPackets", stats.rx_packets);
  number("rxErrors", stats.rx_errors);
  number("rxDropped", stats.rx_dropped);
  number("txBytes", stats.tx_bytes);
  number("txPackets", stats.tx_packets);
  number("txErrors", stats.tx_errors);
  number("txDropped", stats.tx_dropped);
  return object;
}

Napi::Value interface_stats(const Napi::CallbackInfo& info) {
  Args in(info);
  const int fd = in.fd(0);
  if (!in.ok()) return in.fail();
  return run_async<std::vector<net::InterfaceStats>>(
      info.Env(), [fd] { return net::interface_stats(fd); },
      [](Napi::Env env, std::vector<net::InterfaceStats>& list) -> Napi::Value {
        Napi::Array array = Napi::Array::New(env, list.size());
        for (uint32_t i = 0; i < list.size(); ++i) array.Set(i, to_js(env, list[i]));
        return array;
      });
}

Napi::Value run_nft(const Napi::CallbackInfo& info) {
  Args in(info);
  const std::string commands = in.string(0);
  if (!in.ok()) return in.fail();
  return run_async<std::string>(
      info.Env(), [commands] { return net::nft(commands); },
      [](Napi::Env env, std::string& text) -> Napi::Value { return Napi::String::New(env, text); });
}

BERTH_ADDON_MODULE(net, [](Napi::Env env, Napi::Object exports) {
  exports.Set("netEnsureBridge", Napi::Function::New(env, ensure_bridge));
  exports.Set("netCreateNamespace", Napi::Function::New(env, create_namespace));
  exports.Set("netCreateEndpoint", Napi::Function::New(env, create_endpoint));
  exports.Set("netRemoveLink", Napi::Function::New(env, remove_link));
  exports.Set("netRoutes", Napi::Function::New(env, list_routes));
  exports.Set("netInterfaceStats", Napi::Function::New(env, interface_stats));
  exports.Set("netNft", Napi::Function::New(env, run_nft));
});

}  // namespace
}  // namespace berth::addon
