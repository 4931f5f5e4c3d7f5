#include "aggregator/round/round_keeper.h"

#include "aggregator/records/sum_form.h"
#include "aggregator/release/task_book.h"
#include "aggregator/store/disk_health.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

Status Agree(const TaskRecord& task, const StoredRound& stored, const WeightedSum& sum) {
  const RoundRecord& record = stored.record;
  if (sum.parameter_count() != SumSizeOf(task)) {
    return Fail(Code::kCorrupt, "checkpoint {} has {} parameters, task {} has {}", stored.checkpoint,
                sum.parameter_count(), task.id.text(), SumSizeOf(task));
  }
  if ((sum.noise_denominator() > 0) != task.privacy.is_on())
    return Fail(Code::kCorrupt, "checkpoint {} has noise that the task does not, or lacks it", stored.checkpoint);
  if (sum.contributions() == record.contributions && sum.total_weight() == record.total_weight) return {};
  return Fail(Code::kCorrupt, "checkpoint {} holds {} contributions of weight {}, the database says {} of weight {}",
              stored.checkpoint, sum.contributions(), sum.total_weight(), record.contributions, record.total_weight);
}

Result<WeightedSum> ReadSum(const RoundKeeper::Surroundings& around, const TaskRecord& task,
                            const StoredRound& stored) {
  ASSIGN_OR_RETURN(const uint64_t max_weight, MaxRoundWeight(task));
  if (!WeightedSum::Holds(task.scale, task.value_bound, max_weight)) {
    return Fail(Code::kCorrupt, "task {}: {} fraction bits, bound {}, total weight {} overflow a sum", task.id.text(),
                task.scale.fraction_bits, task.value_bound, max_weight);
  }
  if (stored.checkpoint.empty()) {
    WeightedSum sum(SumSizeOf(task), task.scale, task.value_bound, max_weight);
    if (around.privacy != nullptr) RETURN_IF_ERROR(around.privacy->AddNoise(sum, stored.draw));
    return sum;
  }
  auto sum = ReadCheckpoint(around.files, around.folder / stored.checkpoint);
  if (!sum && sum.error().code == Code::kNotFound) {
    return Fail(Code::kCorrupt, "checkpoint {} is missing; it held {} acknowledged updates", stored.checkpoint,
                stored.record.contributions);
  }
  if (!sum) return sum;
  // The goal may have changed since.
  if (const Status allowed = sum->Allow(max_weight); !allowed)
    return Fail(Code::kCorrupt, "checkpoint {}: {}", stored.checkpoint, allowed.error().message);
  return sum;
}

}  // namespace

RoundKeeper::RoundKeeper(const Surroundings& surroundings, StoredRound stored, WeightedSum sum)
    : around_(surroundings),
      stored_(std::move(stored)),
      record_(stored_.record),
      sum_(std::move(sum)),
      tried_{stored_.generation, stored_.record.contributions},
      checkpoint_size_(sum_.serialized_size() + Digest::kSize) {}

Result<RoundKeeper> RoundKeeper::Restore(const Surroundings& surroundings, const TaskRecord& task, StoredRound stored) {
  ASSIGN_OR_RETURN(WeightedSum sum, ReadSum(surroundings, task, stored));
  RETURN_IF_ERROR(Agree(task, stored, sum));
  return RoundKeeper(surroundings, std::move(stored), std::move(sum));
}

RoundKeeper RoundKeeper::FollowedBy(const TaskRecord& task, StoredRound next) && {
  TRIBUTARY_CHECK(pending_.empty() && (next.checkpoint.empty() || next.checkpoint == stored_.checkpoint))
      << next.checkpoint << " after " << stored_.checkpoint;
  const auto max_weight = MaxRoundWeight(task);
  TRIBUTARY_CHECK(max_weight) << max_weight.error().message;  // it was checked with the policy
  if (next.checkpoint.empty())
    sum_.Restart(task.scale, *max_weight);
  else
    TRIBUTARY_CHECK(sum_.Allow(*max_weight)) << *max_weight;  // so was this (TakeSettings)
  return RoundKeeper(around_, std::move(next), std::move(sum_));
}

const UploadId* RoundKeeper::PendingUpload(ModelVersion base, const DeviceId& device) const {
  const auto found = pending_.find({base, device});
  return found == pending_.end() ? nullptr : &found->second.upload;
}

WeightedSum& RoundKeeper::SumFor(const UploadSubject& subject) {
  TRIBUTARY_CHECK(record_.state == RoundState::kCollecting) << RoundStateName(record_.state);
  TRIBUTARY_CHECK(PendingUpload(subject.base_version, subject.device) == nullptr)
      << subject.device.text() << " is in the sum already";
  return sum_;
}

