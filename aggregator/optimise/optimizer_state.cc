#include "aggregator/optimise/optimizer_state.h"

#include <algorithm>

namespace tributary {
namespace {

// The blob, all little endian:
//   magic   8 bytes  "TRIBOPT1"
//   name    u64      of the optimiser, by its number in ServerOptimizerName
//   values  u64      that it moves
//   steps   u64      taken so far
//   kept    f32 * slots * values; the slots of one value lie together, in the order of the optimiser's rule
// FedAdam (3) after one step on two values, m = (0.1, 0), v = (1, 0.25):
//   54524942 4f505431  03000000 00000000  02000000 00000000  01000000 00000000  cdcccc3d 0000803f 00000000 0000803e
constexpr std::string_view kStateMagic = "TRIBOPT1";
constexpr size_t kStateHeadBytes = 4 * sizeof(uint64_t);

struct Head {
  uint64_t name = 0;
  uint64_t values = 0;
  uint64_t steps = 0;
};
Result<Head> ReadHead(ByteView bytes) {
  ASSIGN_OR_RETURN(const ByteView magic, TakeBytes(bytes, kStateMagic.size()));
  if (AsText(magic) != kStateMagic) return Fail(Code::kMalformed, "does not begin as the state of an optimiser");
  Head head;
  ASSIGN_OR_RETURN(head.name, TakeU64(bytes));
  ASSIGN_OR_RETURN(head.values, TakeU64(bytes));
  ASSIGN_OR_RETURN(head.steps, TakeU64(bytes));
  return head;
}

}  // namespace

bool KeepsState(const ServerOptimizerPlan& plan) {
  return plan.schedule != RateSchedule::kConstant || MakeServerOptimizer(plan)->slots() > 0;
}

uint64_t StateBytes(const ServerOptimizerPlan& plan, uint64_t values) {
  if (!KeepsState(plan)) return 0;
  return kStateHeadBytes + values * MakeServerOptimizer(plan)->slots() * sizeof(float);
}

Bytes StateHead(const OptimizerStateReader::Wanted& wanted, uint64_t steps) {
  Bytes head;
  Append(head, AsBytes(kStateMagic));
  AppendU64(head, static_cast<uint64_t>(wanted.name));
  AppendU64(head, wanted.values);
  AppendU64(head, steps);
  return head;
}

Error OptimizerStateReader::Damaged(const std::string& why) const {
  return {Code::kDamagedBlob,
          fmt::format(
              "{}. The round waits for this state of the server's optimiser; the model and the updates are safe. Put "
              "the file {} back into blobs/ from a backup, or roll back to a version whose state is whole",
              why, state_->digest.hex())};
}

Result<OptimizerStateReader> OptimizerStateReader::Open(const BlobStore& blobs, const std::optional<BlobRef>& state,
                                                        const Wanted& wanted) {
  OptimizerStateReader reader(blobs, wanted);
  if (!state) return reader;
  reader.state_ = state;
  const auto size = blobs.Size(state->digest);
  if (!size && size.error().code == Code::kUnknownBlob) return Fail(reader.Damaged(size.error().message));
  if (!size) return Fail(size.error());
  if (*size != state->size) return Fail(reader.Damaged(fmt::format("the file has {} of {} bytes", *size, state->size)));
  ASSIGN_OR_RETURN(const Bytes bytes, blobs.Read(state->digest, 0, kStateHeadBytes));
  const auto head = ReadHead(bytes);
  if (!head) {
    const Status whole = blobs.CheckAgain(state->digest);
    return Fail(reader.Damaged(whole ? head.error().message : whole.error().message));
  }
  const uint64_t expected = kStateHeadBytes + wanted.values * wanted.optimizer.slots() * sizeof(float);
  if (head->name != static_cast<uint64_t>(wanted.name) || head->values != wanted.values || state->size != expected) {
    // Unless these bytes are not the ones that were stored.
    if (const Status whole = blobs.CheckAgain(state->digest); !whole)
      return Fail(reader.Damaged(whole.error().message));
    reader.state_.reset();
    return reader;
  }
  reader.steps_ = head->steps;
  reader.at_ = bytes.size();
  reader.digest_.Update(bytes);
  return reader;
}

Result<std::vector<float>> OptimizerStateReader::Next(uint64_t values) {
  std::vector<float> kept(values * wanted_.optimizer.slots());
  if (begins()) {
    wanted_.optimizer.Begin(kept);
    return kept;
  }
  const size_t count = kept.size() * sizeof(float);
  ASSIGN_OR_RETURN(const Bytes bytes, blobs_->Read(state_->digest, at_, count));
  if (bytes.size() != count) return Fail(Damaged("the file ends early"));
  digest_.Update(bytes);
  at_ += bytes.size();
  return ToFloats(bytes, kept.size());
}

Status OptimizerStateReader::Finish() {
  if (begins() || std::move(digest_).Finish() == state_->digest) return {};
  const Status again = blobs_->CheckAgain(state_->digest);  // sets it aside
  return Fail(Damaged(again ? "the state changed while it was read" : again.error().message));
}

}  // namespace tributary
