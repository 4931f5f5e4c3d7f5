#include "device/examples/collection_store.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <span>
#include <sstream>
#include <utility>

#include <fmt/ranges.h>

#include "device/examples/collection_summary.h"
#include "device/examples/example_content.h"
#include "device/examples/example_writer.h"
#include "device/examples/field_value.h"
#include "protocol/base/ids.h"

namespace tributary {
namespace {

constexpr std::string_view kSchema[] = {
    "CREATE TABLE collections ("
    "  name TEXT PRIMARY KEY, fields TEXT NOT NULL, purpose TEXT NOT NULL, max_age INTEGER NOT NULL,"
    "  max_count INTEGER NOT NULL, max_bytes INTEGER NOT NULL, held_out_share REAL NOT NULL, created INTEGER NOT NULL,"
    "  place INTEGER NOT NULL UNIQUE, next INTEGER NOT NULL, examples INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    "  stale INTEGER NOT NULL);"
    "CREATE TABLE erasures (name TEXT PRIMARY KEY, generation INTEGER NOT NULL);"
    "CREATE TABLE categories (collection TEXT, field TEXT, code INTEGER, text TEXT NOT NULL,"
    "  PRIMARY KEY (collection, field, code), UNIQUE (collection, field, text))",
    // The numbers of examples that a Write has stored and not finished. At most one is under way.
    "CREATE TABLE imports (collection TEXT PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL)"};

constexpr std::string_view kColumns =
    "name, fields, purpose, max_age, max_count, max_bytes, held_out_share, created, place, next, examples, bytes, stale";

std::string FieldsText(std::span<const ExampleField> fields) {
  std::string text;
  for (const ExampleField& field : fields) text += (text.empty() ? "" : "\n") + FieldText(field);
  return text;
}

std::string OnOneLine(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

Path FileIn(const Path& folder) { return folder == ":memory:" ? folder : folder / "examples.db"; }

Status EndImport(Database& database, std::string_view collection) {
  return database.Write("DELETE FROM imports WHERE collection = ?", collection);
}

// The place of a new table.
Result<int64_t> CreateTable(Database& database) {
  ASSIGN_OR_RETURN(const uint64_t last, database.QueryNumber("SELECT coalesce(max(place), 0) FROM collections"));
  const auto place = static_cast<int64_t>(last + 1);
  RETURN_IF_ERROR(database.Write(
      fmt::format("CREATE TABLE examples_{} (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, grp TEXT NOT NULL,"
                  " added INTEGER NOT NULL, held_out INTEGER NOT NULL, content BLOB NOT NULL)",
                  place)));
  RETURN_IF_ERROR(database.Write(fmt::format("CREATE INDEX added_{0} ON examples_{0} (added)", place)));
  return place;
}

// The number that a task gives to a text of this field. The message of an error travels to the operator, and the text is
// of somebody's example: it says the number that the device gave the text.
Result<int64_t> NumberOfText(const std::string& collection, const std::string& field, int64_t code,
                             const std::string& text, const std::vector<std::string>& list) {
  if (const auto named = std::ranges::find(list, text); named != list.end()) return named - list.begin();
  int64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size() && number >= 0;
  if (whole && (list.empty() || number < static_cast<int64_t>(list.size()))) return number;
  if (list.empty()) {
    return Fail(Code::kBadExample,
                "the collection {} has texts in the field {}, and the task does not say which numbers they are. List the texts "
                "in tributary.json: as classes for a target, as categories of another field's input", collection, field);
  }
  return Fail(Code::kBadExample,
              "the collection {} has a text in the field {} that the task does not list, the device's number {} "
              "(`tributary-device data show` names it); the task takes {}{}. Import the examples "
              "again under these names into another collection, and name it in the task",
              collection, field, code, fmt::join(std::span(list).first(std::min<size_t>(list.size(), 10)), ", "),
              list.size() > 10 ? " and more" : "");
}

// Examples that were added before this time have expired.
WallTime ExpiryOf(const Retention& retention, WallTime now) {
  const uint64_t age = std::min<uint64_t>(retention.max_age_seconds, uint64_t{1} << 40);
  return age == 0 ? WallTime{INT64_MIN} : WallTime{now.unix_millis - static_cast<int64_t>(age) * 1000};
}

}  // namespace

Status CheckCollectionSettings(const CollectionSettings& settings) {
  if (const Status name = CheckName(settings.name, "collection"); !name)
    return Fail(Code::kInvalidArgument, "{}", name.error().message);
  if (settings.fields.empty() || settings.fields.size() > 1'000)
    return Fail(Code::kInvalidArgument, "a collection has 1 to 1,000 fields, not {}", settings.fields.size());
  if (!(settings.held_out_share >= 0 && settings.held_out_share <= 0.9))
    return Fail(Code::kInvalidArgument, "the held-out share {} is not within 0 and 0.9", settings.held_out_share);
  for (size_t i = 0; i < settings.fields.size(); ++i) {
    RETURN_IF_ERROR(CheckExampleField(settings.fields[i]));
    const auto before = std::span(settings.fields).first(i);
    if (std::ranges::find(before, settings.fields[i].name, &ExampleField::name) != before.end())
      return Fail(Code::kInvalidArgument, "the field {} stands twice", settings.fields[i].name);
  }
  return {};
}

std::string CollectionStore::Stored::Whole() const {
  const auto bound = [this](std::string_view which) {
    return fmt::format("(SELECT {} FROM imports WHERE collection = '{}')", which, info.settings.name);
  };
  return fmt::format("number NOT BETWEEN coalesce({}, 1) AND coalesce({}, 0)", bound("first"), bound("last"));
}

Result<std::unique_ptr<CollectionStore>> CollectionStore::Open(const Path& folder) {
  ASSIGN_OR_RETURN(auto database, Database::Open(FileIn(folder)));
  RETURN_IF_ERROR(database->Query("PRAGMA secure_delete=ON"));
  RETURN_IF_ERROR(database->Migrate(kSchema));
  return std::unique_ptr<CollectionStore>(
      new CollectionStore(std::move(database), folder == ":memory:" ? Path() : folder / "import"));
}

Result<std::unique_ptr<CollectionStore>> CollectionStore::OpenIfThere(const Path& folder) {
  std::error_code error;
  if (!std::filesystem::exists(FileIn(folder), error)) return nullptr;
  return Open(folder);
}

Result<CollectionStore::Stored> CollectionStore::ReadStored(const Row& row) {
  Stored stored;
  CollectionSettings& settings = stored.info.settings;
  std::string fields;
  RETURN_IF_ERROR(row.Into(settings.name, fields, settings.purpose, settings.retention.max_age_seconds,
                           settings.retention.max_count, settings.retention.max_bytes, settings.held_out_share,
                           stored.info.created, stored.place, stored.next, stored.info.examples, stored.info.bytes,
                           stored.stale));
  std::istringstream lines(fields);
  for (std::string line; std::getline(lines, line);) {
    auto field = ParseField(line);
    if (!field) return Fail(Code::kCorrupt, "collection {}: {}", settings.name, field.error().message);
    settings.fields.push_back(std::move(*field));
  }
  return stored;
}

Result<CollectionStore::Stored> CollectionStore::Get(std::string_view collection) {
  static const std::string sql = fmt::format("SELECT {} FROM collections WHERE name = ?", kColumns);
  ASSIGN_OR_RETURN(auto stored, database_->QueryFirst(ReadStored, sql, collection));
  if (!stored) return Fail(Code::kNotFound, "there is no collection '{}'", collection);
  return std::move(*stored);
}

Result<std::vector<CollectionStore::Stored>> CollectionStore::All() {
  static const std::string sql = fmt::format("SELECT {} FROM collections ORDER BY name", kColumns);
  return database_->QueryAs(ReadStored, sql);
}

Status CollectionStore::Create(const CollectionSettings& settings, WallTime now) {
  RETURN_IF_ERROR(CheckCollectionSettings(settings));
  const std::string fields = FieldsText(settings.fields);
  const Retention& retention = settings.retention;
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  const auto there = Get(settings.name);
  if (!there && there.error().code != Code::kNotFound) return Fail(there.error());
  if (there) {
    const CollectionSettings& has = there->info.settings;
    if (has.fields != settings.fields || has.held_out_share != settings.held_out_share) {
      return Fail(
          Code::kConflict,
          "the collection {0} has the fields {1} and the held-out share {2}; the import has the fields {3} and the "
          "held-out share {4}. Nothing was changed. `data clear` keeps both; choose another name, or delete the "
          "collection first: tributary-device data remove --config FILE --collection {0} --all",
          settings.name, OnOneLine(FieldsText(has.fields)), has.held_out_share, OnOneLine(fields),
          settings.held_out_share);
    }
    RETURN_IF_ERROR(database_->Write(
        "UPDATE collections SET purpose = ?, max_age = ?, max_count = ?, max_bytes = ?"
        " WHERE name = ?",
        settings.purpose, retention.max_age_seconds, retention.max_count, retention.max_bytes, settings.name));
    return transaction.Commit();
  }
  ASSIGN_OR_RETURN(const int64_t place, CreateTable(*database_));
  static const std::string insert =
      fmt::format("INSERT INTO collections ({}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, 0)", kColumns);
  RETURN_IF_ERROR(database_->Write(insert, settings.name, fields, settings.purpose, retention.max_age_seconds,
                                   retention.max_count, retention.max_bytes, settings.held_out_share, now, place));
  return transaction.Commit();
}

Status CollectionStore::Add(std::string_view collection, std::span<const NewExample> examples, WallTime now) {
  ASSIGN_OR_RETURN(ExampleWriter writer, Write(collection, now));
  for (const NewExample& example : examples) RETURN_IF_ERROR(writer.Put(example));
  return writer.Commit();
}

Result<ExampleWriter> CollectionStore::Write(std::string_view collection, WallTime now, uint64_t batch_bytes) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  RETURN_IF_ERROR(RemoveUnfinished());
  ASSIGN_OR_RETURN(Stored stored, Get(collection));
  // An expired example does not stand in the way of a new example with its id.
  RETURN_IF_ERROR(ApplyRetention(stored, now));
  return ExampleWriter(*this, std::move(transaction), std::move(stored), now, batch_bytes);
}

Status CollectionStore::RemoveUnfinished() {
  ASSIGN_OR_RETURN(const auto imports, database_->Query("SELECT collection, first, last FROM imports"));
  if (imports.empty()) return {};
  if (!lock_folder_.empty()) {
    const auto lock = FileLock::Take(lock_folder_);
    if (!lock) return lock.error().code == Code::kLocked ? Status() : Fail(lock.error());
  }
  for (const Row& row : imports) {
    std::string collection;
    int64_t first = 0, last = 0;
    RETURN_IF_ERROR(row.Into(collection, first, last));
    ASSIGN_OR_RETURN(Stored stored, Get(collection));
    const std::string sql = fmt::format("DELETE FROM {} WHERE number BETWEEN ? AND ?", stored.Table());
    ASSIGN_OR_RETURN(const int64_t went, database_->Execute(sql, first, last));
    stored.stale += static_cast<uint64_t>(went);
    RETURN_IF_ERROR(SaveCounts(stored));
    RETURN_IF_ERROR(EndImport(*database_, collection));
  }
  return {};
}

Status CollectionStore::SaveCounts(const Stored& stored) {
  return database_->Write(
      "UPDATE collections SET place = ?, next = ?, examples = ?, bytes = ?, stale = ? WHERE name = ?", stored.place,
      stored.next, stored.info.examples, stored.info.bytes, stored.stale, stored.info.settings.name);
}

Result<uint64_t> CollectionStore::ApplyRetention(Stored& stored, WallTime now) {
  const Retention& retention = stored.info.settings.retention;
  const std::string table = stored.Table();
  const uint64_t before = stored.info.examples;
  const std::string whole = stored.Whole();
  const auto take = [&](const std::string& which, const Value& value) -> Status {
    const std::string condition = fmt::format("{} AND {}", which, whole);
    ASSIGN_OR_RETURN(const auto sums,
                     database_->Query(fmt::format("SELECT count(*), coalesce(sum(length(content)), 0) FROM {} WHERE {}",
                                                  table, condition),
                                      value));
    uint64_t examples = 0, bytes = 0;
    RETURN_IF_ERROR(sums[0].Into(examples, bytes));
    if (examples == 0) return {};
    // The counts beside the collection's name may be damaged; its rows are what there is.
    stored.info.examples -= std::min(examples, stored.info.examples);
    stored.info.bytes -= std::min(bytes, stored.info.bytes);
    return database_->Write(fmt::format("DELETE FROM {} WHERE {}", table, condition), value);
  };
  if (retention.max_age_seconds > 0) RETURN_IF_ERROR(take("added < ?", ExpiryOf(retention, now).unix_millis));
  if (retention.max_count > 0 && stored.info.examples > retention.max_count) {
    const uint64_t surplus = stored.info.examples - retention.max_count;
    RETURN_IF_ERROR(
        take(fmt::format("number IN (SELECT number FROM {} WHERE {} ORDER BY number LIMIT ?)", table, whole),
             static_cast<int64_t>(surplus)));
  }
  if (retention.max_bytes > 0 && stored.info.bytes > retention.max_bytes) {
    uint64_t left = stored.info.bytes;
    int64_t last = 0;
    constexpr std::string_view kEnough = "enough";
    const Status visited = database_->Visit(
        [&](const Row& row) -> Status {
          if (left <= retention.max_bytes) return Fail(Code::kShuttingDown, "{}", kEnough);
          uint64_t bytes = 0;
          RETURN_IF_ERROR(row.Into(last, bytes));
          left -= std::min(left, bytes);
          return {};
        },
        fmt::format("SELECT number, length(content) FROM {} WHERE {} ORDER BY number", table, whole));
    if (!visited && visited.error().message != kEnough) return Fail(visited.error());
    RETURN_IF_ERROR(take("number <= ?", last));
  }
  const uint64_t went = before - stored.info.examples;
  stored.stale += went;
  if (went > 0 && stored.stale > stored.info.examples) RETURN_IF_ERROR(Rewrite(stored, "number <> ?", int64_t{0}));
  return went;
}

Status CollectionStore::Rewrite(Stored& stored, std::string_view keeps, const Value& value) {
  const std::string old = stored.Table();
  ASSIGN_OR_RETURN(stored.place, CreateTable(*database_));
  const std::string table = stored.Table();
  RETURN_IF_ERROR(database_->Write(
      fmt::format("INSERT INTO {} SELECT number, id, grp, added, held_out, content FROM {} WHERE {} ORDER BY number",
                  table, old, keeps),
      value));
  ASSIGN_OR_RETURN(const auto sums,
                   database_->Query(fmt::format("SELECT count(*), coalesce(sum(length(content)), 0) FROM {} WHERE {}",
                                                table, stored.Whole())));
  RETURN_IF_ERROR(sums[0].Into(stored.info.examples, stored.info.bytes));
  stored.stale = 0;
  return database_->Write(fmt::format("DROP TABLE {}", old));
}

Result<uint64_t> CollectionStore::Erase(std::string_view collection, std::string_view gone, std::string_view keeps,
                                        std::string_view value) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  ASSIGN_OR_RETURN(Stored stored, Get(collection));
  const uint64_t before = stored.info.examples;
  ASSIGN_OR_RETURN(
      const uint64_t count,
      database_->QueryNumber(fmt::format("SELECT count(*) FROM {} WHERE {}", stored.Table(), gone), value));
  if (count == 0) return 0;
  // An import that is under way may hold what is deleted: all of it goes.
  RETURN_IF_ERROR(Rewrite(stored, fmt::format("{} AND {}", keeps, stored.Whole()), std::string(value)));
  RETURN_IF_ERROR(EndImport(*database_, collection));
  RETURN_IF_ERROR(SaveCounts(stored));
  RETURN_IF_ERROR(NoteErasure(collection));
  RETURN_IF_ERROR(transaction.Commit());
  RETURN_IF_ERROR(EmptyLog());
  return before - stored.info.examples;
}

