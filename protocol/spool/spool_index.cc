#include "protocol/spool/spool_index.h"

namespace tributary {

Result<std::unique_ptr<SpoolIndex>> SpoolIndex::Open(const Path& file) {
  ASSIGN_OR_RETURN(auto database, Database::Open(file));
  RETURN_IF_ERROR(database->Migrate(SpoolSchema()));
  return std::make_unique<SpoolIndex>(std::move(database));
}

Result<std::unique_ptr<SpoolIndex>> SpoolIndex::OpenToRead(const Path& file) {
  ASSIGN_OR_RETURN(auto database, Database::OpenReadOnly(file));
  ASSIGN_OR_RETURN(const uint64_t version, database->QueryNumber("PRAGMA user_version"));
  if (version == 0) return Fail(Code::kNotFound, "{} has just been made, and nothing is in it yet", file.string());
  if (version != SpoolSchema().size()) {
    return Fail(
        Code::kVersionUnsupported,
        "{} has schema version {}, this program reads {}; nothing was changed. Use the program of the daemon that "
        "holds the folder; a newer daemon brings an older spool up to date when it starts",
        file.string(), version, SpoolSchema().size());
  }
  return std::make_unique<SpoolIndex>(std::move(database));
}

Status SpoolIndex::SetDurable(bool durable) {
  if (durable == durable_) return {};
  // In the write-ahead log NORMAL leaves out the sync at the commit. A later FULL commit syncs what came before as
  // well.
  RETURN_IF_ERROR(database_.Write(durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"));
  durable_ = durable;
  return {};
}

Result<SpoolAccount> SpoolIndex::LoadAccount() {
  RETURN_IF_ERROR(database_.Write("BEGIN"));
  auto loaded = account().Load();
  (void)database_.Write("COMMIT");  // nothing was written
  return loaded;
}

Status SpoolIndex::Touch(WallTime now) {
  return database_.Write("UPDATE marks SET value = ? WHERE name = 'probe'", now);
}

Result<std::vector<std::string>> SpoolIndex::Check() {
  ASSIGN_OR_RETURN(auto problems, database_.QueryAs(FirstCell<std::string>, "PRAGMA quick_check"));
  std::erase(problems, "ok");
  return problems;
}

}  // namespace tributary
