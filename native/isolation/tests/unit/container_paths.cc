// Look-ups below a hostile root stay below it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "container/paths.h"

using namespace berth;
using namespace berth::container;
namespace fs = std::filesystem;

namespace {

struct Tree {
  std::string base;
  UniqueFd root;
  Tree() {
    char name[] = "/tmp/berth-paths-XXXXXX";
    base = ::mkdtemp(name);
    fs::create_directory(base + "/root");
    fs::create_directory(base + "/outside");
    root.reset(::open((base + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  ~Tree() { fs::remove_all(base); }
};

std::string where(int fd) { return fs::read_symlink("/proc/self/fd/" + std::to_string(fd)).string(); }

}  // namespace

TEST_CASE("symbolic links and dots do not lead out") {
  Tree tree;
  fs::create_symlink(tree.base + "/outside", tree.base + "/root/absolute");
  fs::create_symlink("../../outside", tree.base + "/root/relative");
  fs::create_symlink("loop", tree.base + "/root/loop");
  for (const char* path : {"absolute/x", "relative/y", "../outside/z", "/a/../../b", "/c/d/e"}) {
    const auto made = ensure_in_root(tree.root.get(), path, Make::directory);
    REQUIRE_MESSAGE(made.ok(), path);
    CHECK(where(made.value().get()).starts_with(tree.base + "/root/"));
  }
  CHECK(fs::is_empty(tree.base + "/outside"));
  CHECK(ensure_in_root(tree.root.get(), "loop/x", Make::directory).error().code == ELOOP);
}

TEST_CASE("files and parents are made") {
  Tree tree;
  const auto file = ensure_in_root(tree.root.get(), "/etc/deep/hosts", Make::file);
  REQUIRE(file.ok());
  CHECK(fs::is_regular_file(tree.base + "/root/etc/deep/hosts"));
  const auto parent = ensure_parent_in_root(tree.root.get(), "/dev/sub/null");
  REQUIRE(parent.ok());
  CHECK(parent.value().name == "null");
  CHECK(fs::is_directory(tree.base + "/root/dev/sub"));
  CHECK_FALSE(ensure_parent_in_root(tree.root.get(), "/").ok());
}

TEST_CASE("a dangling link's target is made inside") {
  Tree tree;
  fs::create_symlink("/var/run", tree.base + "/root/run");
  const auto made = ensure_in_root(tree.root.get(), "/run/secrets", Make::directory);
  REQUIRE(made.ok());
  CHECK(fs::is_directory(tree.base + "/root/var/run/secrets"));
}

TEST_CASE("a file in the way is an error") {
  Tree tree;
  ::close(::open((tree.base + "/root/file").c_str(), O_WRONLY | O_CREAT, 0644));
  CHECK(ensure_in_root(tree.root.get(), "/file/x", Make::directory).error().code == ENOTDIR);
}