Result<uint64_t> CollectionStore::Remove(std::string_view collection, std::string_view id) {
  return Erase(collection, "id = ?", "id <> ?", id);
}

Result<uint64_t> CollectionStore::RemoveGroup(std::string_view collection, std::string_view group) {
  return Erase(collection, "grp = ?", "grp <> ?", group);
}

Result<uint64_t> CollectionStore::Clear(std::string_view collection) { return Empty(collection, false); }
Result<uint64_t> CollectionStore::Drop(std::string_view collection) { return Empty(collection, true); }

Result<uint64_t> CollectionStore::Empty(std::string_view collection, bool drop) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  ASSIGN_OR_RETURN(Stored stored, Get(collection));
  const uint64_t count = stored.info.examples;
  const std::string old = stored.Table();
  if (drop) {
    RETURN_IF_ERROR(database_->Write("DELETE FROM collections WHERE name = ?", collection));
  } else {
    ASSIGN_OR_RETURN(stored.place, CreateTable(*database_));
    stored.info.examples = stored.info.bytes = stored.stale = 0;
    RETURN_IF_ERROR(SaveCounts(stored));
  }
  RETURN_IF_ERROR(database_->Write(fmt::format("DROP TABLE {}", old)));
  RETURN_IF_ERROR(database_->Write("DELETE FROM categories WHERE collection = ?", collection));
  RETURN_IF_ERROR(EndImport(*database_, collection));
  RETURN_IF_ERROR(NoteErasure(collection));
  RETURN_IF_ERROR(transaction.Commit());
  RETURN_IF_ERROR(EmptyLog());
  return count;
}

