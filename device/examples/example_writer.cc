#include "device/examples/example_writer.h"

#include <chrono>
#include <thread>
#include <vector>

#include "device/examples/example_content.h"
#include "protocol/base/ids.h"

namespace tributary {
namespace {

// A Write of several batches sets so many numbers aside. Others number theirs behind them.
constexpr int64_t kNumbersAside = int64_t{1} << 40;
// Between batches, for another writer that waits.
constexpr auto kLetIn = std::chrono::milliseconds(5);

}  // namespace

ExampleWriter::ExampleWriter(CollectionStore& store, Transaction transaction, CollectionStore::Stored stored,
                             WallTime now, uint64_t batch_bytes)
    : store_(&store),
      transaction_(std::move(transaction)),
      stored_(std::move(stored)),
      now_(now),
      batch_bytes_(batch_bytes),
      insert_(fmt::format("INSERT INTO {} VALUES (?, ?, ?, ?, ?, ?)", stored_.Table())),
      first_(stored_.next),
      next_(stored_.next) {}

Status ExampleWriter::Resume() {
  if (transaction_) return {};
  if (!announced_) return Fail(Code::kDatabase, "nothing was stored: an earlier error ended this import");
  std::this_thread::sleep_for(kLetIn);
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*store_->database_));
  ASSIGN_OR_RETURN(
      const bool goes_on,
      store_->database_->QueryHas("SELECT 1 FROM imports WHERE collection = ? AND first = ?", settings().name, first_));
  if (!goes_on) {
    return Fail(Code::kConflict,
                "examples of the collection {} were deleted meanwhile, so nothing was imported: import again",
                settings().name);
  }
  ASSIGN_OR_RETURN(stored_, store_->Get(settings().name));
  insert_ = fmt::format("INSERT INTO {} VALUES (?, ?, ?, ?, ?, ?)", stored_.Table());
  codes_.clear();
  in_batch_ = 0;
  transaction_.emplace(std::move(transaction));
  return {};
}

Status ExampleWriter::Announce() {
  if (!store_->lock_folder_.empty()) {
    auto lock = FileLock::Take(store_->lock_folder_);
    if (!lock && lock.error().code == Code::kLocked)
      return Fail(Code::kLocked,
                  "another import is under way on this device; nothing was imported: try again after it");
    if (!lock) return Fail(lock.error());
    alive_.emplace(std::move(*lock));
  }
  RETURN_IF_ERROR(store_->database_->Write("INSERT INTO imports VALUES (?, ?, ?)", settings().name, first_,
                                           first_ + kNumbersAside - 1));
  stored_.next = first_ + kNumbersAside;
  RETURN_IF_ERROR(store_->SaveCounts(stored_));
  announced_ = true;
  return {};
}

Status ExampleWriter::EndBatch() {
  Status ended = announced_ ? Status() : Announce();
  if (ended) ended = transaction_->Commit();
  if (!ended) announced_ = false;
  transaction_.reset();
  return ended;
}

Status ExampleWriter::TellApart(std::string& id) {
  ASSIGN_OR_RETURN(const auto same, store_->database_->Query(
                                        fmt::format("SELECT number FROM {} WHERE id = ?", stored_.Table()), id));
  for (const Row& row : same) {
    int64_t number = 0;
    RETURN_IF_ERROR(row.Into(number));
    if (number < first_) ++known_;
    id += fmt::format("-{}", next_);
  }
  return {};
}

Status ExampleWriter::Put(const NewExample& example) {
  RETURN_IF_ERROR(CheckNewExample(settings().fields, example));
  RETURN_IF_ERROR(Resume());
  Bytes content = EncodeContent(example);
  std::string id = example.id.empty() ? MadeId(content) : example.id;
  // Before the id is made another one: what has the same content is on the same side.
  const bool held_out = IsHeldOut(settings().name, id, settings().held_out_share);
  if (example.id.empty()) RETURN_IF_ERROR(TellApart(id));
  const size_t bytes = content.size();
  std::vector<Value> values;
  values.reserve(6);
  values.emplace_back(next_);
  values.emplace_back(id);
  values.emplace_back(example.group);
  values.emplace_back(now_.unix_millis);
  values.emplace_back(int64_t{held_out});
  values.emplace_back(std::move(content));
  const auto inserted = store_->database_->ExecuteValues(insert_, values);
  if (!inserted && inserted.error().code == Code::kConflict) {
    return Fail(Code::kAlreadyExists, "the collection {} has an example with the id '{}' already", settings().name, id);
  }
  if (!inserted) return Fail(inserted.error());
  ++next_;
  ++count_;
  bytes_ += bytes;
  in_batch_ += bytes + CollectionStore::kExampleOverhead;
  return in_batch_ < batch_bytes_ ? Status() : EndBatch();
}

Result<int64_t> ExampleWriter::CodeOf(const std::string& field, const std::string& text) {
  RETURN_IF_ERROR(Resume());
  auto known = codes_.find(field);
  if (known == codes_.end()) {
    known = codes_.emplace(field, std::map<std::string, int64_t, std::less<>>()).first;
    ASSIGN_OR_RETURN(const auto rows,
                     store_->database_->Query("SELECT text, code FROM categories WHERE collection = ? AND field = ?",
                                              settings().name, field));
    for (const Row& row : rows) {
      std::string name;
      int64_t code = 0;
      RETURN_IF_ERROR(row.Into(name, code));
      known->second[name] = code;
    }
    for (const auto& [name, code] : fresh_[field]) {
      const auto next = static_cast<int64_t>(known->second.size());
      if (code != next || !known->second.emplace(name, code).second) {
        return Fail(Code::kConflict,
                    "other texts of the category {} came meanwhile, so nothing was imported: import again", field);
      }
    }
  }
  auto& codes = known->second;
  if (const auto found = codes.find(text); found != codes.end()) return found->second;
  if (codes.size() >= kCategories || text.size() > kExampleNameBytes) {
    return Fail(Code::kTooLarge, "the category {} has over {} different texts, or one over {} bytes", field,
                kCategories, kExampleNameBytes);
  }
  const auto code = static_cast<int64_t>(codes.size());
  fresh_[field].emplace_back(text, code);
  return codes[text] = code;
}

Status ExampleWriter::Commit() {
  RETURN_IF_ERROR(Resume());
  for (const auto& [field, texts] : fresh_) {
    if (!texts.empty()) RETURN_IF_ERROR(CodeOf(field, texts.front().first));  // they are still free
    for (const auto& [text, code] : texts) {
      RETURN_IF_ERROR(
          store_->database_->Write("INSERT INTO categories VALUES (?, ?, ?, ?)", settings().name, field, code, text));
    }
  }
  if (announced_) {
    RETURN_IF_ERROR(store_->database_->Write("DELETE FROM imports WHERE collection = ?", settings().name));
  }
  // Numbers that were set aside are given back when nobody took one behind them.
  if (!announced_ || stored_.next == first_ + kNumbersAside) stored_.next = next_;
  stored_.info.examples += count_;
  stored_.info.bytes += bytes_;
  RETURN_IF_ERROR(store_->ApplyRetention(stored_, now_));
  RETURN_IF_ERROR(store_->SaveCounts(stored_));
  return transaction_->Commit();
}

}  // namespace tributary
