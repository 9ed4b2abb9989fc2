// Tests that need root: they fail without it.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (::geteuid() != 0) {
    std::fputs("these tests need root\n", stderr);
    return 1;
  }
  doctest::Context context(argc, argv);
  return context.run();
}
