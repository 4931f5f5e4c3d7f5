#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/examples/collection.h"
#include "device/examples/example_columns.h"
#include "protocol/base/sql/database.h"

namespace tributary {

class ExampleWriter;

// The classes of a task. A label of one of these fields that was imported as text gets the place of its text in the list,
// so that it is the same number on every device. A text that is no name of a class may be its number.
struct ClassNumbers {
  std::vector<std::string> fields;
  std::vector<std::string> names;  // empty: labels keep the numbers that this store gave them
};

// The device's own examples: collections in one SQLite database, `folder`/examples.db. Several processes may have it
// open: one waits up to five seconds for another one's write and then fails with kDatabase; readers wait for nobody.
// Every change is one transaction, durable on return: after a kill or a power cut it is there whole or not at all.
// Not thread safe.
//
// Deletion. Remove, RemoveGroup, Clear and Drop leave none of the deleted bytes in any file of the folder when they
// return: the collection is copied to fresh pages without them, the old pages are overwritten, and the write-ahead log is
// emptied. (Overwriting rows in place is not enough: SQLite moves rows between pages and leaves copies in the gaps.) So
// they take as long as writing the collection once, and as much room on the disk meanwhile. The texts of categories stay
// until Clear or Drop. kBusy after a deletion: the examples are gone, but a reader holds the log, in which bytes of theirs
// remain until the next Sweep or deletion.
//
// Retention is applied by every Add and by Sweep, and expired examples are never loaded. Their rows are overwritten at
// once, and copies in gaps at the latest when as many have gone as are left.
//
// Generation. Each deletion raises a durable number of the collection; retention does not. Whoever keeps something that
// was made from examples (a cache, an update that waits in the outbox) notes Generation before it loads them, and throws
// the thing away when the number has changed.
//
// Errors of every call: those of Database; kNotFound: no such collection.
class CollectionStore {
 public:
  // Creates the database when absent; the folder must exist. ":memory:" is a private store without files.
  static Result<std::unique_ptr<CollectionStore>> Open(const Path& folder);
  // nullptr: nothing was ever stored there.
  static Result<std::unique_ptr<CollectionStore>> OpenIfThere(const Path& folder);

  // The schema and the held-out share are fixed; the purpose and retention of one that is there become those given.
  // kConflict: it is there with another schema or share; the message shows both. kInvalidArgument: a field or the share
  // is not well formed, a name stands twice.
  Status Create(const CollectionSettings& settings, WallTime now);
  // All or nothing. Errors: those of ExampleWriter.
  Status Add(std::string_view collection, std::span<const NewExample> examples, WallTime now);
  // For more than fits in memory. One at a time; the store must outlive it.
  Result<ExampleWriter> Write(std::string_view collection, WallTime now);

  // How many were deleted.
  Result<uint64_t> Remove(std::string_view collection, std::string_view id);
  Result<uint64_t> RemoveGroup(std::string_view collection, std::string_view group);
  Result<uint64_t> Clear(std::string_view collection);
  // With the collection itself.
  Result<uint64_t> Drop(std::string_view collection);
  // Applies retention everywhere, and empties the write-ahead log. How many went. kBusy: as above.
  Result<uint64_t> Sweep(WallTime now);

  Result<std::vector<CollectionInfo>> List();
  Result<CollectionInfo> Find(std::string_view collection);
  // Reads every example once.
  Result<CollectionSummary> Summarise(std::string_view collection);
  // Both shares, in the order of insertion, with these fields only. kMissingField lists those that there are; kTooLarge:
  // over kLoadBytes; kBadExample: a label is none of the classes.
  Result<TaskExamples> Load(std::string_view collection, std::span<const std::string> fields, WallTime now,
                            const ClassNumbers& classes = {});
  // 0: nothing was ever deleted from a collection of this name. It goes on counting when the collection is made again.
  Result<uint64_t> Generation(std::string_view collection);

 private:
  friend class ExampleWriter;
  // A collection and where its examples are: the table examples_<place>.
  struct Stored {
    CollectionInfo info;
    int64_t place = 0;
    int64_t next = 1;    // the number of the next example
    uint64_t stale = 0;  // rows that retention has taken since the table was written

    std::string Table() const { return fmt::format("examples_{}", place); }
    // Examples that were added before this time have expired.
    WallTime Expired(WallTime now) const;
  };

  explicit CollectionStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  static Result<Stored> ReadStored(const Row& row);
  Result<Stored> Get(std::string_view collection);
  Result<std::vector<Stored>> All();
  Status NumberByClass(const Stored& stored, const ClassNumbers& classes, ExampleColumns& columns);
  Result<int64_t> CreateTable();
  // Deletes those for which the condition, of one value, is not false; `keeps` is its contrary.
  Result<uint64_t> Erase(std::string_view collection, std::string_view gone, std::string_view keeps,
                         std::string_view value);
  Result<uint64_t> Empty(std::string_view collection, bool drop);
  Status Rewrite(Stored& stored, std::string_view keeps, const Value& value);
  Status NoteErasure(std::string_view collection);
  // Inside a transaction; how many went.
  Result<uint64_t> ApplyRetention(Stored& stored, WallTime now);
  Status SaveCounts(const Stored& stored);
  Status EmptyLog();

  std::unique_ptr<Database> database_;
};

// The most bytes of values that one Load holds in memory.
inline constexpr uint64_t kLoadBytes = uint64_t{4} << 30;
// Different texts of one category field.
inline constexpr size_t kCategories = 65'536;

// Examples on their way into a collection: Put any number of times, then Commit; without Commit nothing of it stays. A
// Put that failed has put nothing, and the others may go on.
class ExampleWriter {
 public:
  ExampleWriter(ExampleWriter&&) = default;
  // Errors: those of CheckNewExample; kAlreadyExists: the id is in the collection.
  Status Put(const NewExample& example);
  // The number that stands for a text in a field: the same text has the same number for as long as the collection is not
  // cleared; they begin at 0. kTooLarge: over kCategories of them, or a text over kExampleNameBytes.
  Result<int64_t> CodeOf(const std::string& field, const std::string& text);
  // With retention.
  Status Commit();

  uint64_t count() const { return count_; }
  const CollectionSettings& settings() const { return stored_.info.settings; }

 private:
  friend class CollectionStore;
  ExampleWriter(CollectionStore& store, Transaction transaction, CollectionStore::Stored stored, WallTime now);

  CollectionStore* store_;
  Transaction transaction_;
  CollectionStore::Stored stored_;
  WallTime now_;
  std::string insert_;
  uint64_t count_ = 0;
  std::map<std::string, std::map<std::string, int64_t, std::less<>>, std::less<>> codes_;
};

}  // namespace tributary
