// A layer of SQLite's file system interface (sqlite.org/vfs.html) over the default one: it hands everything through,
// and records what happens to files below a power disk. Locks and the shared index of the log pass untouched: they are
// memory, which a power cut takes anyway.
#include <cerrno>
#include <new>

#include <sqlite3.h>

#include "tests/support/must.h"
#include "tests/support/power_disk_record.h"

namespace tributary {
namespace {

// SQLite allocates this for a file, and behind it the default file system's own.
struct RecordedFile {
  sqlite3_file base;
  struct State {
    std::shared_ptr<DiskRecord> record;  // null: not on a power disk
    Path path;
    size_t file;
    // The default file system syncs the folder with the first sync of a log or journal.
    bool sync_folder;
  } * state;
};

sqlite3_vfs* real_vfs = nullptr;  // set once, before the layer is registered

sqlite3_file* Real(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) + sizeof(RecordedFile));
}
RecordedFile::State& StateOf(sqlite3_file* file) { return *reinterpret_cast<RecordedFile*>(file)->state; }

// The answer of the default file system for this errno. SQLite asks for the errno itself later.
int Answer(int error, int otherwise) {
  errno = error;
  return error == ENOSPC ? SQLITE_FULL : otherwise;
}

int Close(sqlite3_file* file) {
  const int code = Real(file)->pMethods->xClose(Real(file));
  delete &StateOf(file);
  return code;
}

int Write(sqlite3_file* file, const void* from, int amount, sqlite3_int64 offset) {
  const RecordedFile::State& state = StateOf(file);
  const auto write = [&](int bytes) { return Real(file)->pMethods->xWrite(Real(file), from, bytes, offset); };
  if (!state.record) return write(amount);
  const std::lock_guard lock(state.record->mutex);
  const int error = state.record->Fault(DiskChange::kWrite);
  if (error == ENOSPC) amount /= 2;
  if (error == 0 || (error == ENOSPC && amount > 0)) {
    if (const int code = write(amount); code != SQLITE_OK) return code;
    state.record->Write(state.file, static_cast<uint64_t>(offset),
                        {static_cast<const uint8_t*>(from), static_cast<size_t>(amount)});
  }
  return error == 0 ? SQLITE_OK : Answer(error, SQLITE_IOERR_WRITE);
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  const RecordedFile::State& state = StateOf(file);
  if (!state.record) return Real(file)->pMethods->xTruncate(Real(file), size);
  const std::lock_guard lock(state.record->mutex);
  if (const int error = state.record->Fault(DiskChange::kTruncate); error != 0)
    return Answer(error, SQLITE_IOERR_TRUNCATE);
  const int code = Real(file)->pMethods->xTruncate(Real(file), size);
  if (code == SQLITE_OK) state.record->Truncate(state.file, static_cast<uint64_t>(size));
  return code;
}

int Sync(sqlite3_file* file, int flags) {
  RecordedFile::State& state = StateOf(file);
  if (!state.record) return Real(file)->pMethods->xSync(Real(file), flags);
  const std::lock_guard lock(state.record->mutex);
  const int error = state.record->Fault(DiskChange::kSync);
  state.record->Sync(state.file, error == 0);
  if (error != 0) return Answer(error, SQLITE_IOERR_FSYNC);
  if (std::exchange(state.sync_folder, false)) state.record->SyncFolder(state.path.parent_path());
  return SQLITE_OK;
}

int Read(sqlite3_file* file, void* to, int amount, sqlite3_int64 offset) {
  return Real(file)->pMethods->xRead(Real(file), to, amount, offset);
}
int FileSize(sqlite3_file* file, sqlite3_int64* size) { return Real(file)->pMethods->xFileSize(Real(file), size); }
int Lock(sqlite3_file* file, int level) { return Real(file)->pMethods->xLock(Real(file), level); }
int Unlock(sqlite3_file* file, int level) { return Real(file)->pMethods->xUnlock(Real(file), level); }
int CheckReservedLock(sqlite3_file* file, int* held) {
  return Real(file)->pMethods->xCheckReservedLock(Real(file), held);
}
int FileControl(sqlite3_file* file, int what, void* with) {
  return Real(file)->pMethods->xFileControl(Real(file), what, with);
}
int SectorSize(sqlite3_file* file) { return Real(file)->pMethods->xSectorSize(Real(file)); }
int DeviceCharacteristics(sqlite3_file* file) { return Real(file)->pMethods->xDeviceCharacteristics(Real(file)); }
int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** memory) {
  return Real(file)->pMethods->xShmMap(Real(file), page, size, extend, memory);
}
int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
  return Real(file)->pMethods->xShmLock(Real(file), offset, count, flags);
}
void ShmBarrier(sqlite3_file* file) { Real(file)->pMethods->xShmBarrier(Real(file)); }
int ShmUnmap(sqlite3_file* file, int remove) { return Real(file)->pMethods->xShmUnmap(Real(file), remove); }

