#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/field.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// Reads one TOML file into the fields of an Options struct, by its table (protocol/base/field.h). Call order: Load; then
// Read for every table (it remembers which keys were asked for); then Finish, which turns every key that nobody asked
// for into an error that names its line. A key that is absent leaves its field as it is: at its default. The first
// problem is kept and returned by Finish; after it nothing is read. Keys are dotted: "spool.max_bytes". Not thread safe.
class ConfigReader {
 public:
  // kConfigSyntax with the line; kNotFound; kTooLarge.
  static Result<ConfigReader> Load(const Path& file);
  static Result<ConfigReader> Parse(std::string_view text, std::string_view name);
  ConfigReader(ConfigReader&&) noexcept;
  ~ConfigReader();

  // The name of a field is its key. A relative path is relative to the configuration file's folder.
  void Read(const Field& field);
  // With a section the keys are "section.name".
  void Read(std::span<const Field> fields, std::string_view section = "");
  bool Has(std::string_view key);
  // Every key below a table, in alphabetical order, without the table's name. They count as asked for.
  struct Given {
    std::string key;
    FieldValue value;
    std::vector<FieldValue> each;  // of a list: its elements
  };
  std::vector<Given> Below(std::string_view table);
  // From now on `key` reads as `value`. Problems with it name `from`, a key of the file.
  void Replace(std::string_view key, const FieldValue& value, std::string_view from);
  // Records a problem with a key's value that only the caller can see; the line is added.
  void Reject(std::string_view key, std::string_view why);

  // kConfigInvalid, kConfigUnknownKey: "gateway.toml:7: unknown key 'spool.max_byte'; keys of [spool]: max_bytes, …".
  Status Finish();

 private:
  struct State;
  explicit ConfigReader(std::unique_ptr<State> state);
  void ReadKey(std::string_view key, const Field& field);
  std::unique_ptr<State> state_;
};

// The line above the table of keys below --help.
inline constexpr std::string_view kKeysHeading =
    "Configuration keys (the default and the bounds in brackets; paths are relative to the file):\n";

// log.level and log.file, alike in every program.
std::vector<Field> LogFields(std::string& level, Path& file);

}  // namespace tributary
