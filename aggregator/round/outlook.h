#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "aggregator/records/enrolment_records.h"
#include "aggregator/records/slice.h"
#include "aggregator/watch/fleet_book.h"

namespace tributary {

// An outlook is what the devices that are known can still give to a round. A device stands in one of the three.
struct Outlook {
  uint64_t contributed = 0;       // in the sum
  uint64_t possible = 0;          // may still give an update, as far as anybody knows
  std::map<Code, uint64_t> lost;  // said that they cannot train the base version, by why
  // Everybody who is known enrolled with a token, so nobody is a member and unknown. A device whose certificate was
  // made by hand is not known before its first upload.
  bool settled = true;
};

// The devices and evaluators that are enrolled, or were, in the order of their ids; empty: nobody is known but by
// having been heard of.
using FindEnrolled = std::function<Result<std::vector<EnrolledMember>>(const Slice<DeviceId>&)>;

struct OutlookQuestion {
  TaskId task;
  ModelVersion base{};
  std::function<bool(const DeviceId&)> selected;                     // by the round's coin
  std::function<Result<bool>(const DeviceId&)> in_sum;               // its update counts already
  WallTime since;                                                    // failures that were heard of before say nothing
  std::function<Result<bool>(const DeviceId&)> is_barred = nullptr;  // its privacy permits no more; null: nobody's
  bool await_data = false;  // who lacks examples may still import them, and so is possible
};

// Looks at all devices that are known, in turns of kItemsOfTurn, because updates wait meanwhile (bench_listing). Known
// are those that were heard of or are enrolled, without those that were revoked, refused or are not let in yet. Lost is
// only who said so: a device that is silent, or fails at another version, is possible. While nothing is settled, also
// the clients are possible that gateways have beyond those who are known. The caller fills in `contributed` when all
// were looked at: who contributes meanwhile may stand in both, never in none. Value type.
class Survey {
 public:
  // Looks at the next ones. Whether all have been looked at. Errors: those of `enrolled` and of the question; then the
  // same ones are looked at again.
  Result<bool> Continue(const OutlookQuestion& question, FleetBook& fleet, const FindEnrolled& enrolled);
  const Outlook& outlook() const { return outlook_; }

 private:
  DeviceId after_;
  uint64_t known_ = 0;
  Outlook outlook_;
};

}  // namespace tributary
