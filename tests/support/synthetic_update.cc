#include "tests/support/synthetic_update.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_tasks.h"
#include "aggregator/optimise/next_weights.h"
#include "aggregator/release/task_book.h"
#include "protocol/payload/update_codec.h"
#include "protocol/trust/seal/digest.h"
#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"
#include "tests/support/small_module.h"

namespace tributary {

SyntheticUpdate UpdateOf(const DeviceId& device, ModelVersion base, uint64_t parameters) {
  Bytes name = ToBytes(AsBytes(device.text()));
  AppendU64(name, Number(base));
  const Digest digest = Sha256(name);
  ByteView seed = digest.view();
  SeededRandom random(Must(TakeU64(seed)));
  SyntheticUpdate update;
  update.weight = 1 + random.Below(100);
  update.delta.resize(parameters);
  for (float& value : update.delta) value = static_cast<float>(random.Below(2'000'001)) * 1e-8f - 0.01f;
  return update;
}

UploadSubject SubjectFor(const Publication& publication, const Identity& device) {
  UploadSubject subject;
  SystemRandom().Fill(subject.id.mutable_view());
  subject.task = publication.tasks.at(0).id;
  subject.base_version = publication.tasks.at(0).latest;
  subject.device = device.subject.id;
  subject.created = SystemClock().Now();
  return subject;
}

SealedUpload SealSynthetic(const SyntheticUpdate& update, const UploadSubject& subject, const SealingTarget& target,
                           const Identity& device, uint32_t chunk_bytes) {
  const Bytes plaintext = Must(EncodeUpdate(
      Codec::kFloat32Dense, {.weight = update.weight, .parameter_count = update.delta.size()}, update.delta));
  return Must(SealUpload(subject, plaintext, chunk_bytes, target, device.key, device.chain));
}

SealedUpload SealSynthetic(const SyntheticUpdate& update, const Publication& publication, const Identity& device,
                           uint32_t chunk_bytes) {
  return SealSynthetic(update, SubjectFor(publication, device), {publication.aead, publication.sealing_key}, device,
                       chunk_bytes);
}

SyntheticTask CreateSyntheticTask(TestSite& site, uint64_t parameters, uint32_t report_goal) {
  SyntheticTask task;
  task.weights.resize(parameters);
  for (size_t i = 0; i < parameters; ++i) task.weights[i] = std::sin(static_cast<float>(i));
  TaskRequest request;
  request.task.id = TestTask("synthetic");
  request.task.table.tensors = {
      {.name = "w", .shape = {static_cast<int64_t>(parameters)}, .offset = 0, .size = parameters}};
  request.task.policy = {.report_goal = report_goal, .minimum = report_goal, .deadline_seconds = 600, .inclusion = 1.0};
  request.task.value_bound = 1;
  request.task.norm_bound = 20;
  request.task.max_weight = 1000;
  SetFormerBounds(request.task);  // what is expected is a plain mean
  request.task.module = Must(site.api().PutBlob(SmallModule()));
  request.weights = Must(site.api().PutBlob(AsBytes(std::span<const float>(task.weights)))).digest;
  Must(site.api().CreateTask(request));
  task.record = request.task;
  task.record.scale = Must(ChooseScale(task.record));
  return task;
}

Digest ExpectedVersions::Next(const std::vector<DeviceId>& devices) {
  std::vector<SyntheticUpdate> updates;
  for (const DeviceId& device : devices) updates.push_back(UpdateOf(device, version_, weights_.size()));
  return Next(updates);
}

Digest ExpectedVersions::Next(const std::vector<SyntheticUpdate>& updates) {
  WeightedSum sum(weights_.size(), record_.scale, record_.value_bound, Must(MaxRoundWeight(record_)));
  for (const SyntheticUpdate& update : updates) Must(Accumulate(sum, update.delta, update.weight));
  weights_ = MakeServerOptimizer({})->Step(weights_, Must(sum.Report()), 1, {});
  version_ = tributary::Next(version_);
  return Sha256(AsBytes(std::span<const float>(weights_)));
}

}  // namespace tributary
