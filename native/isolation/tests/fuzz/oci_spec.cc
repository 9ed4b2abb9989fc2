// Any bytes as config.json: parsed or refused, never more. Also as a process and a resources object.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "container/mount_options.h"
#include "container/users.h"
#include "oci/parse.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto spec = berth::oci::parse_spec(text))
    for (const auto& mount : spec->mounts) (void)berth::container::parse_mount_options(mount.options);
  (void)berth::oci::parse_process(text);
  (void)berth::oci::parse_resources(text);
  // The same bytes as the passwd and group files of a hostile image.
  const std::string file(text.substr(0, 4096));
  for (const char* user : {"0", "web", "web:wheel", "7:8"})
    (void)berth::container::resolve_identity_in(file, file, {user, {user}}, {});
  return 0;
}
