#include "monitor/request.h"

#include <algorithm>
#include <csignal>
#include <iterator>

#include "oci/json.h"
#include "oci/parse_parts.h"

namespace berth::monitor {

namespace {

using oci::ObjectReader;

constexpr size_t kMaxId = 256;

struct Name {
  std::string_view name;
  Operation operation;
};

constexpr Name kOperations[] = {
    {"state", Operation::state},   {"attach", Operation::attach}, {"exec", Operation::exec},
    {"resize", Operation::resize}, {"kill", Operation::kill},     {"pause", Operation::pause},
    {"resume", Operation::resume}, {"update", Operation::update}, {"stats", Operation::stats},
    {"subscribe", Operation::subscribe}, {"log-shipped", Operation::log_shipped}};

void read_wants(ObjectReader& in, Wants& wants) {
  in.read("stdin", wants.in);
  in.read("stdout", wants.out);
  in.read("stderr", wants.err);
}

void read_size(ObjectReader& in, Request& request) {
  in.read("rows", request.rows);
  in.read("cols", request.cols);
}

void read_exec(ObjectReader& in, Request& request) {
  in.read("id", request.id);
  if (request.id.empty() || request.id.size() > kMaxId) in.fail("id", "1 to 256 characters");
  if (in.member("process") == nullptr) in.fail("process", "an OCI process object");
  in.read_object("process", [&](ObjectReader& inner) { oci::read_process(inner, request.process); });
  if (request.process.args.empty()) in.fail("process.args", "at least one");
  in.read("user", request.user);
  in.read("privileged", request.privileged);
  in.read_object("attach", [&](ObjectReader& inner) {
    request.attached = true;
    read_wants(inner, request.wants);
  });
  read_size(in, request);
}

void read_fields(ObjectReader& in, Request& request) {
  switch (request.operation) {
    case Operation::attach:
      read_wants(in, request.wants);
      in.read("exec", request.exec);
      in.read("replay", request.replay);
      break;
    case Operation::log_shipped:
      in.read("offset", request.offset);
      break;
    case Operation::exec:
      read_exec(in, request);
      break;
    case Operation::resize:
      read_size(in, request);
      in.read("exec", request.exec);
      break;
    case Operation::kill:
      in.read("signal", request.signal);
      if (request.signal < 1 || request.signal > SIGRTMAX) in.fail("signal", "a signal number");
      in.read("exec", request.exec);
      in.read("all", request.all);
      in.read("tree", request.tree);
      break;
    case Operation::update:
      if (in.member("resources") == nullptr) in.fail("resources", "an object");
      in.read_object("resources", [&](ObjectReader& inner) { oci::read_resources(inner, request.resources); });
      break;
    default:
      break;
  }
}

}  // namespace

Result<Request> parse_request(std::string_view line) {
  BERTH_ASSIGN(const oci::Json json, oci::parse_json(line));
  ObjectReader in(json, "");
  std::string name;
  in.read("op", name);
  if (in.error()) return *in.error();
  const auto* found = std::find_if(std::begin(kOperations), std::end(kOperations),
                                   [&](const Name& known) { return known.name == name; });
  if (found == std::end(kOperations)) return bad_input("op", "one of those in PROTOCOL.md");
  Request request;
  request.operation = found->operation;
  request.line = line;
  read_fields(in, request);
  if (in.error()) return *in.error();
  return request;
}

}  // namespace berth::monitor
