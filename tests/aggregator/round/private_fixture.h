#pragma once

#include <cstring>
#include <set>
#include <vector>

#include "aggregator/optimise/next_weights.h"
#include "aggregator/round/task_privacy.h"
#include "protocol/trust/seal/digest.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/must.h"

namespace tributary {

// Rounds of a private task of kTestParameters values, whose model 3 devices do not drown in noise.
struct PrivateFixture : RoundFixture {
  using RoundFixture::RoundFixture;

  static constexpr RoundPolicy kPolicy{.report_goal = 3, .minimum = 2, .deadline_seconds = 600};
  static constexpr PrivacyPolicy kPrivacy{.epsilon = 8, .noise = 1};

  TaskRecord NewPrivateTask(const PrivacyPolicy& privacy = kPrivacy, const RoundPolicy& policy = kPolicy) {
    TaskRecord task = NewTask(policy);
    task.first_norm = 1;
    task.norm_medians = task.weight_medians = 0;
    task.first_weight = 1;
    task.privacy = privacy;
    return task;
  }
  TaskRecord CreatePrivate(const PrivacyPolicy& privacy = kPrivacy, const RoundPolicy& policy = kPolicy) {
    return Must(core().tasks().Create(NewPrivateTask(privacy, policy), PutInitialWeights()));
  }
  Path FileOf(const std::string& name) const { return elsewhere.value_or(folder.path()) / "privacy" / name; }
  // The values of a draw of independent noise, whose file is there until a checkpoint holds it.
  std::vector<int64_t> NoiseOf(uint64_t draw) const { return Whole(FileOf(fmt::format("digits-{}.noise", draw)), 0); }
  // The whole numbers of the open round's checkpoint.
  std::vector<int64_t> Checkpointed() const {
    const Path checkpoints = elsewhere.value_or(folder.path()) / "checkpoints";
    return Whole(checkpoints / Must(RealFileSystem().List(checkpoints)).at(0), 72);
  }
  static std::vector<int64_t> Whole(const Path& file, size_t head) {
    const Bytes bytes = Must(ReadFile(RealFileSystem(), file, limits::kMiB));
    std::vector<int64_t> values((bytes.size() - head - Digest::kSize) / sizeof(int64_t));
    std::memcpy(values.data(), bytes.data() + head, values.size() * sizeof(int64_t));
    return values;
  }
  // An update as whole numbers, when it is within the clip.
  std::vector<int64_t> WholeUpdate(int device, ModelVersion base) {
    const auto values =
        Must(DecodeUpdate(UpdateFormat(Codec::kFloat32Dense), Plaintext(device, base, UpdateOptions{})));
    const TaskRecord task = Must(core().tasks().Get(task_id));
    std::vector<int64_t> whole;
    for (const float value : values) whole.push_back(task.scale.ToFixed(value));
    return whole;
  }
  std::vector<float> Weights(ModelVersion version) {
    return Must(
        ReadWeights(core().tasks().blobs(), Must(core().tasks().Version(task_id, version)).weights, kTestParameters));
  }
  ModelVersion Latest() { return Must(core().tasks().Get(task_id)).latest; }
  void GiveAll(ModelVersion base, int first = 1, int last = 3) {
    for (int device = first; device <= last; ++device) Must(Give(Update(device, base)));
  }
  PrivacyStanding Standing() { return Must(core().rounds().Privacy(task_id)); }
  Ledger OpenLedger() {
    const PrivacyForm form = Must(PrivacyFormOf(Must(core().tasks().Get(task_id))));
    return Must(Ledger::Open({RealFileSystem(), FileOf("digits.ledger"), clock}, task_id, form.terms, {}));
  }
};

}  // namespace tributary
