// Command line words: "--name value", "--name=value", "-x value", grouped short flags; "--" ends them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace berth::cli {

struct Flag {
  const char* name;  // without dashes
  char letter = 0;
  bool value = false;
};

struct Args {
  std::multimap<std::string, std::string> flags;
  std::vector<std::string> words;

  [[nodiscard]] bool has(const std::string& name) const { return flags.contains(name); }
  /// The last one given, or "".
  [[nodiscard]] std::string get(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> all(const std::string& name) const;
  /// "--flag" and "--flag=true" are true, "--flag=false" is not.
  [[nodiscard]] bool is_set(const std::string& name) const;
};

/// `words_first`: flags end at the first word that is none (what follows belongs to somebody else). `used` is set to
/// how many of the words were taken.
Result<Args> parse_args(const std::vector<std::string>& input, const std::vector<Flag>& known, bool words_first,
                        size_t* used = nullptr);

}  // namespace berth::cli
