#pragma once

#include <vector>

#include "aggregator/records/records.h"
#include "protocol/base/ids.h"
#include "protocol/catalogue/publication.h"
#include "protocol/envelope/seal_upload.h"
#include "protocol/trust/identity/identity.h"
#include "tests/support/test_site.h"

namespace tributary {

// An update that depends on nothing but the device and its base version, so that every tree is fed the same.
struct SyntheticUpdate {
  std::vector<float> delta;
  uint64_t weight = 1;  // [1, 100]
};
SyntheticUpdate UpdateOf(const DeviceId& device, ModelVersion base, uint64_t parameters);

// Seals it for the publication's only task as the device does.
SealedUpload SealSynthetic(const SyntheticUpdate& update, const Publication& publication, const Identity& device,
                           uint32_t chunk_bytes);
// The subject that it seals with, and sealing with another one.
UploadSubject SubjectFor(const Publication& publication, const Identity& device);
SealedUpload SealSynthetic(const SyntheticUpdate& update, const UploadSubject& subject, const SealingTarget& target,
                           const Identity& device, uint32_t chunk_bytes);

// A task of one tensor whose first version is a sine, with rounds that end when `report_goal` devices reported.
struct SyntheticTask {
  TaskRecord record;
  std::vector<float> weights;  // of the first version
};
SyntheticTask CreateSyntheticTask(TestSite& site, uint64_t parameters, uint32_t report_goal);

// The versions that the aggregator must arrive at, worked out beside it: WeightedSum and FedAvg on the same updates.
class ExpectedVersions {
 public:
  explicit ExpectedVersions(const SyntheticTask& task) : record_(task.record), weights_(task.weights) {}
  // The digest of the next version when exactly these devices reported on the present one.
  Digest Next(const std::vector<DeviceId>& devices);
  Digest Next(const std::vector<SyntheticUpdate>& updates);

 private:
  TaskRecord record_;
  std::vector<float> weights_;
  ModelVersion version_{1};
};

}  // namespace tributary
