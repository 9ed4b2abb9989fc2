// A short, repeatable run of the fuzz targets in every test run: seeds, then seeds damaged in a few thousand ways. The
// long runs are libFuzzer's (tests/fuzz).
#include <doctest/doctest.h>

#define LLVMFuzzerTestOneInput fuzz_monitor_request
#include "../fuzz/monitor_request.cc"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_monitor_log
#include "../fuzz/monitor_log.cc"
#undef LLVMFuzzerTestOneInput

#include <iterator>
#include <random>

using namespace std::string_literals;

namespace {

const std::string kSeeds[] = {
    R"({"op":"state"})",
    R"({"op":"attach","stdin":true,"stdout":true,"stderr":true,"exec":"e1"})",
    R"({"op":"exec","id":"x","process":{"terminal":true,"args":["sh","-c","echo"],"env":["A=b"],"cwd":"/",)"
    R"("user":{"uid":1,"gid":2,"additionalGids":[3]},"capabilities":{"bounding":["CAP_CHOWN"]},)"
    R"("rlimits":[{"type":"RLIMIT_NOFILE","soft":1,"hard":2}]},"user":"a:b","attach":{"stdin":true},"rows":1,"cols":2})",
    R"({"op":"kill","signal":9,"all":true})",
    R"({"op":"resize","rows":24,"cols":80})",
    R"({"op":"update","resources":{"memory":{"limit":1},"cpu":{"shares":2,"cpus":"0-1"},"unified":{"a":"b"},)"
    R"("blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}]}}})",
    R"({"v":1,"id":"c","exitFile":"/x","log":{"path":"/l","maxSize":10,"maxFiles":2},"rootfsMounts":)"
    R"([{"type":"overlay","source":"o","base":"/b","options":["lowerdir=1"]}],"stdinOpen":true,"rows":1})",
    "\x10\x20line one\nline two\n\xC3\xBC\xFF\x00<&>\"\\"s,
    "\xFF\x3F" + std::string(3000, 'x') + "\n",
};

std::string damaged(std::mt19937& random, std::string text) {
  for (unsigned changes = 1 + random() % 4; changes > 0 && !text.empty(); changes--) {
    const size_t at = random() % text.size();
    switch (random() % 5) {
      case 0:
        text[at] = static_cast<char>(random() % 256);
        break;
      case 1:
        text.erase(at, 1 + random() % 8);
        break;
      case 2:
        text.insert(at, text.substr(random() % text.size(), random() % 16));
        break;
      case 3:
        text.insert(at, 1, "{}[]\",:\\0-9\n"[random() % 12]);
        break;
      default:
        text.resize(at);
    }
  }
  return text;
}

template <typename Target>
void run(Target target, int rounds) {
  std::mt19937 random(1);
  for (int i = 0; i < rounds; i++) {
    const std::string input = damaged(random, kSeeds[random() % std::size(kSeeds)]);
    REQUIRE(target(reinterpret_cast<const uint8_t*>(input.data()), input.size()) == 0);
  }
}

}  // namespace

TEST_CASE("damaged requests are refused, never worse") { run(fuzz_monitor_request, 20000); }
TEST_CASE("damaged output is logged, never worse") { run(fuzz_monitor_log, 400); }
