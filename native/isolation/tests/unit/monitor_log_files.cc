// The compact format, compression of rotated files, and waiting for a log that is sent away.
#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "monitor/log_compress.h"
#include "monitor/log_writer.h"

using namespace berth::monitor;

namespace {

struct TemporaryDirectory {
  TemporaryDirectory() {
    char name[] = "/tmp/berth-logf-XXXXXX";
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

std::string inflated(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  REQUIRE(file != nullptr);
  std::string out;
  char block[4096];
  for (int got = gzread(file, block, sizeof block); got > 0; got = gzread(file, block, sizeof block))
    out.append(block, static_cast<size_t>(got));
  gzclose(file);
  return out;
}

uint64_t number(const std::string& bytes, size_t at, int size) {
  uint64_t value = 0;
  for (int i = size - 1; i >= 0; i--) value = value << 8 | static_cast<unsigned char>(bytes[at + static_cast<size_t>(i)]);
  return value;
}

struct Record {
  std::string text;
  int flags;
};

std::vector<Record> records(const std::string& file) {
  REQUIRE(file.substr(0, 8) == "BERTHLG1");
  std::vector<Record> all;
  for (size_t at = kCompactHeader; at < file.size();) {
    const size_t size = number(file, at, 4);
    REQUIRE(at + size + kCompactOverhead <= file.size());
    CHECK(number(file, at + 13 + size, 4) == size);
    all.push_back({file.substr(at + 13, size), file[at + 4]});
    at += size + kCompactOverhead;
  }
  return all;
}

struct Writer {
  explicit Writer(LogOptions options) : log(std::move(options), &scratch) {
    REQUIRE(loop.open().ok());
    REQUIRE(scratch.open(&loop).ok());
    REQUIRE(log.open().ok());
  }
  void put(const std::string& text, int stream = 1) {
    log.append(stream, text.data(), text.size());
    log.flush();
  }
  Loop loop;
  Scratch scratch;
  LogWriter log;
};

void wait_for_compressor(LogWriter& log) {
  int status = 0;
  for (pid_t pid = waitpid(-1, &status, 0); pid > 0; pid = waitpid(-1, &status, 0))
    REQUIRE(log.reaped(pid, WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

}  // namespace

TEST_CASE("a compact log has the streams, the pieces of long lines and any byte") {
  TemporaryDirectory dir;
  const std::string path = dir.path + "/log";
  {
    Writer writer({.path = path, .compact = true});
    writer.put(std::string("a\0\xff\n", 4));
    writer.put("oops\n", 2);
    writer.put(std::string(kMaxLogPiece + 3, 'x') + "\n");
    writer.put("end");
    writer.log.finish(1);
  }
  const auto all = records(content(path));
  REQUIRE(all.size() == 5);
  CHECK(all[0].text == std::string("a\0\xff\n", 4));
  CHECK(all[0].flags == 0);
  CHECK(all[1].flags == kCompactStderr);
  CHECK(all[2].text.size() == kMaxLogPiece);
  CHECK(all[2].flags == kCompactGoesOn);
  CHECK(all[3].text == "xxx\n");
  CHECK(all[3].flags == 0);
  CHECK(all[4].text == "end");
}

TEST_CASE("a torn compact record is cut off, whatever it is torn into") {
  TemporaryDirectory dir;
  const std::string path = dir.path + "/log";
  Writer({.path = path, .compact = true}).put("one\ntwo\n");
  const std::string whole = content(path);
  for (size_t size = 1; size < whole.size(); size++) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    Writer({.path = path, .compact = true}).put("new\n");
    const auto all = records(content(path));
    REQUIRE(!all.empty());
    CHECK(all.back().text == "new\n");
    CHECK(all.size() == (size >= kCompactHeader + 21 ? 2 : 1));
  }
}

TEST_CASE("a place in a compact log is one number over rotations and restarts") {
  TemporaryDirectory dir;
  const std::string path = dir.path + "/log";
  const LogOptions options{.path = path, .max_size = 64, .max_files = 3, .compact = true};
  for (int run = 0; run < 2; run++) {
    Writer writer(options);
    for (int i = 0; i < 5; i++) writer.put("0123456789\n");
  }
  uint64_t end = 0;
  for (const std::string name : {".2", ".1", ""}) {
    const std::string file = content(path + name);
    if (end != 0) CHECK(number(file, 8, 8) == end);
    end = number(file, 8, 8) + file.size();
  }
  CHECK(end > 10 * 28);
}

TEST_CASE("rotated files are compressed and say which they were") {
  for (const bool compact : {false, true}) {
    TemporaryDirectory dir;
    const std::string path = dir.path + "/log";
    const LogOptions options{.path = path, .max_size = 200, .max_files = 3, .compress = true, .compact = compact};
    Writer writer(options);
    std::string id;
    for (int i = 0; i < 30; i++) {
      writer.put("line " + std::to_string(i) + "\n");
      wait_for_compressor(writer.log);
    }
    CHECK(!std::filesystem::exists(path + ".1"));
    CHECK(!std::filesystem::exists(path + ".gz.tmp"));
    CHECK(!std::filesystem::exists(path + ".3.gz"));
    CHECK(inflated(path + ".1.gz").find("line") != std::string::npos);
    CHECK(inflated(path + ".2.gz").find("line") != std::string::npos);
    if (compact) CHECK(end_of_compressed(path + ".1.gz") == number(content(path), 8, 8));
    // A new run knows where the log stands although nothing plain is left behind the current file.
    std::filesystem::remove(path);
    if (compact) {
      Writer next(options);
      next.put("x\n");
      CHECK(number(content(path), 8, 8) == end_of_compressed(path + ".1.gz"));
    }
  }
}

TEST_CASE("with hold a full log waits until its oldest file has been sent away") {
  TemporaryDirectory dir;
  const std::string path = dir.path + "/log";
  Writer writer({.path = path, .max_size = 64, .max_files = 2, .compact = true, .hold = true});
  int lines = 0;
  for (; !writer.log.blocked() && lines < 100; lines++) writer.put("0123456789\n");
  CHECK(lines == 3);
  const std::string oldest = content(path + ".1");
  writer.put("0123456789\n");  // what had been read already
  CHECK(content(path + ".1") == oldest);
  writer.log.shipped(number(content(path), 8, 8));
  CHECK(!writer.log.blocked());
  writer.put("0123456789\n");
  CHECK(content(path + ".1") != oldest);
}

TEST_CASE("attributes are in every json-file record") {
  TemporaryDirectory dir;
  const std::string path = dir.path + "/log";
  Writer({.path = path, .attributes = "{\"tag\":\"t\"}"}).put("a\n");
  CHECK(content(path).starts_with("{\"log\":\"a\\n\",\"stream\":\"stdout\",\"attrs\":{\"tag\":\"t\"},\"time\":\""));
}
