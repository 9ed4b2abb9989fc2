#include "cli/args.h"

namespace berth::cli {

namespace {

const Flag* by_name(const std::vector<Flag>& known, const std::string& name) {
  for (const Flag& flag : known)
    if (name == flag.name) return &flag;
  return nullptr;
}

const Flag* by_letter(const std::vector<Flag>& known, char letter) {
  for (const Flag& flag : known)
    if (flag.letter != 0 && flag.letter == letter) return &flag;
  return nullptr;
}

Error usage(const std::string& text) { return Error{EINVAL, "", "", text}; }

struct Parser {
  const std::vector<std::string>& input;
  const std::vector<Flag>& known;
  Args args;
  size_t at = 0;

  Result<void> take(const Flag& flag, const std::string* attached) {
    if (attached != nullptr) {
      args.flags.emplace(flag.name, *attached);
    } else if (!flag.value) {
      args.flags.emplace(flag.name, "true");
    } else {
      if (at >= input.size()) return usage(std::string("flag needs a value: --") + flag.name);
      args.flags.emplace(flag.name, input[at++]);
    }
    return {};
  }

  Result<void> take_long(const std::string& word) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const Flag* flag = by_name(known, name);
    if (flag == nullptr) return usage("unknown flag: --" + name);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    return take(*flag, equals == std::string::npos ? nullptr : &value);
  }

  Result<void> take_short(const std::string& letters) {
    // urfave/cli, which runc's users know, takes long names with one dash too.
    if (letters.size() > 1 && by_name(known, letters.substr(0, letters.find('='))) != nullptr) return take_long(letters);
    for (size_t i = 0; i < letters.size(); ++i) {
      const Flag* flag = by_letter(known, letters[i]);
      if (flag == nullptr) return usage(std::string("unknown flag: -") + letters[i]);
      if (flag->value && i + 1 < letters.size()) {
        const std::string rest = letters.substr(i + 1 + (letters[i + 1] == '=' ? 1 : 0));
        return take(*flag, &rest);
      }
      BERTH_TRY(take(*flag, nullptr));
    }
    return {};
  }
};

}  // namespace

std::string Args::get(const std::string& name) const {
  const auto range = flags.equal_range(name);
  std::string last;
  for (auto entry = range.first; entry != range.second; ++entry) last = entry->second;
  return last;
}

std::vector<std::string> Args::all(const std::string& name) const {
  std::vector<std::string> values;
  const auto range = flags.equal_range(name);
  for (auto entry = range.first; entry != range.second; ++entry) values.push_back(entry->second);
  return values;
}

bool Args::is_set(const std::string& name) const {
  const std::string value = get(name);
  return !value.empty() && value != "false" && value != "0";
}

Result<Args> parse_args(const std::vector<std::string>& input, const std::vector<Flag>& known, bool words_first,
                        size_t* used) {
  Parser parser{input, known, {}, 0};
  bool only_words = false;
  while (parser.at < input.size()) {
    const std::string& word = input[parser.at];
    if (!only_words && word == "--") {
      ++parser.at;
      only_words = true;
      continue;
    }
    if (only_words || word.size() < 2 || word[0] != '-') {
      if (words_first && !only_words) {
        // Keep the rest as it is.
        parser.args.words.insert(parser.args.words.end(), input.begin() + static_cast<long>(parser.at), input.end());
        break;
      }
      parser.args.words.push_back(word);
      ++parser.at;
      continue;
    }
    ++parser.at;
    BERTH_TRY(word[1] == '-' ? parser.take_long(word.substr(2)) : parser.take_short(word.substr(1)));
  }
  if (used != nullptr) *used = parser.at;
  return std::move(parser.args);
}

}  // namespace berth::cli
