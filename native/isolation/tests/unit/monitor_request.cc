// Request lines and monitor.json: what is taken, what is refused and by which name.
#include <doctest/doctest.h>

#include <string>

#include "monitor/answer.h"
#include "monitor/config.h"
#include "monitor/request.h"

using namespace berth::monitor;

namespace {

std::string failure(std::string_view line) {
  auto request = parse_request(line);
  return request.ok() ? "" : request.error().message();
}

}  // namespace

TEST_CASE("requests are read") {
  auto attach = parse_request(R"({"op":"attach","stdin":true,"stdout":true,"stderr":false,"exec":"e1"})");
  REQUIRE(attach.ok());
  CHECK(attach->operation == Operation::attach);
  CHECK(attach->wants.in);
  CHECK_FALSE(attach->wants.err);
  CHECK(*attach->exec == "e1");

  auto exec = parse_request(
      R"({"op":"exec","id":"x","process":{"args":["sh"],"cwd":"/","user":{"uid":1,"gid":2},"terminal":true},)"
      R"("user":"nobody","privileged":true,"attach":{"stdin":true},"rows":10,"cols":20})");
  REQUIRE(exec.ok());
  CHECK(exec->process.args == std::vector<std::string>{"sh"});
  CHECK(exec->process.terminal);
  CHECK(exec->attached);
  CHECK(exec->wants.in);
  CHECK_FALSE(exec->wants.out);
  CHECK(exec->rows == 10);

  auto detached = parse_request(R"({"op":"exec","id":"x","process":{"args":["a"],"cwd":"/"},"attach":null})");
  REQUIRE(detached.ok());
  CHECK_FALSE(detached->attached);

  auto kill = parse_request(R"({"op":"kill","signal":9,"all":true})");
  REQUIRE(kill.ok());
  CHECK(kill->all);
  REQUIRE(parse_request(R"({"op":"update","resources":{"memory":{"limit":1048576}}})").ok());
}

TEST_CASE("bad requests name the field") {
  CHECK(failure("").find("valid JSON") != std::string::npos);
  CHECK(failure("[]").find("an object") != std::string::npos);
  CHECK(failure("{}").find("op") != std::string::npos);
  CHECK(failure(R"({"op":"fly"})").find("op") != std::string::npos);
  CHECK(failure(R"({"op":"kill"})").find("signal") != std::string::npos);
  CHECK(failure(R"({"op":"kill","signal":65})").find("signal") != std::string::npos);
  CHECK(failure(R"({"op":"kill","signal":-1})").find("signal") != std::string::npos);
  CHECK(failure(R"({"op":"exec","process":{"args":["a"],"cwd":"/"}})").find("id") != std::string::npos);
  CHECK(failure(R"({"op":"exec","id":"x"})").find("process") != std::string::npos);
  CHECK(failure(R"({"op":"exec","id":"x","process":{"args":[],"cwd":"/"}})").find("args") != std::string::npos);
  CHECK(failure(R"({"op":"attach","stdin":1})").find("stdin") != std::string::npos);
  CHECK(failure(R"({"op":"resize","rows":70000})").find("rows") != std::string::npos);
  CHECK(failure(std::string(100000, '[')).find("nesting") != std::string::npos);
}

TEST_CASE("monitor.json") {
  const std::string good =
      R"({"v":1,"id":"c","exitFile":"/x/exit.json","log":{"path":"/x/l","maxSize":10,"maxFiles":2},)"
      R"("rootfsMounts":[{"type":"overlay","source":"overlay","base":"/b","options":["lowerdir=1"]}],)"
      R"("user":"u:g","stdinOpen":true,"stdinOnce":true,"rows":24,"cols":80})";
  auto config = parse_config(good);
  REQUIRE(config.ok());
  CHECK(config->log->max_size == 10);
  CHECK(config->rootfs_mounts.at(0).options.at(0) == "lowerdir=1");
  CHECK(config->stdin_once);
  auto none = parse_config(R"({"v":1,"id":"c","exitFile":"/x","log":null})");
  REQUIRE(none.ok());
  CHECK_FALSE(none->log.has_value());
  CHECK_FALSE(parse_config(R"({"v":2,"id":"c","exitFile":"/x"})").ok());
  CHECK_FALSE(parse_config(R"({"v":1,"id":"c","exitFile":"x"})").ok());
  CHECK_FALSE(parse_config(R"({"v":1,"id":"","exitFile":"/x"})").ok());
  CHECK_FALSE(parse_config(R"({"v":1,"id":"c","exitFile":"/x","log":{"path":"/l","maxFiles":0}})").ok());
}

TEST_CASE("errors and exit records are written as agreed") {
  const berth::Error error{ENOENT, "exec", "/bin/x", "no \"x\""};
  CHECK(error_line(error, 127) ==
        R"({"ok":false,"error":{"code":"ENOENT","call":"exec","object":"/bin/x","message":"exec /bin/x: no \"x\""},)"
        R"("exitCode":127})");
  ExitRecord record;
  record.status = {137, 9};
  record.started_ns = 1767323045000000000;
  record.finished_ns = 1767323046500000000;
  CHECK(exit_record_json(record, false) ==
        R"({"v":1,"exitCode":137,"signal":9,"oomKilled":false,"startedAt":"2026-01-02T03:04:05Z",)"
        R"("finishedAt":"2026-01-02T03:04:06.5Z","error":""})");
  CHECK(exit_record_json(record, true).starts_with(R"({"event":"exit","v":1,)"));
}
