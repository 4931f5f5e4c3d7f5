#pragma once

#include <optional>
#include <vector>

#include "aggregator/optimise/optimizers.h"
#include "protocol/catalogue/blob_store.h"

namespace tributary {

// What an optimiser keeps from one version to the next: a blob beside the version's weights (grammar in the .cc). It is read
// and written in pieces, in the order of the values, so it never lies in memory whole.

// Whether there is anything to keep: numbers for each value, or how many steps were taken.
bool KeepsState(const ServerOptimizerPlan& plan);
// Of the blob; 0: there is none. `values`: those that the optimiser moves.
uint64_t StateBytes(const ServerOptimizerPlan& plan, uint64_t values);

// Call order: Open, Next until all values came, Finish. Borrows the blobs and the optimiser.
class OptimizerStateReader {
 public:
  struct Wanted {
    const ServerOptimizer& optimizer;
    ServerOptimizerName name;
    uint64_t values;
  };
  // `state`: the present version's. Absent, or of another optimiser or another number of values: the optimiser begins anew.
  // kDamagedBlob: it is not held whole.
  static Result<OptimizerStateReader> Open(const BlobStore& blobs, const std::optional<BlobRef>& state,
                                           const Wanted& wanted);

  bool begins() const { return !state_; }
  // Taken before this one.
  uint64_t steps() const { return steps_; }
  // The slots of the next values.
  Result<std::vector<float>> Next(uint64_t values);
  // kDamagedBlob: what was read has another digest, and was set aside.
  Status Finish();

 private:
  OptimizerStateReader(const BlobStore& blobs, const Wanted& wanted) : blobs_(&blobs), wanted_(wanted) {}
  Error Damaged(const std::string& why) const;

  const BlobStore* blobs_;
  Wanted wanted_;
  std::optional<BlobRef> state_;  // absent: it begins
  uint64_t steps_ = 0;
  uint64_t at_ = 0;  // bytes read
  Sha256Stream digest_;
};

// The bytes before the first value's slots.
Bytes StateHead(const OptimizerStateReader::Wanted& wanted, uint64_t steps);

}  // namespace tributary
