#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// Reads one TOML file into an Options struct. Call order: Load; then one Get… per option (it remembers which keys were
// asked for); then Finish, which turns every key nobody asked for into an error that names its line. Getters leave the
// target as it is (its default) when the key is absent, so defaults stand in the Options struct only. The first problem
// is kept and returned by Finish; getters after it do nothing. Keys are dotted: "spool.max_bytes". Not thread safe.
class ConfigReader {
 public:
  // kConfigSyntax with the line; kNotFound; kTooLarge.
  static Result<ConfigReader> Load(const Path& file);
  static Result<ConfigReader> Parse(std::string_view text, std::string_view name);
  ConfigReader(ConfigReader&&) noexcept;
  ~ConfigReader();

  void Get(std::string_view key, std::string& out);
  void Get(std::string_view key, bool& out);
  void Get(std::string_view key, std::vector<std::string>& out);
  // A path; relative ones are relative to the configuration file's folder.
  void Get(std::string_view key, Path& out);
  // Bounds are inclusive; the unit is part of the key's name ("deadline_seconds").
  void Get(std::string_view key, int64_t& out, int64_t min, int64_t max);
  void Get(std::string_view key, double& out, double min, double max);
  void GetEnum(std::string_view key, std::string& out, const std::vector<std::string>& allowed);
  // As Get, but kConfigInvalid when the key is absent.
  template <class T>
  void Require(std::string_view key, T& out) {
    RequirePresent(key);
    Get(key, out);
  }
  bool Has(std::string_view key);
  // Records a problem with a key's value that only the caller can see; the line is added.
  void Reject(std::string_view key, std::string why);

  // kConfigInvalid, kConfigUnknownKey: "gateway.toml:7: unknown key 'spool.max_byte'; keys of [spool]: max_bytes, …".
  Status Finish();

 private:
  struct State;
  explicit ConfigReader(std::unique_ptr<State> state);
  void RequirePresent(std::string_view key);
  std::unique_ptr<State> state_;
};

}  // namespace tributary
