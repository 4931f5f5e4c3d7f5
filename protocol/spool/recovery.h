#pragma once

#include <string>
#include <vector>

#include "protocol/spool/batch.h"
#include "protocol/spool/departures.h"
#include "protocol/spool/spool_state.h"

namespace tributary {

// Brings a spool back: after a start, by comparing the payload files with the rows that name them (a merge of two
// sorted lists); after trouble with the disk, by trying to write. State and departures must outlive it.
class Recovery {
 public:
  Recovery(SpoolState& state, Departures& departures) : state_(state), departures_(departures) {}

  // Once, before the first batch, in a batch of its own: loads the account; sets back or gives up uploads whose payload
  // is damaged; removes files without a row.
  Status Recover(Batch& batch);
  // The request of Spool, within a batch.
  Status Probe();

 private:
  // Returns the number of uploads with a file.
  Result<uint64_t> RecoverUploads(const std::vector<std::string>& names, std::vector<std::string>& orphans);
  Status RecoverDeadLetters(const std::vector<std::string>& names, std::vector<std::string>& orphans);
  // Goes on where Recover stopped comparing lengths, a page at a time.
  Status MeasureMore();
  bool IsCustody(const UploadTable::PayloadFile& row) const;
  Status RecoverOne(const UploadTable::PayloadFile& row, bool there);
  Status RecoverDamaged(SpooledUpload upload, uint64_t size);

  SpoolState& state_;
  Departures& departures_;
};

}  // namespace tributary
