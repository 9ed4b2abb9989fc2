// Small translators of the container part: mount options, users, signals, ids, paths.
#include <doctest/doctest.h>
#include <sys/mount.h>

#include <csignal>

#include "container/launch.h"
#include "container/mount_options.h"
#include "container/paths.h"
#include "container/process.h"
#include "container/users.h"
#include "lifecycle/lifecycle.h"

using namespace berth;
using namespace berth::container;

TEST_CASE("mount options") {
  const auto options = parse_mount_options({"rbind", "ro", "nosuid", "rprivate", "size=64k", "mode=755", "rw"});
  CHECK(options.bind());
  CHECK((options.flags & MS_REC) != 0);
  CHECK((options.flags & MS_RDONLY) == 0);
  CHECK((options.cleared & MS_RDONLY) != 0);
  CHECK((options.flags & MS_NOSUID) != 0);
  CHECK(options.propagation == std::vector<unsigned long>{MS_PRIVATE | MS_REC});
  CHECK(options.data == "size=64k,mode=755");
  CHECK(parse_mount_options({"rro"}).recursive_set == MOUNT_ATTR_RDONLY);
  CHECK(parse_mount_options({"ridmap"}).recursive_idmap);
  CHECK(parse_mount_options({"src-subpath=a/b,c"}).source_subpath == "a/b,c");
  CHECK(parse_mount_options({"tmpcopyup", ""}).copy_up);
  CHECK(propagation_flags("rshared").value() == (MS_SHARED | MS_REC));
  CHECK_FALSE(propagation_flags("public").ok());
}

TEST_CASE("users as Docker resolves them") {
  const std::string passwd =
      "# comment\nroot:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:44:w:/srv:/bin/sh\n55:x:7:8::/seven:\n";
  const std::string group = "root:x:0:root\nwheel:x:10:root,web\nweb:x:44:\nempty\nweb2:x:77:web\n";
  oci::User none;
  const auto find = [&](const std::string& user) { return resolve_identity_in(passwd, group, {user, {}}, none); };

  const auto root = find("0");
  REQUIRE(root.ok());
  CHECK(root.value().uid == 0);
  CHECK(root.value().groups == std::vector<gid_t>{0, 10});
  CHECK(root.value().home == "/root");

  const auto web = find("web");
  REQUIRE(web.ok());
  CHECK(web.value().uid == 33);
  CHECK(web.value().gid == 44);
  CHECK(web.value().groups == std::vector<gid_t>{10, 77, 44});

  const auto grouped = find("web:wheel");
  REQUIRE(grouped.ok());
  CHECK(grouped.value().gid == 10);
  CHECK(grouped.value().groups == std::vector<gid_t>{10});

  CHECK(find("1234:99").value().gid == 99);
  CHECK(find("1234").value().gid == 0);
  CHECK(find("1234").value().home == "/");
  CHECK(find("55").value().uid == 7);  // a name of digits wins if it comes first
  CHECK(find("nobody").error().message() == "unable to find user nobody: no matching entries in passwd file");
  CHECK(find("root:nope").error().message() == "unable to find group nope: no matching entries in group file");
  CHECK_FALSE(find("2147483648").ok());
  CHECK_FALSE(find("-1").ok());

  oci::User given;
  given.uid = 33;
  given.gid = 5;
  given.additional_gids = {10, 12};
  const auto as_given = resolve_identity_in(passwd, group, {}, given);
  REQUIRE(as_given.ok());
  CHECK(as_given.value().groups == std::vector<gid_t>{10, 12});
  CHECK(as_given.value().home == "/srv");
  CHECK(resolve_identity_in("", "", {"0", {}}, none).value().home == "/");
}

TEST_CASE("signals") {
  CHECK(lifecycle::signal_number("9").value() == SIGKILL);
  CHECK(lifecycle::signal_number("SIGTERM").value() == SIGTERM);
  CHECK(lifecycle::signal_number("usr1").value() == SIGUSR1);
  CHECK(lifecycle::signal_number("RTMIN").value() == 34);
  CHECK(lifecycle::signal_number("RTMIN+3").value() == 37);
  CHECK(lifecycle::signal_number("RTMAX-1").value() == 63);
  for (const char* bad : {"", "65", "999", "NOPE", "RTMIN+40", "RTMIN-1", "9x", "-9"})
    CHECK_FALSE(lifecycle::signal_number(bad).ok());
}

TEST_CASE("container ids") {
  for (const char* good : {"a", "A-b_c.d+1", "_x", "-x"}) CHECK(lifecycle::check_id(good).ok());
  for (const char* bad : {"", ".", "..", ".x", "a/b", "a b", "\n"}) CHECK_FALSE(lifecycle::check_id(bad).ok());
}

TEST_CASE("cgroup paths") {
  oci::Spec spec;
  CHECK(lifecycle::cgroup_path(spec, "x", false).value() == "/berth/x");
  CHECK(lifecycle::cgroup_path(spec, "x", true).value() == "/system.slice/berth-x.scope");
  spec.linux_.cgroups_path = "../../etc";
  CHECK(lifecycle::cgroup_path(spec, "x", false).value() == "/etc");
  spec.linux_.cgroups_path = "a-b.slice:docker:id";
  CHECK(lifecycle::cgroup_path(spec, "x", true).value() == "/a.slice/a-b.slice/docker-id.scope");
  spec.linux_.cgroups_path = "/plain";
  CHECK_FALSE(lifecycle::cgroup_path(spec, "x", true).ok());
}

TEST_CASE("clean paths") {
  CHECK(clean_path("") == "/");
  CHECK(clean_path("a//b/./c/../d/") == "/a/b/d");
  CHECK(clean_path("/../../x") == "/x");
  CHECK(absolute("/b", "x") == "/b/x");
  CHECK(absolute("/b", "/x") == "/x");
}

TEST_CASE("looking up programs") {
  CHECK(find_program("sh", {"PATH=/nope:/bin"}).value() == "/bin/sh");
  const auto missing = find_program("no-such-program", {"PATH=/bin"});
  CHECK(missing.error().message() == "exec: \"no-such-program\": executable file not found in $PATH");
  CHECK(exit_code_of_exec_failure(missing.error()) == 127);
  const auto gone = find_program("/no/such", {});
  CHECK(gone.error().message() == "exec: \"/no/such\": stat /no/such: no such file or directory");
  const auto directory = find_program("/etc", {});
  CHECK(directory.error().message() == "exec: \"/etc\": is a directory");
  CHECK(exit_code_of_exec_failure(directory.error()) == 126);
  const auto plain = find_program("/etc/passwd", {});
  CHECK(plain.error().message() == "exec: \"/etc/passwd\": permission denied");
  CHECK(exit_code_of_exec_failure(plain.error()) == 126);
}
