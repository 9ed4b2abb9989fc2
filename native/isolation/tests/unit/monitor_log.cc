// The log: lines to records, long lines, rotation, what a crash leaves.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <vector>

#include "monitor/log_writer.h"
#include "monitor/time_text.h"

using namespace berth::monitor;
using nlohmann::json;

namespace {

class TextSink final : public RecordSink {
 public:
  char* reserve() override {
    buffer_.resize(kMaxLogRecord);
    return buffer_.data();
  }
  void commit(size_t size) override {
    REQUIRE(size <= kMaxLogRecord);
    records.emplace_back(buffer_.data(), size);
  }
  std::vector<std::string> records;

 private:
  std::string buffer_;
};

constexpr int64_t kTime = 1767323045123456789;  // 2026-01-02T03:04:05.123456789Z

struct TemporaryDirectory {
  TemporaryDirectory() {
    char name[] = "/tmp/berth-log-XXXXXX";
    path = mkdtemp(name);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
  std::string path;
};

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Writer {
  explicit Writer(LogOptions options) : log(std::move(options), &scratch) {
    REQUIRE(loop.open().ok());
    REQUIRE(scratch.open(&loop).ok());
    REQUIRE(log.open().ok());
  }
  void put(const std::string& text, int stream = 1) { log.append(stream, text.data(), text.size()); }
  Loop loop;
  Scratch scratch;
  LogWriter log;
};

}  // namespace

TEST_CASE("times are RFC 3339 with the fraction's trailing zeros left out") {
  CHECK(rfc3339(kTime) == "2026-01-02T03:04:05.123456789Z");
  CHECK(rfc3339(kTime - kTime % 1000000000) == "2026-01-02T03:04:05Z");
  CHECK(rfc3339(kTime - 56789) == "2026-01-02T03:04:05.1234Z");
  TimeFormatter formatter;
  CHECK(formatter.format(kTime) == "2026-01-02T03:04:05.123456789Z");
  CHECK(formatter.format(kTime + 1000000000) == "2026-01-02T03:04:06.123456789Z");
  CHECK(formatter.format(kTime + 11) == "2026-01-02T03:04:05.1234568Z");
}

TEST_CASE("one record a line, a line may come in pieces") {
  TextSink sink;
  LineEncoder encoder("stdout", &sink);
  encoder.append("one\ntw", 6, kTime);
  REQUIRE(sink.records.size() == 1);
  CHECK(sink.records[0] == "{\"log\":\"one\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05.123456789Z\"}\n");
  encoder.append("o\n\n", 3, kTime);
  REQUIRE(sink.records.size() == 3);
  CHECK(json::parse(sink.records[1])["log"] == "two\n");
  CHECK(json::parse(sink.records[2])["log"] == "\n");
  encoder.append("rest", 4, kTime);
  encoder.finish(kTime);
  REQUIRE(sink.records.size() == 4);
  CHECK(json::parse(sink.records[3])["log"] == "rest");
}

TEST_CASE("long lines are split at 16 KiB, with the first piece's time") {
  TextSink sink;
  LineEncoder encoder("stderr", &sink);
  encoder.append(std::string(40000, 'x').data(), 40000, kTime);
  encoder.append("\nnext\n", 6, kTime + 1000000000);
  REQUIRE(sink.records.size() == 4);
  const auto record = [&](size_t i) { return json::parse(sink.records[i]); };
  CHECK(record(0)["log"] == std::string(16384, 'x'));
  CHECK(record(1)["log"] == std::string(16384, 'x'));
  CHECK(record(2)["log"] == std::string(40000 - 2 * 16384, 'x') + "\n");
  CHECK(record(2)["time"] == record(0)["time"]);
  CHECK(record(3)["log"] == "next\n");
  CHECK(record(3)["time"] != record(0)["time"]);
}

TEST_CASE("pieces never depend on how the bytes were read") {
  std::mt19937 random(7);
  for (int round = 0; round < 30; round++) {
    std::string text;
    for (int line = 0; line < 20; line++) text += std::string(random() % (round % 3 == 0 ? 40000 : 300), 'a') + "\n";
    if (round % 2 == 0) text += "open end";
    TextSink whole, cut;
    LineEncoder first("stdout", &whole), second("stdout", &cut);
    first.append(text.data(), text.size(), kTime);
    first.finish(kTime);
    for (size_t at = 0; at < text.size();) {
      const size_t size = std::min<size_t>(1 + random() % 20000, text.size() - at);
      second.append(text.data() + at, size, kTime);
      at += size;
    }
    second.finish(kTime);
    REQUIRE(whole.records == cut.records);
    std::string joined;
    for (const auto& record : whole.records) joined += json::parse(record)["log"].get<std::string>();
    REQUIRE(joined == text);
  }
}

TEST_CASE("rotation keeps the number and size of files, and every record whole") {
  TemporaryDirectory directory;
  const std::string path = directory.path + "/x-json.log";
  Writer writer({path, 4096, 3});
  for (int i = 0; i < 1000; i++) writer.put("line " + std::to_string(i) + "\n", 1 + i % 2);
  writer.log.flush();
  CHECK(std::filesystem::exists(path + ".2"));
  CHECK_FALSE(std::filesystem::exists(path + ".3"));
  int next = -1;
  for (const std::string& name : {path + ".2", path + ".1", path}) {
    const std::string text = content(name);
    CHECK(text.size() <= 4096);
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const std::string log = json::parse(line)["log"];
      const int number = std::stoi(log.substr(5));
      if (next >= 0) REQUIRE(number == next);
      next = number + 1;
    }
  }
  CHECK(next == 1000);
}

TEST_CASE("one file that is full starts anew") {
  TemporaryDirectory directory;
  const std::string path = directory.path + "/x-json.log";
  Writer writer({path, 1000, 1});
  for (int i = 0; i < 100; i++) writer.put("line\n");
  writer.log.flush();
  CHECK(content(path).size() <= 1000);
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
  CHECK_FALSE(std::filesystem::exists(path + ".1"));
}

TEST_CASE("an existing log is continued, and a torn record cut off") {
  TemporaryDirectory directory;
  const std::string path = directory.path + "/x-json.log";
  const std::string good = "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}\n";
  std::ofstream(path, std::ios::binary) << good << "{\"log\":\"torn";
  Writer writer({path, 0, 1});
  writer.put("b\n");
  writer.log.flush();
  const std::string text = content(path);
  CHECK(text.starts_with(good + "{\"log\":\"b\\n\""));
}

TEST_CASE("the log is a regular file or none") {
  TemporaryDirectory directory;
  const std::string path = directory.path + "/x-json.log";
  REQUIRE(symlink("/etc/hostname", path.c_str()) == 0);
  Loop loop;
  Scratch scratch;
  REQUIRE(loop.open().ok());
  REQUIRE(scratch.open(&loop).ok());
  CHECK_FALSE(LogWriter({path, 0, 1}, &scratch).open().ok());
  CHECK_FALSE(LogWriter({"/dev/null", 0, 1}, &scratch).open().ok());
}
