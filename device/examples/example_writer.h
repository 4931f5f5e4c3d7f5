#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device/examples/collection_store.h"

namespace tributary {

// Different texts of one category field.
inline constexpr size_t kCategories = 65'536;

// Examples on their way into a collection: Put any number of times, then Commit; without Commit nobody sees any of it. A
// Put that failed has put nothing, and the others may go on, but after an error of the database. Errors of each: kLocked:
// another long Write is under way; kConflict: examples of the collection were deleted since this one began.
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
  // Those of them without an id whose values, all of them, an example had that was there before.
  uint64_t known() const { return known_; }
  const CollectionSettings& settings() const { return stored_.info.settings; }

 private:
  friend class CollectionStore;
  ExampleWriter(CollectionStore& store, Transaction transaction, CollectionStore::Stored stored, WallTime now,
                uint64_t batch_bytes);
  // Begins the next batch, when the last one has ended.
  Status Resume();
  Status EndBatch();
  // Makes the made `id` another one when an example of the same content has it.
  Status TellApart(std::string& id);
  // The first of several batches: from now on the examples are those of an unfinished Write.
  Status Announce();

  CollectionStore* store_;
  std::optional<Transaction> transaction_;  // of the batch
  CollectionStore::Stored stored_;
  WallTime now_;
  uint64_t batch_bytes_;
  std::string insert_;
  std::optional<FileLock> alive_;  // held by a Write of several batches
  bool announced_ = false;
  int64_t first_, next_;  // the numbers of the first example and of the next
  uint64_t count_ = 0, known_ = 0, bytes_ = 0, in_batch_ = 0;
  // The codes of each field's texts; the fresh ones are stored by Commit, so that a file that is refused leaves none.
  std::map<std::string, std::map<std::string, int64_t, std::less<>>, std::less<>> codes_;
  std::map<std::string, std::vector<std::pair<std::string, int64_t>>> fresh_;
};

}  // namespace tributary
