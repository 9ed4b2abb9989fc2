// Other OCI runtimes: what they have said, and what of monitor.json is for them.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/file.h"
#include "external/command.h"
#include "monitor/config.h"

using namespace berth;

namespace {

std::string last_error_in(const std::string& log) {
  char path[] = "/tmp/berth-unit-XXXXXX";
  ::close(::mkstemp(path));
  REQUIRE(replace_file(path, log, 0600, false).ok());
  const std::string said = external::last_error(path);
  ::unlink(path);
  return said;
}

Result<monitor::Config> config_with(const std::string& runtime) {
  return monitor::parse_config(R"({"v":1,"id":"a","exitFile":"/e","runtime":)" + runtime + "}");
}

}  // namespace

TEST_CASE("a runtime's last error is told, whatever else its log holds") {
  CHECK(last_error_in("") == "");
  CHECK(last_error_in("{\"level\":\"warning\",\"msg\":\"w\"}\n") == "");
  CHECK(last_error_in("{\"level\":\"error\",\"msg\":\"first\"}\n{\"level\":\"error\",\"msg\":\"second\\n\"}\n"
                      "{\"level\":\"info\",\"msg\":\"x\"}\n") == "second");
  CHECK(last_error_in("no json\n[1]\n{\"level\":1,\"msg\":2}\n{\"level\":\"error\",\"msg\":7}\n{\"level\":\"error\"}\n"
                      "{\"level\":\"error\",\"msg\":\"it\"}") == "it");
  CHECK(external::last_error("/nonexistent/log.json") == "");
}

TEST_CASE("exit codes are read out of a runtime's text as Docker does") {
  CHECK(external::exit_code_of_text("exec: \"/x\": permission denied") == 126);
  CHECK(external::exit_code_of_text("exec: \"/etc\": is a directory") == 126);
  CHECK(external::exit_code_of_text("mount `/a` to `b`: Not a directory") == 127);
  CHECK(external::exit_code_of_text("executable file `x` not found in $PATH: No such file or directory") == 127);
  CHECK(external::exit_code_of_text("exec: \"x\": executable file not found in $PATH") == 127);
  CHECK(external::exit_code_of_text("anything else") == 128);
}

TEST_CASE("monitor.json: another runtime has absolute paths") {
  auto config = config_with(R"({"path":"/usr/bin/crun","args":["--x"],"root":"/run/x"})");
  REQUIRE(config.ok());
  REQUIRE(config->runtime.has_value());
  CHECK(config->runtime->path == "/usr/bin/crun");
  CHECK(config->runtime->args == std::vector<std::string>{"--x"});
  CHECK(config->runtime->root == "/run/x");
  CHECK_FALSE(config_with(R"({"path":"crun","args":[],"root":"/run/x"})").ok());
  CHECK_FALSE(config_with(R"({"path":"/usr/bin/crun","args":[]})").ok());
  CHECK_FALSE(config_with("7").ok());
}