Result<uint64_t> CollectionStore::Sweep(WallTime now) {
  uint64_t went = 0;
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  RETURN_IF_ERROR(RemoveUnfinished());
  ASSIGN_OR_RETURN(std::vector<Stored> all, All());
  for (Stored& stored : all) {
    ASSIGN_OR_RETURN(const uint64_t of_it, ApplyRetention(stored, now));
    if (of_it > 0) RETURN_IF_ERROR(SaveCounts(stored));
    went += of_it;
  }
  RETURN_IF_ERROR(transaction.Commit());
  RETURN_IF_ERROR(EmptyLog());
  return went;
}

Status CollectionStore::EmptyLog() {
  ASSIGN_OR_RETURN(const uint64_t busy, database_->QueryNumber("PRAGMA wal_checkpoint(TRUNCATE)"));
  if (busy == 0) return {};
  return Fail(Code::kBusy,
              "the examples are deleted, but another process reads the database just now, so bytes of theirs are still "
              "in examples.db-wal until the next sweep; the daemon sweeps every ten minutes");
}

Result<std::vector<CollectionInfo>> CollectionStore::List() {
  ASSIGN_OR_RETURN(std::vector<Stored> all, All());
  std::vector<CollectionInfo> infos;
  for (Stored& stored : all) infos.push_back(std::move(stored.info));
  return infos;
}

