#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "aggregator/records/metric_total.h"
#include "aggregator/records/privacy_policy.h"
#include "aggregator/records/robust_policy.h"
#include "aggregator/records/server_optimizer_plan.h"
#include "protocol/base/clock.h"
#include "protocol/base/code.h"
#include "protocol/base/ids.h"
#include "protocol/catalogue/publication.h"
#include "protocol/catalogue/tensor_table.h"
#include "protocol/payload/fixed_point.h"
#include "protocol/plan/task_manifest.h"
#include "protocol/plan/training_plan.h"

// Tasks, versions and rounds as plain values: the store keeps them, the API shows them.
namespace tributary {

// Which updates a round takes: those of the latest version; or also older ones, which count less (FedBuff, Nguyen et al.
// 2022): an update that is s versions behind counts 1 / sqrt(1 + s).
enum class RoundKind : uint8_t { kSynchronous = 0, kBuffered = 1 };
constexpr bool IsOneOf(RoundKind kind) { return kind <= RoundKind::kBuffered; }

// The end of a round that has fewer than its minimum at its deadline.
enum class BelowMinimum : uint8_t {
  kFail = 0,
  kExtend = 1,  // its deadline is moved once, by as long again; then it fails
  kClose = 2,   // a version is made of what there is, if there is anything
};
constexpr bool IsOneOf(BelowMinimum below) { return below <= BelowMinimum::kClose; }

// A round closes when `report_goal` updates are in its sum, or at its deadline if at least `minimum` are;
// with fewer it fails and the base version stays. It fails earlier when too many devices say that they cannot train.
// Value type with a table of its fields.
struct RoundPolicy {
  uint32_t report_goal = 1;
  uint32_t minimum = 1;
  int64_t deadline_seconds = 3600;
  double inclusion = 1.0;
  VersionCodec version_codec = VersionCodec::kFloat32;
  RoundKind kind = RoundKind::kSynchronous;
  uint32_t max_staleness = 8;
  BelowMinimum below_minimum = BelowMinimum::kFail;
  double over_selection = 0;
  bool operator==(const RoundPolicy&) const = default;
};
std::vector<Field> FieldsOf(RoundPolicy& policy);
// How many versions behind an update may be; 0: it must be of the latest.
inline uint64_t StalenessOf(const RoundPolicy& policy) {
  return policy.kind == RoundKind::kBuffered ? policy.max_staleness : 0;
}

// What an operator may change of a task whose rounds have begun.
struct RoundSettings {
  RoundPolicy policy;
  ServerOptimizerPlan server_optimizer;
  bool operator==(const RoundSettings&) const = default;
};

// How large an update is, or the largest that counts whole. As a bound, 0 is none.
struct UpdateSize {
  double norm =
      0;  // Euclidean, of all values but the statistics; with centred clipping the distance from the reference
  double statistics = 0;  // Euclidean, of what batch and instance normalisation measured (tensor_values.h)
  uint64_t weight = 0;    // examples
  bool operator==(const UpdateSize&) const = default;
};

struct TaskRecord {
  TaskId id;
  TensorTable table;
  BlobRef module;
  TaskManifest manifest = ManifestOfImages();
  TrainingPlan plan;
  RoundPolicy policy;
  ServerOptimizerPlan server_optimizer = {};
  RobustPolicy robust;
  PrivacyPolicy privacy = {};
  // Bounds on an update. One beyond the first two is refused; one beyond the others is scaled down, or counts as fewer
  // examples. A round's own bounds are made of the last four (RoundRule). BoundsOf has their table.
  double value_bound = 16;
  double norm_bound = 1000;
  uint64_t max_weight = 1'000'000;
  double first_norm = 10;
  double norm_medians = 1;
  uint64_t first_weight = 1;
  double weight_medians = 1;
  FixedPointScale scale;  // chosen at creation from value_bound and max_weight * report_goal
  WallTime created;
  uint64_t rounds_wanted = 0;  // rounds still to be run after the present one
  ModelVersion latest{};
  std::optional<RoundSettings> next_settings = {};  // hold from the next round on, or the next version
  std::string paused = {};  // why no round collects updates now, in the operator's words; empty: they are not paused
  WallTime paused_at = {};
};

// The table of a task's bounds on updates.
std::vector<Field> BoundsOf(TaskRecord& task);
// Sets the bounds that there were not before this field was: no update is scaled down, and one that claims more than
// max_weight is refused. Tasks of then keep this meaning.
void SetFormerBounds(TaskRecord& task);

struct VersionRecord {
  TaskId task;
  ModelVersion version{};
  BlobRef weights;  // digest = the version's name
  std::optional<CompactWeights> compact = {};
  std::optional<BlobRef> optimizer_state = {};  // what the server's optimiser goes on from; kept as long as the weights
  ModelVersion parent{};                        // 0 for the initial version
  uint64_t round = 0;  // the round that made it; 0 for the initial version, and for one that was rolled back to
  WallTime created;
  UpdateSize bounds = {};      // of rounds that start from it
  ModelVersion restores = {};  // the version whose weights it has again; 0: they are its own
  std::string reason = {};     // why it was rolled back to them, in the operator's words
  std::string pinned = {};  // why its weights are kept whatever their age, in the operator's words; empty: they are not
  WallTime pruned = {};     // when its weights were removed; 0: they are here
  MetricViews metrics = {};  // filled in when versions are listed
};

// A round's life. One transition table, below; terminal stays terminal.
enum class RoundState : uint8_t {
  kCollecting = 1,  // announced; updates are taken in
  kClosing = 2,     // goal or deadline reached; nothing more is taken in; the average is being made
  kCompleted = 3,   // a new version was published (terminal)
  kFailed = 4,      // it fell short of its minimum; no version was made (terminal)
  kCancelled = 5,   // stopped by an operator (terminal)
};
constexpr bool IsOneOf(RoundState state) { return state >= RoundState::kCollecting && state <= RoundState::kCancelled; }

struct RoundStateEntry {
  RoundState state;
  std::string_view name;
};

inline constexpr RoundStateEntry kRoundStates[] = {
    {RoundState::kCollecting, "collecting"}, {RoundState::kClosing, "closing"},
    {RoundState::kCompleted, "completed"},   {RoundState::kFailed, "failed"},
    {RoundState::kCancelled, "cancelled"},
};

// All that may happen to a round, from and to. Nothing else can happen.
inline constexpr std::pair<RoundState, RoundState> kRoundTransitions[] = {
    {RoundState::kCollecting, RoundState::kClosing},
    {RoundState::kCollecting, RoundState::kFailed},
    {RoundState::kCollecting, RoundState::kCancelled},
    {RoundState::kClosing, RoundState::kCompleted},
};

constexpr bool CanMove(RoundState from, RoundState to) {
  return std::ranges::any_of(kRoundTransitions, [=](const auto& known) { return known == std::pair(from, to); });
}
// Nothing leads on from here.
constexpr bool IsTerminal(RoundState state) {
  return std::ranges::none_of(kRoundTransitions, [=](const auto& known) { return known.first == state; });
}
std::string_view RoundStateName(RoundState state);

// A round and, once it is completed, its manifest (lineage).
struct RoundRecord {
  TaskId task;
  uint64_t number = 0;  // 1, 2, 3 … within the task
  RoundState state = RoundState::kCollecting;
  ModelVersion base{};
  ModelVersion result{};  // 0 until completed
  std::array<uint8_t, 16> nonce{};
  WallTime opened;
  WallTime deadline;
  WallTime closed;             // 0 while it collects
  bool extended = false;       // its deadline was moved, for want of updates
  double inclusion = 0;        // probability that a device is in it; 0: the policy's
  UpdateSize bounds;           // of its updates, fixed when it opened
  uint64_t contributions = 0;  // updates in the sum
  uint64_t total_weight = 0;
  std::vector<uint64_t> staleness = {};    // how many of them were 0, 1, 2 … versions behind
  uint64_t scaled = 0;                     // those that were larger than the bounds, and were scaled down
  uint64_t capped = 0;                     // those that claimed more examples, and count as so many
  std::map<Code, uint64_t> refused;        // by reason; duplicates included under kDuplicate
  uint64_t bytes_up = 0;                   // ciphertext bytes of all uploads of the round that were taken in completely
  std::optional<Digest> aggregate_digest;  // of the fixed-point sum's serialised form
  MetricViews metrics;                     // global: of `result`; personal and local: of `base`
  uint64_t evaluations = 0;
  AskAgain again = {};    // devices are asked again for `base`
  std::string shortfall;  // why it failed, or was cancelled by a rollback, in one sentence; empty: it did not
  // Devices that say now that they cannot train `base`, by why. Filled in when it is shown.
  std::map<Code, uint64_t> device_failures = {};
  // Why it may not get to its goal, by who was seen, in one sentence; empty: it may. Filled in when it is shown.
  std::string warning = {};
};
// Moves `round` on. Dies when the table does not know the transition: that is our own bug.
void MoveRound(RoundRecord& round, RoundState to);

}  // namespace tributary
