// The readers that parse.cc is put together from.
#pragma once

#include "oci/json.h"
#include "oci/spec.h"

namespace berth::oci {

void read_id_mapping(ObjectReader& in, IdMapping& out);
void read_process(ObjectReader& in, Process& out);
void read_resources(ObjectReader& in, Resources& out);
void read_seccomp(ObjectReader& in, Seccomp& out);
void read_linux(ObjectReader& in, Linux& out);

}  // namespace berth::oci
