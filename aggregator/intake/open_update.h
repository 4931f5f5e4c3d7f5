#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "aggregator/records/records.h"
#include "aggregator/sum/sum_kernel.h"
#include "aggregator/sum/weighted_sum.h"
#include "protocol/catalogue/shared_tensors.h"
#include "protocol/envelope/open_upload.h"
#include "protocol/payload/update_codec.h"

namespace tributary {

// The tensors that a task's updates carry, the statistics among them, and the values that their running variances have in
// one version.
class UpdateLayout {
 public:
  // Variances are 0 until SetPresent. `rotated`: updates come as the vectors of a linear codec, which begin with the
  // statistics (protocol/payload/codec/linear.h).
  explicit UpdateLayout(SharedTensors shared, bool rotated = false);
  // `weights`: all of the version that the updates begin at; of use when an update has a variance.
  UpdateLayout(SharedTensors shared, std::span<const float> weights, bool rotated = false)
      : UpdateLayout(std::move(shared), rotated) {
    SetPresent(0, weights);
  }

  // Of an update, before it is rotated.
  uint64_t parameter_count() const { return shared_.table().parameter_count(); }
  bool has_variances() const { return !variances_.empty(); }
  // Consecutive weights of that version, of which the first is value `first`: takes the variances among them.
  void SetPresent(uint64_t first, std::span<const float> weights);

  // Of the vector that comes.
  std::span<const ValueRange> statistics() const { return statistics_; }
  // The name of a value of the vector.
  std::string Place(uint64_t position) const;
  // Whether no running variance falls below 0 (but for rounding) by these consecutive values of an update, of which the
  // first is value `first`. kNormExceeded names the first that would.
  Status CheckVariances(uint64_t first, std::span<const float> values) const;

 private:
  struct Variances {
    uint64_t first = 0;       // in the vector that comes
    uint64_t in_version = 0;  // among its weights
    std::vector<float> present;
  };
  SharedTensors shared_;
  bool rotated_;
  std::vector<uint64_t> offsets_;  // in the table of the shared tensors, of each of statistics_
  std::vector<ValueRange> statistics_;
  std::vector<Variances> variances_;
};

// The bounds for one update. The sum knows two more: the parameter count and the value bound. Borrows what it names.
struct UpdateBounds {
  const TaskRecord& task;
  const UpdateLayout& layout;
  UpdateSize round;                       // the round's own
  uint32_t share = kWholeShare;           // how much the update counts
  std::span<const float> reference = {};  // of centred clipping; empty: none
  // Keeps the update's values for the round's end, with the weight that it counts as; null: they are not kept. What it
  // returns is the update's error.
  std::function<Status(uint64_t weight, const EachPart& values)> keep = nullptr;
  uint64_t whole_norm = 0;  // of its whole numbers (UpdateLimits)
};

// An update that is in the sum.
struct TakenUpdate {
  UpdateSize size;                    // as it came; the weight is at most the task's bound
  bool scaled = false;                // it was scaled down to the round's bounds
  bool capped = false;                // it had claimed more examples than it counts as
  double length = 0;                  // its Euclidean norm, without statistics, as it came
  std::optional<double> cosine = {};  // to the reference; absent without one
};

// Opens updates chunk by chunk, and checks each chunk and adds it to the sum while it is in cache. The plaintext is kept
// until the update is in the sum: one that turns out to be bad, or is to be scaled down, is decoded from it once more.
// Memory: an update's plaintext, which is at most 4 bytes per parameter and a chunk; it is kept for the next update.
// Resource type, not thread safe.
class UpdateReader {
 public:
  // `chunk(i)` gives ciphertext chunk i. On an error every bit of the sum is as it was. Errors: those of UploadOpener,
  // UpdateDecoder, UpdateLayout and SumAddition, kBadWeight (0; over the task's bound when the round has none;
  // or the sum's total would pass its own), kTooLarge (more bytes than the task's values take), and what `chunk` gives.
  Result<TakenUpdate> AddTo(WeightedSum& sum, const UploadHeader& header, const HpkeKeyPair& key,
                            const UpdateBounds& bounds, const std::function<Result<Bytes>(uint32_t index)>& chunk);
  // For work that needs the memory while no update comes.
  void GiveBackRoom() { CacheAligned<uint8_t>().swap(plaintext_); }

 private:
  CacheAligned<uint8_t> plaintext_;
};

}  // namespace tributary