// Version 2 has no memory-mapped reading and writing, which could pass by the record.
constexpr sqlite3_io_methods kMethods = {
    .iVersion = 2,
    .xClose = Close,
    .xRead = Read,
    .xWrite = Write,
    .xTruncate = Truncate,
    .xSync = Sync,
    .xFileSize = FileSize,
    .xLock = Lock,
    .xUnlock = Unlock,
    .xCheckReservedLock = CheckReservedLock,
    .xFileControl = FileControl,
    .xSectorSize = SectorSize,
    .xDeviceCharacteristics = DeviceCharacteristics,
    .xShmMap = ShmMap,
    .xShmLock = ShmLock,
    .xShmBarrier = ShmBarrier,
    .xShmUnmap = ShmUnmap,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int OpenReal(const char* name, sqlite3_file* file, int flags, int* out_flags) {
  Real(file)->pMethods = nullptr;
  const int code = real_vfs->xOpen(real_vfs, name, Real(file), flags, out_flags);
  if (code != SQLITE_OK && Real(file)->pMethods != nullptr) Real(file)->pMethods->xClose(Real(file));
  return code;
}

int OpenRecorded(DiskRecord& record, RecordedFile::State& state, const char* name, sqlite3_file* file, int flags,
                 int* out_flags) {
  const std::lock_guard lock(record.mutex);
  auto known = record.FileAt(state.path);
  const bool writes = (flags & SQLITE_OPEN_READWRITE) != 0;
  if (writes && (!known || record.Failing(DiskFault::kReadOnly))) {
    if (const int error = record.Fault(DiskChange::kCreate); error != 0) {
      if (!known) return errno = error, SQLITE_CANTOPEN;
      if (error != EROFS) return errno = error, SQLITE_IOERR;
      // As the default file system does: what cannot be written is opened for reading.
      flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    }
  }
  if (const int code = OpenReal(name, file, flags, out_flags); code != SQLITE_OK) return code;
  if (!known) known = record.Create(state.path);
  state.file = *known;
  constexpr int kLogs = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
  state.sync_folder = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & kLogs) != 0;
  return SQLITE_OK;
}

int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  auto state = std::make_unique<RecordedFile::State>();
  if (name != nullptr) {
    state->path = NormalPath(name);
    state->record = DiskRecord::Holding(state->path);
  }
  const int code = state->record ? OpenRecorded(*state->record, *state, name, file, flags, out_flags)
                                 : OpenReal(name, file, flags, out_flags);
  if (code != SQLITE_OK) return code;
  reinterpret_cast<RecordedFile*>(file)->state = state.release();
  file->pMethods = &kMethods;
  return SQLITE_OK;
}

int Delete(sqlite3_vfs*, const char* name, int sync_folder) {
  const Path path = NormalPath(name);
  const auto record = DiskRecord::Holding(path);
  if (!record) return real_vfs->xDelete(real_vfs, name, sync_folder);
  const std::lock_guard lock(record->mutex);
  if (record->FileAt(path)) {
    if (const int error = record->Fault(DiskChange::kRemove); error != 0) return Answer(error, SQLITE_IOERR_DELETE);
  }
  const int code = real_vfs->xDelete(real_vfs, name, 0);
  if (code != SQLITE_OK) return code;
  if (record->FileAt(path)) record->Remove(path);
  if (sync_folder != 0) record->SyncFolder(path.parent_path());
  return SQLITE_OK;
}

}  // namespace

void RegisterPowerDiskWithSqlite() {
  static sqlite3_vfs layer = [] {
    real_vfs = sqlite3_vfs_find(nullptr);
    TRIBUTARY_CHECK(real_vfs != nullptr);
    sqlite3_vfs copy =
        *real_vfs;  // what it does not change, the default's functions do: they use no state of their own
    copy.szOsFile += static_cast<int>(sizeof(RecordedFile));
    copy.pNext = nullptr;
    copy.zName = "power-disk";
    copy.xOpen = Open;
    copy.xDelete = Delete;
    return copy;
  }();
  TRIBUTARY_CHECK(sqlite3_vfs_register(&layer, 1) == SQLITE_OK);
}

}  // namespace tributary
