#include <nftables/libnftables.h>

#include <memory>
#include <mutex>

#include "net/network.h"

namespace berth::net {

namespace {
struct Free {
  void operator()(nft_ctx* context) const { ::nft_ctx_free(context); }
};
}  // namespace

Result<std::string> nft(const std::string& commands) {
  // libnftables keeps parser state in globals: one transaction at a time.
  static std::mutex serial;
  const std::lock_guard lock(serial);
  const std::unique_ptr<nft_ctx, Free> context(::nft_ctx_new(NFT_CTX_DEFAULT));
  if (!context) return Error{ENOMEM, "nft", "", "cannot make a context"};
  if (::nft_ctx_buffer_output(context.get()) != 0 || ::nft_ctx_buffer_error(context.get()) != 0)
    return Error{ENOMEM, "nft", "", "cannot buffer its output"};
  if (::nft_run_cmd_from_buffer(context.get(), commands.c_str()) != 0) {
    std::string text = ::nft_ctx_get_error_buffer(context.get());
    return Error{EINVAL, "nft", "", text.substr(0, 4096)};
  }
  return std::string(::nft_ctx_get_output_buffer(context.get()));
}

}  // namespace berth::net
