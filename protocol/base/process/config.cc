#include "protocol/base/process/config.h"

#include <algorithm>
#include <optional>
#include <sstream>

#include <toml++/toml.h>

#include "protocol/base/limits.h"

namespace tributary {

struct ConfigReader::State {
  std::string name;
  Path folder;
  toml::table table;
  std::set<std::string, std::less<>> known;
  std::optional<Error> problem;

  const toml::node* Find(std::string_view key) {
    known.emplace(key);
    if (problem) return nullptr;
    return table.at_path(key).node();
  }

  // All its keys may be commented out.
  bool IsEmptySection(const std::string& key, const toml::node* node) const {
    const auto first = known.lower_bound(key + ".");
    return node->is_table() && first != known.end() && first->starts_with(key + ".");
  }

  std::string Where(const toml::node* node) const {
    return node ? name + ":" + std::to_string(node->source().begin.line) : name;
  }

  void Keep(Code code, std::string message) {
    if (!problem) problem = Error{code, std::move(message)};
  }

  void WrongType(const toml::node* node, std::string_view key, std::string_view wanted) {
    Keep(Code::kConfigInvalid, Where(node) + ": '" + std::string(key) + "' must be " + std::string(wanted));
  }
};

namespace {

std::string Plain(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

// Leaves of the table with their dotted names; a table that nobody knows is reported as such.
void Leaves(const toml::table& table, const std::string& prefix,
            std::vector<std::pair<std::string, const toml::node*>>& out) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix.empty() ? std::string(key.str()) : prefix + "." + std::string(key.str());
    if (const auto* inner = node.as_table(); inner && !inner->empty()) {
      Leaves(*inner, name, out);
    } else {
      out.emplace_back(name, &node);
    }
  }
}

}  // namespace

ConfigReader::ConfigReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ConfigReader::ConfigReader(ConfigReader&&) noexcept = default;
ConfigReader::~ConfigReader() = default;

Result<ConfigReader> ConfigReader::Load(const Path& file) {
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(RealFileSystem(), file, limits::kConfigBytes));
  ASSIGN_OR_RETURN(ConfigReader reader, Parse(AsText(bytes), file.string()));
  reader.state_->folder = file.parent_path();
  return reader;
}

Result<ConfigReader> ConfigReader::Parse(std::string_view text, std::string_view name) {
  auto state = std::make_unique<State>();
  state->name = name;
  try {
    state->table = toml::parse(text, name);
  } catch (const toml::parse_error& failure) {
    return Fail(Code::kConfigSyntax, std::string(name) + ":" + std::to_string(failure.source().begin.line) + ": " +
                                         std::string(failure.description()));
  }
  return ConfigReader(std::move(state));
}

void ConfigReader::Get(std::string_view key, std::string& out) {
  const auto* node = state_->Find(key);
  if (!node) return;
  if (const auto value = node->value_exact<std::string>()) {
    out = *value;
  } else {
    state_->WrongType(node, key, "a string");
  }
}

void ConfigReader::Get(std::string_view key, bool& out) {
  const auto* node = state_->Find(key);
  if (!node) return;
  if (const auto value = node->value_exact<bool>()) {
    out = *value;
  } else {
    state_->WrongType(node, key, "true or false");
  }
}

void ConfigReader::Get(std::string_view key, std::vector<std::string>& out) {
  const auto* node = state_->Find(key);
  if (!node) return;
  const auto* array = node->as_array();
  if (!array) return state_->WrongType(node, key, "a list of strings");
  std::vector<std::string> values;
  for (const auto& element : *array) {
    const auto value = element.value_exact<std::string>();
    if (!value) return state_->WrongType(&element, key, "a list of strings");
    values.push_back(*value);
  }
  out = std::move(values);
}

void ConfigReader::Get(std::string_view key, Path& out) {
  std::string text;
  const bool present = Has(key);
  Get(key, text);
  if (present && !text.empty()) out = Path(text).is_absolute() ? Path(text) : state_->folder / text;
}

void ConfigReader::Get(std::string_view key, int64_t& out, int64_t min, int64_t max) {
  const auto* node = state_->Find(key);
  if (!node) return;
  const auto value = node->value_exact<int64_t>();
  if (!value) return state_->WrongType(node, key, "an integer");
  if (*value < min || *value > max) {
    return state_->WrongType(
        node, key,
        "between " + std::to_string(min) + " and " + std::to_string(max) + ", not " + std::to_string(*value));
  }
  out = *value;
}

void ConfigReader::Get(std::string_view key, double& out, double min, double max) {
  const auto* node = state_->Find(key);
  if (!node) return;
  const auto value = node->value<double>();
  if (!value) return state_->WrongType(node, key, "a number");
  if (!(*value >= min && *value <= max)) {
    return state_->WrongType(node, key, "between " + Plain(min) + " and " + Plain(max) + ", not " + Plain(*value));
  }
  out = *value;
}

void ConfigReader::GetEnum(std::string_view key, std::string& out, const std::vector<std::string>& allowed) {
  std::string value = out;
  Get(key, value);
  if (std::ranges::find(allowed, value) != allowed.end()) {
    out = value;
    return;
  }
  std::string list;
  for (const auto& one : allowed) list += (list.empty() ? "" : ", ") + one;
  Reject(key, "must be one of " + list + ", not '" + value + "'");
}

bool ConfigReader::Has(std::string_view key) { return state_->table.at_path(key).node() != nullptr; }

void ConfigReader::Reject(std::string_view key, std::string why) {
  const auto* node = state_->table.at_path(key).node();
  state_->Keep(Code::kConfigInvalid, state_->Where(node) + ": '" + std::string(key) + "' " + why);
}

void ConfigReader::RequirePresent(std::string_view key) {
  if (!Has(key)) {
    state_->Keep(Code::kConfigInvalid, state_->name + ": '" + std::string(key) + "' is missing; it has no default");
  }
}

Status ConfigReader::Finish() {
  // An unknown key comes first: a misspelt key is the likely cause of a missing one.
  std::vector<std::pair<std::string, const toml::node*>> leaves;
  Leaves(state_->table, "", leaves);
  for (const auto& [name, node] : leaves) {
    if (state_->known.contains(name) || state_->IsEmptySection(name, node)) continue;
    const size_t dot = name.rfind('.');
    const std::string section = dot == std::string::npos ? "" : name.substr(0, dot + 1);
    std::string siblings;
    for (const auto& known : state_->known) {
      if (known.starts_with(section) && known.find('.', section.size()) == std::string::npos) {
        siblings += (siblings.empty() ? "" : ", ") + known.substr(section.size());
      }
    }
    const std::string place = section.empty() ? "the top level" : "[" + section.substr(0, section.size() - 1) + "]";
    return Fail(Code::kConfigUnknownKey,
                state_->Where(node) + ": unknown key '" + name + "'; " +
                    (siblings.empty() ? "there is no section " + place : "keys of " + place + ": " + siblings));
  }
  if (state_->problem) return Fail(*state_->problem);
  return {};
}

}  // namespace tributary
