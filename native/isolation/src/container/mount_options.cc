#include "container/mount_options.h"

#include <sys/mount.h>

#include <algorithm>
#include <string_view>

// Not in glibc's headers of every supported release.
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

namespace berth::container {

namespace {

struct Word {
  std::string_view word;
  bool clear;
  unsigned long flag;
};
constexpr Word kWords[] = {
    {"acl", false, MS_POSIXACL},
    {"async", true, MS_SYNCHRONOUS},
    {"atime", true, MS_NOATIME},
    {"bind", false, MS_BIND},
    {"defaults", false, 0},
    {"dev", true, MS_NODEV},
    {"diratime", true, MS_NODIRATIME},
    {"dirsync", false, MS_DIRSYNC},
    {"exec", true, MS_NOEXEC},
    {"iversion", false, MS_I_VERSION},
    {"lazytime", false, MS_LAZYTIME},
    {"loud", true, MS_SILENT},
    {"mand", false, MS_MANDLOCK},
    {"noacl", true, MS_POSIXACL},
    {"noatime", false, MS_NOATIME},
    {"nodev", false, MS_NODEV},
    {"nodiratime", false, MS_NODIRATIME},
    {"noexec", false, MS_NOEXEC},
    {"noiversion", true, MS_I_VERSION},
    {"nolazytime", true, MS_LAZYTIME},
    {"nomand", true, MS_MANDLOCK},
    {"norelatime", true, MS_RELATIME},
    {"nostrictatime", true, MS_STRICTATIME},
    {"nosuid", false, MS_NOSUID},
    {"nosymfollow", false, MS_NOSYMFOLLOW},
    {"rbind", false, MS_BIND | MS_REC},
    {"relatime", false, MS_RELATIME},
    {"remount", false, MS_REMOUNT},
    {"ro", false, MS_RDONLY},
    {"rw", true, MS_RDONLY},
    {"silent", false, MS_SILENT},
    {"strictatime", false, MS_STRICTATIME},
    {"suid", true, MS_NOSUID},
    {"symfollow", true, MS_NOSYMFOLLOW},
    {"sync", false, MS_SYNCHRONOUS},
};

struct Propagation {
  std::string_view word;
  unsigned long flags;
};
constexpr Propagation kPropagation[] = {
    {"private", MS_PRIVATE},   {"rprivate", MS_PRIVATE | MS_REC},       {"shared", MS_SHARED},
    {"rshared", MS_SHARED | MS_REC}, {"slave", MS_SLAVE},               {"rslave", MS_SLAVE | MS_REC},
    {"unbindable", MS_UNBINDABLE},   {"runbindable", MS_UNBINDABLE | MS_REC},
};

/// mount_setattr words; the access-time ones are values of one field, so setting clears the field first.
struct Recursive {
  std::string_view word;
  bool clear;
  uint64_t attribute;
};
constexpr Recursive kRecursive[] = {
    {"rro", false, MOUNT_ATTR_RDONLY},
    {"rrw", true, MOUNT_ATTR_RDONLY},
    {"rnosuid", false, MOUNT_ATTR_NOSUID},
    {"rsuid", true, MOUNT_ATTR_NOSUID},
    {"rnodev", false, MOUNT_ATTR_NODEV},
    {"rdev", true, MOUNT_ATTR_NODEV},
    {"rnoexec", false, MOUNT_ATTR_NOEXEC},
    {"rexec", true, MOUNT_ATTR_NOEXEC},
    {"rnodiratime", false, MOUNT_ATTR_NODIRATIME},
    {"rdiratime", true, MOUNT_ATTR_NODIRATIME},
    {"rnosymfollow", false, MOUNT_ATTR_NOSYMFOLLOW},
    {"rsymfollow", true, MOUNT_ATTR_NOSYMFOLLOW},
    {"rrelatime", false, MOUNT_ATTR_RELATIME},
    {"rnorelatime", true, MOUNT_ATTR_RELATIME},
    {"rnoatime", false, MOUNT_ATTR_NOATIME},
    {"ratime", true, MOUNT_ATTR_NOATIME},
    {"rstrictatime", false, MOUNT_ATTR_STRICTATIME},
    {"rnostrictatime", true, MOUNT_ATTR_STRICTATIME},
};

constexpr std::string_view kOther[] = {"tmpcopyup", "idmap", "ridmap", "copy-symlink", "src-nofollow", "src-subpath", "dest-nofollow"};

bool take_flag(MountOptions& out, std::string_view word) {
  for (const Word& known : kWords) {
    if (known.word != word) continue;
    if (known.clear) {
      out.flags &= ~known.flag;
      out.cleared |= known.flag;
    } else {
      out.flags |= known.flag;
      out.cleared &= ~known.flag;
    }
    return true;
  }
  for (const Propagation& known : kPropagation)
    if (known.word == word) {
      out.propagation.push_back(known.flags);
      return true;
    }
  return false;
}

bool take_recursive(MountOptions& out, std::string_view word) {
  for (const Recursive& known : kRecursive) {
    if (known.word != word) continue;
    const bool atime = (known.attribute & MOUNT_ATTR__ATIME) != 0 || known.attribute == MOUNT_ATTR_RELATIME;
    if (atime) {
      out.recursive_clear |= MOUNT_ATTR__ATIME;
      out.recursive_set &= ~uint64_t{MOUNT_ATTR__ATIME};
      if (!known.clear) out.recursive_set |= known.attribute;
    } else if (known.clear) {
      out.recursive_clear |= known.attribute;
      out.recursive_set &= ~known.attribute;
    } else {
      out.recursive_set |= known.attribute;
      out.recursive_clear &= ~known.attribute;
    }
    return true;
  }
  return false;
}

bool take_other(MountOptions& out, std::string_view word) {
  if (word == "tmpcopyup")
    out.copy_up = true;
  else if (word == "idmap" || word.starts_with("idmap="))
    out.idmap = true;
  else if (word == "ridmap")
    out.idmap = out.recursive_idmap = true;
  else if (word == "copy-symlink")
    out.copy_symlink = true;
  else if (word == "src-nofollow")
    out.source_nofollow = true;
  else if (word == "dest-nofollow")
    out.destination_nofollow = true;
  else if (word.starts_with("src-subpath="))
    out.source_subpath = word.substr(12);
  else
    return false;
  return true;
}

}  // namespace

bool MountOptions::bind() const { return (flags & MS_BIND) != 0; }

MountOptions parse_mount_options(const std::vector<std::string>& words) {
  MountOptions out;
  for (const auto& word : words) {
    if (word.empty() || take_flag(out, word) || take_recursive(out, word) || take_other(out, word)) continue;
    if (!out.data.empty()) out.data += ',';
    out.data += word;
  }
  return out;
}

Result<unsigned long> propagation_flags(const std::string& word) {
  if (word.empty()) return 0UL;
  for (const Propagation& known : kPropagation)
    if (known.word == word) return known.flags;
  return bad_input("linux.rootfsPropagation", "private, shared, slave or unbindable, got " + word);
}

std::vector<std::string> known_mount_options() {
  std::vector<std::string> words;
  for (const Word& known : kWords) words.emplace_back(known.word);
  for (const Propagation& known : kPropagation) words.emplace_back(known.word);
  for (const Recursive& known : kRecursive) words.emplace_back(known.word);
  for (const auto& known : kOther) words.emplace_back(known);
  std::sort(words.begin(), words.end());
  return words;
}

}  // namespace berth::container