Result<CollectionInfo> CollectionStore::Find(std::string_view collection) {
  ASSIGN_OR_RETURN(Stored stored, Get(collection));
  return std::move(stored.info);
}

Result<CollectionSummary> CollectionStore::Summarise(std::string_view collection) {
  ASSIGN_OR_RETURN(const Stored stored, Get(collection));
  CollectionSummariser summary(stored.info);
  const auto add = [&](const Row& row) -> Status {
    bool held_out = false;
    WallTime added;
    ByteView content;
    RETURN_IF_ERROR(row.Into(held_out, added, content));
    return summary.Add(held_out, added, content);
  };
  RETURN_IF_ERROR(database_->Visit(
      add, fmt::format("SELECT held_out, added, content FROM {} WHERE {} ORDER BY number", stored.Table(), stored.Whole())));
  ASSIGN_OR_RETURN(const auto names, database_->Query("SELECT field, code, text FROM categories WHERE collection = ?"
                                                      " ORDER BY field, code LIMIT 10000",
                                                      collection));
  for (const Row& row : names) {
    std::string field, text;
    int64_t code = 0;
    RETURN_IF_ERROR(row.Into(field, code, text));
    summary.Name(field, code, text);
  }
  return std::move(summary).Finish();
}

Status CollectionStore::NumberTexts(const Stored& stored, std::span<const std::string> fields,
                                    const TextNumbers& numbers, ExampleColumns& columns) {
  const std::string& collection = stored.info.settings.name;
  for (const std::string& field : std::set(fields.begin(), fields.end())) {
    std::map<int64_t, std::string> texts;
    ASSIGN_OR_RETURN(const auto rows,
                     database_->Query("SELECT code, text FROM categories WHERE collection = ? AND field = ?",
                                      collection, field));
    for (const Row& row : rows) {
      int64_t code = 0;
      std::string text;
      RETURN_IF_ERROR(row.Into(code, text));
      texts[code] = std::move(text);
    }
    if (texts.empty()) continue;
    const auto list = numbers.find(field);
    std::map<int64_t, int64_t> known;
    RETURN_IF_ERROR(columns.Renumber(field, [&](int64_t code) -> Result<int64_t> {
      const auto [number, fresh] = known.try_emplace(code);
      if (fresh) {
        ASSIGN_OR_RETURN(number->second, NumberOfText(collection, field, code, texts[code],
                                                      list == numbers.end() ? std::vector<std::string>() : list->second));
      }
      return number->second;
    }));
  }
  return {};
}

