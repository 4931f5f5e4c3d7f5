#pragma once

#include <future>
#include <memory>
#include <optional>

#include "aggregator/release/privacy_form.h"
#include "aggregator/sum/weighted_sum.h"
#include "protocol/base/executor.h"
#include "protocol/base/file.h"
#include "protocol/base/random.h"

namespace tributary {

// The noise of one task's sums, a file for each draw, drawn ahead of the round that uses it. A file, all little endian:
//   block   for each 65,536 values, the last one shorter:
//     noise     i64 * values
//     buffers   i64 * values * buffers of the Blt   what the next draw of the run needs (correlated_noise.h)
//   digest  32 bytes, SHA-256 of the blocks; it is the draw's name in the ledger and the database
// Two values of independent noise, 5 and -1:
//   05000000 00000000  ffffffff ffffffff  <SHA-256 of these 16 bytes>
//
// Call order: Prepare, Take; AddTo at any time after that, also after a restart, as long as the file is kept. A file is
// durable before Take returns. One thread; the drawing is done by `worker`, or at once when it is null. Files, worker and
// `random`, which is asked on the worker's thread, must outlive the store's last drawing.
class NoiseStore {
 public:
  struct Surroundings {
    FileSystem& files;
    Path folder;  // it exists
    Random& random;
    Executor* worker;
  };
  NoiseStore(const Surroundings& around, const TaskId& task, const PrivacyForm& form)
      : around_(around), prefix_(task.text() + "-"), form_(form) {}

  // Begins to draw. `after`: the draw of the same run before this one, whose file is kept; nullopt: a run begins, or
  // draws are independent. What was prepared and not taken is forgotten.
  void Prepare(uint64_t number, const std::optional<NoiseDraw>& after);
  // The number that is prepared; 0: none.
  uint64_t prepared() const { return number_; }
  // The digest of what was prepared. Waits until it is drawn. After an error nothing is prepared. kDiskFull, kReadOnly,
  // kIo; kCorrupt: the file of the draw before.
  Result<Digest> Take();

  // Adds a draw's noise to a sum that begins. kCorrupt: its file is not there, or holds another noise.
  Status AddTo(WeightedSum& sum, const NoiseDraw& draw) const;
  // Removes the files of all draws but this one, of which at most one may be prepared now.
  Status KeepOnly(uint64_t number);
  // A sum that is on disk holds the noise of this draw. Its file goes, unless the next draw needs it.
  void Settled(uint64_t number) const;

 private:
  Path FileOf(uint64_t number) const;

  Surroundings around_;
  std::string prefix_;
  PrivacyForm form_;
  uint64_t number_ = 0;
  std::shared_future<Result<Digest>> drawing_;
};

}  // namespace tributary
