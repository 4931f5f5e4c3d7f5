#include "tests/support/damaged_database.h"

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "protocol/base/sql/database.h"
#include "tests/support/must.h"
#include "tests/support/sanitized.h"
#include "tests/support/temporary_folder.h"

namespace tributary {
namespace {

namespace fs = std::filesystem;

struct Wrong {
  const char* name;
  Value value;
};

std::vector<Wrong> WrongValues() {
  return {{"null", nullptr},
          {"integer -1", int64_t{-1}},
          {"integer 2^63 - 1", std::numeric_limits<int64_t>::max()},
          {"real 9.3e18", 9.3e18},
          {"text no UTF-8", std::string("\xff\xfe")}};
}

std::vector<std::string> TextsOf(Database& database, const std::string& sql) {
  return Must(database.QueryAs(FirstCell<std::string>, sql));
}

// A column that our schema calls NOT NULL holds no NULL of ours; a damaged file may.
void AllowNulls(const Path& file) {
  const auto database = Must(Database::Open(file));
  (void)Must(database->Query("PRAGMA writable_schema=ON"));
  Must(database->Write("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'"));
}

void Put(const Path& from, const Path& to) {
  for (const auto& entry : fs::directory_iterator(to)) fs::remove_all(entry.path());
  fs::copy(from, to, fs::copy_options::recursive);
}

// False: no row takes it.
bool Damage(const Path& file, const std::string& table, const std::string& column, const Value& value) {
  const auto database = Must(Database::Open(file));
  const auto changed = database->Execute(fmt::format("UPDATE OR IGNORE {} SET {} = ?", table, column), value);
  return changed && *changed > 0;
}

}  // namespace

void ForEachDamage(const Path& folder, const Path& database, const std::function<void(const std::string& what)>& look) {
  const TemporaryFolder sound, loose;
  Put(folder, sound.path());
  AllowNulls(database);
  Put(folder, loose.path());
  std::vector<std::pair<std::string, std::string>> columns;
  {
    const auto open = Must(Database::Open(database));
    for (const std::string& table :
         TextsOf(*open, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")) {
      for (const std::string& column : TextsOf(*open, fmt::format("SELECT name FROM pragma_table_info('{}')", table)))
        columns.emplace_back(table, column);
    }
  }
  size_t turn = 0;
  for (const auto& [table, column] : columns) {
    const std::vector<Wrong> all = WrongValues();
    // A sanitizer is slow, and sees the same code in each column: one value for each, in turn.
    const auto values = kSanitized ? std::span(all).subspan(turn++ % all.size(), 1) : std::span(all);
    for (const auto& [name, value] : values) {
      Put(loose.path(), folder);
      if (Damage(database, table, column, value)) look(fmt::format("{}.{} = {}", table, column, name));
    }
  }
  Put(sound.path(), folder);
}

}  // namespace tributary
