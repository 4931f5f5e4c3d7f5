#include "protocol/base/process/config.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "protocol/base/limits.h"

namespace tributary {

struct ConfigReader::State {
  std::string name;
  Path folder;
  toml::table table;
  std::set<std::string, std::less<>> known;
  struct Replaced {
    FieldValue value;
    std::string from;
  };
  std::map<std::string, Replaced, std::less<>> replaced;
  std::optional<Error> problem;

  // Where a key's value stands, also one with a replacement; nullptr: nowhere.
  const toml::node* NodeOf(std::string_view key) const;

  // All its keys may be commented out.
  bool IsEmptySection(const std::string& key, const toml::node* node) const {
    const auto first = known.lower_bound(key + ".");
    return node->is_table() && first != known.end() && first->starts_with(key + ".");
  }

  std::string Where(const toml::node* node) const {
    return node ? fmt::format("{}:{}", name, node->source().begin.line) : name;
  }

  void Keep(Error error) {
    if (!problem) problem = std::move(error);
  }
};

namespace {

FieldValue ListOf(const toml::array& array) {
  std::vector<std::string> list;
  for (const auto& element : array) {
    const auto text = element.value_exact<std::string>();
    if (!text) return std::monostate();
    list.push_back(*text);
  }
  return list;
}

FieldValue ValueOf(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto flag = node.value_exact<bool>()) return *flag;
  if (const auto whole = node.value_exact<int64_t>()) return *whole;
  if (const auto real = node.value_exact<double>()) return *real;
  const auto* array = node.as_array();
  return array ? ListOf(*array) : FieldValue();
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

// A quoted key may have dots, so the leaves are searched by their names.
const toml::node* ConfigReader::State::NodeOf(std::string_view key) const {
  const auto found = replaced.find(key);
  if (found == replaced.end()) return table.at_path(key).node();
  std::vector<std::pair<std::string, const toml::node*>> leaves;
  Leaves(table, "", leaves);
  const auto from = std::ranges::find(leaves, found->second.from, [](const auto& leaf) { return leaf.first; });
  return from == leaves.end() ? nullptr : from->second;
}

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
    return Fail(Code::kConfigSyntax, "{}:{}: {}", name, failure.source().begin.line, failure.description());
  }
  return ConfigReader(std::move(state));
}

void ConfigReader::ReadKey(std::string_view key, const Field& field) {
  state_->known.emplace(key);
  const auto replaced = state_->replaced.find(key);
  const auto* node = state_->table.at_path(key).node();
  if (!node && replaced == state_->replaced.end()) {
    if (field.required) {
      state_->Keep({Code::kConfigInvalid, fmt::format("{}: '{}' is missing; it has no default", state_->name, key)});
    }
    return;
  }
  if (state_->problem) return;
  FieldValue value = replaced == state_->replaced.end() ? ValueOf(*node) : replaced->second.value;
  if (auto* path = std::get_if<std::string>(&value); path && std::holds_alternative<Path*>(field.place)) {
    if (path->empty()) return;
    *path = (state_->folder / *path).string();  // an absolute one stays as it is
  }
  if (const Status set = field.Set(value); !set) Reject(key, set.error().message);
}

void ConfigReader::Read(const Field& field) { ReadKey(field.name, field); }

void ConfigReader::Read(std::span<const Field> fields, std::string_view section) {
  for (const Field& field : fields) {
    ReadKey(section.empty() ? std::string(field.name) : fmt::format("{}.{}", section, field.name), field);
  }
}

bool ConfigReader::Has(std::string_view key) { return state_->NodeOf(key) != nullptr; }

std::vector<ConfigReader::Given> ConfigReader::Below(std::string_view table) {
  std::vector<std::pair<std::string, const toml::node*>> leaves;
  Leaves(state_->table, "", leaves);
  std::vector<Given> given;
  const std::string prefix = std::string(table) + ".";
  for (const auto& [name, node] : leaves) {
    if (!name.starts_with(prefix)) continue;
    state_->known.insert(name);
    Given& one = given.emplace_back(Given{name.substr(prefix.size()), ValueOf(*node), {}});
    const auto* array = node->as_array();
    if (!array) continue;
    for (const auto& element : *array) one.each.push_back(ValueOf(element));
  }
  return given;
}

void ConfigReader::Replace(std::string_view key, const FieldValue& value, std::string_view from) {
  state_->replaced.insert_or_assign(std::string(key), State::Replaced{value, std::string(from)});
}

void ConfigReader::Reject(std::string_view key, std::string_view why) {
  const auto* node = state_->NodeOf(key);
  state_->Keep({Code::kConfigInvalid, fmt::format("{}: '{}' {}", state_->Where(node), key, why)});
}

Status ConfigReader::Finish() {
  // An unknown key comes first: a misspelt key is the likely cause of a missing one.
  std::vector<std::pair<std::string, const toml::node*>> leaves;
  Leaves(state_->table, "", leaves);
  for (const auto& [key, replaced] : state_->replaced) leaves.emplace_back(key, state_->NodeOf(key));
  for (const auto& [name, node] : leaves) {
    if (state_->known.contains(name) || state_->IsEmptySection(name, node)) continue;
    const size_t dot = name.rfind('.');
    const std::string section = dot == std::string::npos ? "" : name.substr(0, dot + 1);
    std::string siblings;
    for (const auto& known : state_->known) {
      if (known.starts_with(section) && known.find('.', section.size()) == std::string::npos) {
        siblings += siblings.empty() ? "" : ", ";
        siblings += known.substr(section.size());
      }
    }
    const std::string place = section.empty() ? "the top level" : "[" + section.substr(0, section.size() - 1) + "]";
    return Fail(Code::kConfigUnknownKey, "{}: unknown key '{}'; {}", state_->Where(node), name,
                siblings.empty() ? "there is no section " + place : fmt::format("keys of {}: {}", place, siblings));
  }
  if (state_->problem) return Fail(*state_->problem);
  return {};
}

std::vector<Field> LogFields(std::string& level, Path& file) {
  static constexpr auto kLevels = std::to_array<std::string_view>({"debug", "info", "warning", "error"});
  return {OneOf("log.level", &level, "least important lines that are written", kLevels),
          {"log.file", &file, "where they are written; none: standard error"}};
}

}  // namespace tributary