Result<TaskExamples> CollectionStore::Load(std::string_view collection, std::span<const std::string> fields,
                                           WallTime now, const TextNumbers& numbers) {
  ASSIGN_OR_RETURN(const Stored stored, Get(collection));
  const CollectionSettings& settings = stored.info.settings;
  for (const std::string& field : fields) {
    if (std::ranges::find(settings.fields, field, &ExampleField::name) == settings.fields.end()) {
      return Fail(Code::kMissingField,
                  "the task needs the field '{}', the collection {} has: {}. Import examples with that field into "
                  "another collection and name it in the task",
                  field, settings.name, OnOneLine(FieldsText(settings.fields)));
    }
  }
  if (stored.info.bytes > kLoadBytes) {
    return Fail(Code::kTooLarge, "the collection {} has {} bytes, a fit takes at most {}; set --max-bytes for it",
                settings.name, stored.info.bytes, kLoadBytes);
  }
  ExampleColumns columns(settings.fields, fields);
  const std::string from =
      fmt::format("FROM {} WHERE added >= ? AND {} ORDER BY number", stored.Table(), stored.Whole());
  const WallTime expired = ExpiryOf(settings.retention, now);
  if (columns.varies()) {
    const auto measure = [&](const Row& row) -> Status {
      ByteView content;
      RETURN_IF_ERROR(row.Into(content));
      return columns.Measure(content);
    };
    RETURN_IF_ERROR(database_->Visit(
        measure, fmt::format("SELECT substr(content, 1, {}) {}", columns.length_bytes(), from), expired));
  }
  ASSIGN_OR_RETURN(const uint64_t examples, database_->QueryNumber(fmt::format("SELECT count(*) FROM {} WHERE {}", stored.Table(), stored.Whole())));
  columns.Reserve(examples, stored.info.bytes);
  const auto add = [&](const Row& row) -> Status {
    bool held_out = false;
    ByteView content;
    RETURN_IF_ERROR(row.Into(held_out, content));
    return columns.Add(held_out, content);
  };
  RETURN_IF_ERROR(database_->Visit(add, fmt::format("SELECT held_out, content {}", from), expired));
  RETURN_IF_ERROR(NumberTexts(stored, fields, numbers, columns));
  return std::move(columns).Finish();
}

Result<uint64_t> CollectionStore::Generation(std::string_view collection) {
  return database_->QueryNumber("SELECT generation FROM erasures WHERE name = ?", collection);
}

Status CollectionStore::NoteErasure(std::string_view collection) {
  return database_->Write(
      "INSERT INTO erasures VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET generation = generation + 1", collection);
}

Result<std::string> CollectionStore::Stamp() {
  ASSIGN_OR_RETURN(std::vector<Stored> all, All());
  std::string stamp;
  for (const Stored& stored : all) {
    const auto& [settings, created, examples, bytes] = stored.info;
    stamp += fmt::format("{} {} {} {} {} {} {};", settings.name, settings.retention.max_age_seconds,
                         created.unix_millis, stored.place, stored.next, examples, bytes);
  }
  return stamp;
}

}  // namespace tributary