void RoundKeeper::Added(const UploadHeader& header, const TakenUpdate& update, const DeviceId& via) {
  const UploadSubject& subject = header.subject;
  // How large an update of a private task is, and where it points, is known to nobody afterwards.
  const bool is_private = around_.privacy != nullptr;
  pending_[{subject.base_version, subject.device}] = {subject.id, is_private ? TakenUpdate() : update, via};
  const uint64_t staleness = Number(record_.base) - Number(subject.base_version);
  if (record_.staleness.size() <= staleness) record_.staleness.resize(staleness + 1);
  ++record_.staleness[staleness];
  if (!is_private) {
    record_.scaled += update.scaled ? 1 : 0;
    record_.capped += update.capped ? 1 : 0;
  }
  bytes_since_ += header.ciphertext_size;
  record_.bytes_up += header.ciphertext_size;
  record_.contributions = sum_.contributions();
  record_.total_weight = sum_.total_weight();
}

void RoundKeeper::CountRefusal(Code code) {
  ++record_.refused[code];
  refusals_unsaved_ = true;
}

void RoundKeeper::SetAnnounced(const RoundRecord& now) {
  for (RoundRecord* const record : {&record_, &stored_.record}) {
    record->again = now.again;
    record->deadline = now.deadline;
    record->extended = now.extended;
  }
}

Result<std::vector<UploadId>> RoundKeeper::Checkpoint(RoundState state) {
  StoredRound next = stored_;
  next.record = record_;
  if (state != record_.state) MoveRound(next.record, state);
  if (!pending_.empty()) {
    RETURN_IF_ERROR(CheckRoom(around_.files, around_.folder, checkpoint_size_, "the round's checkpoint"));
    if (tried_.contributions != record_.contributions) tried_ = {tried_.generation + 1, record_.contributions};
    next.generation = tried_.generation;
    next.checkpoint = FileOf(next.generation);
    next.bytes_in += bytes_since_;
    next.bytes_written += checkpoint_size_;
    RETURN_IF_ERROR(WriteCheckpoint(around_.files, around_.folder / next.checkpoint, sum_));
  }
  RETURN_IF_ERROR(WritePending(next));
  if (next.checkpoint != stored_.checkpoint) RemoveOldFiles(next.generation);
  stored_ = std::move(next);
  record_ = stored_.record;
  std::vector<UploadId> taken;
  for (const auto& [of, pending] : pending_) taken.push_back(pending.upload);
  pending_.clear();
  bytes_since_ = 0;
  refusals_unsaved_ = false;
  return taken;
}

Status RoundKeeper::WritePending(const StoredRound& next) {
  ASSIGN_OR_RETURN(Transaction transaction, around_.store.Begin());
  for (const auto& [of, pending] : pending_) {
    const auto& [base, device] = of;
    RETURN_IF_ERROR(around_.store.contributions.Insert({.task = record_.task,
                                                        .base = base,
                                                        .device = device,
                                                        .upload = pending.upload,
                                                        .size = pending.update.size,
                                                        .round = record_.number,
                                                        .length = pending.update.length,
                                                        .cosine = pending.update.cosine,
                                                        .via = pending.via}));
    if (next.draw.number > 0) RETURN_IF_ERROR(around_.store.privacy.TakePart(record_.task, device, next.draw.number));
    const Status counted = around_.store.evaluations.Count(record_.task, base, device);
    if (counted) continue;
    // A measurement may be wrong or damaged; the round goes on without it.
    const Code code = counted.error().code;
    if (code != Code::kMalformed && code != Code::kCorrupt) return counted;
    LogFailure(LogLevel::kWarning, "evaluation.not_counted", counted.error(), {{"device", device.text()}});
  }
  RETURN_IF_ERROR(around_.store.rounds.Save(next));
  if (!pending_.empty()) {
    RETURN_IF_ERROR(
        around_.store.accounts.Add(UploadKind::kUpdate, Outcome::kDelivered, Code::kMalformed, pending_.size()));
  }
  TRIBUTARY_FAULT_POINT("aggregator.checkpoint.before_commit");
  RETURN_IF_ERROR(transaction.Commit());
  TRIBUTARY_FAULT_POINT("aggregator.checkpoint.committed");
  return {};
}

std::string RoundKeeper::FileOf(uint64_t generation) const {
  return fmt::format("{}-{}-{}.sum", record_.task.text(), record_.number, generation);
}

// The checkpoint before, and those of attempts since then that did not reach the database.
void RoundKeeper::RemoveOldFiles(uint64_t newest) const {
  RemoveCheckpointFile();
  for (uint64_t generation = stored_.generation + 1; generation < newest; ++generation)
    (void)around_.files.Remove(around_.folder / FileOf(generation));
  TRIBUTARY_FAULT_POINT("aggregator.checkpoint.old_removed");
}

void RoundKeeper::RemoveCheckpointFile() const {
  if (stored_.checkpoint.empty()) return;
  if (auto removed = around_.files.Remove(around_.folder / stored_.checkpoint); !removed) {
    LogFailure(LogLevel::kWarning, "round.checkpoint_not_removed", removed.error(), {{"file", stored_.checkpoint}});
  }
}

}  // namespace tributary
