#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "aggregator/records/enrolment_records.h"
#include "aggregator/watch/fleet_book.h"

namespace tributary {

// An outlook is what the devices that are known can still give to a round. A device stands in one of the three.
struct Outlook {
  uint64_t contributed = 0;       // in the sum
  uint64_t possible = 0;          // may still give an update, as far as anybody knows
  std::map<Code, uint64_t> lost;  // said that they cannot train the base version, by why
  // Everybody who is known enrolled with a token, so nobody is a member and unknown. A device whose certificate was made
  // by hand is not known before its first upload.
  bool settled = true;
};

// Everybody who is enrolled, or was; empty: nobody is known but by having been heard of.
using FindEnrolled = std::function<Result<std::vector<EnrolledMember>>()>;

struct OutlookQuestion {
  TaskId task;
  ModelVersion base{};
  std::function<bool(const DeviceId&)> selected;  // by the round's coin
  std::set<DeviceId> in_sum;
  WallTime since;           // failures that were heard of before say nothing
  bool await_data = false;  // who lacks examples may still import them, and so is possible
};

// Known are the devices that were heard of or are enrolled, without those that were revoked, refused or are not let in
// yet. Lost is only who said so: a device that is silent, or fails at another version, is possible. While nothing is
// settled, also the clients are possible that gateways have beyond those who are known.
// Errors: those of `enrolled`.
Result<Outlook> LookAhead(const OutlookQuestion& question, FleetBook& fleet, const FindEnrolled& enrolled);

}  // namespace tributary
