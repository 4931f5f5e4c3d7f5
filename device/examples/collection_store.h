#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/examples/collection.h"
#include "device/examples/example_columns.h"
#include "protocol/base/sql/database.h"

namespace tributary {

class ExampleWriter;

// What Create asks of the settings of a collection. kInvalidArgument.
Status CheckCollectionSettings(const CollectionSettings& settings);

// The texts of a field by their number, as a task lists them. Each device numbers the texts that it imports in its own
// order, so a value of such a field becomes the place of its text in the list; a text that is not in it may be the
// number itself. A field without a list takes only texts that are numbers.
using TextNumbers = std::map<std::string, std::vector<std::string>, std::less<>>;

// The device's own examples: collections in one SQLite database, `folder`/examples.db. Several processes may have it
// open: one waits up to five seconds for another one's write and then fails with kDatabase; readers wait for nobody.
// Every change is durable on return: after a kill or a power cut it is there whole or not at all. Not thread safe.
//
// Writing. A long Write is stored in batches, so that it does not hold up other writers; its examples are there for others
// from its Commit on. One such Write at a time: it holds `folder`/import/lock. What a killed one left behind is removed by
// the next Write or Sweep. A deletion in its collection ends it.
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
  // A fraction of a second of work. An example counts as its bytes and kExampleOverhead.
  static constexpr uint64_t kBatchBytes = uint64_t{4} << 20;
  static constexpr uint64_t kExampleOverhead = 256;

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
  // For more than fits in memory, stored after every `batch_bytes`. One at a time; the store must outlive it.
  Result<ExampleWriter> Write(std::string_view collection, WallTime now, uint64_t batch_bytes = kBatchBytes);

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
  // over kLoadBytes; kBadExample: a text has no number in this task.
  Result<TaskExamples> Load(std::string_view collection, std::span<const std::string> fields, WallTime now,
                            const TextNumbers& numbers = {});
  // 0: nothing was ever deleted from a collection of this name. It goes on counting when the collection is made again.
  Result<uint64_t> Generation(std::string_view collection);
  // Raises it, for a collection that others keep and have deleted from. Durable.
  Status NoteErasure(std::string_view collection);
  // Changes with the examples of any collection and with its retention.
  Result<std::string> Stamp();

 private:
  friend class ExampleWriter;
  // A collection and where its examples are: the table examples_<place>.
  struct Stored {
    CollectionInfo info;
    int64_t place = 0;
    int64_t next = 1;    // the number of the next example
    uint64_t stale = 0;  // rows that retention has taken since the table was written

    std::string Table() const { return fmt::format("examples_{}", place); }
    // The condition that an example is not of an unfinished Write. Its numbers are those that `imports` names.
    std::string Whole() const;
  };

  CollectionStore(std::unique_ptr<Database> database, Path lock_folder)
      : database_(std::move(database)), lock_folder_(std::move(lock_folder)) {}
  static Result<Stored> ReadStored(const Row& row);
  Result<Stored> Get(std::string_view collection);
  Result<std::vector<Stored>> All();
  Status NumberTexts(const Stored& stored, std::span<const std::string> fields, const TextNumbers& numbers,
                     ExampleColumns& columns);
  // Deletes those for which the condition, of one value, is not false; `keeps` is its contrary.
  Result<uint64_t> Erase(std::string_view collection, std::string_view gone, std::string_view keeps,
                         std::string_view value);
  Result<uint64_t> Empty(std::string_view collection, bool drop);
  Status Rewrite(Stored& stored, std::string_view keeps, const Value& value);
  // Inside a transaction; how many went.
  Result<uint64_t> ApplyRetention(Stored& stored, WallTime now);
  Status SaveCounts(const Stored& stored);
  // Inside a transaction: removes what a Write left behind whose process has ended.
  Status RemoveUnfinished();
  Status EmptyLog();

  std::unique_ptr<Database> database_;
  Path lock_folder_;
};

// The most bytes of values that one Load holds in memory.
inline constexpr uint64_t kLoadBytes = uint64_t{4} << 30;

}  // namespace tributary
