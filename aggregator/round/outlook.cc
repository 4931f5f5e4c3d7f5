#include "aggregator/round/outlook.h"

#include <algorithm>
#include <optional>

namespace tributary {
namespace {

// An import helps. Of what is a person's to mend, only this passes (code.h).
bool LacksData(Code code) { return KindOf(code) == CodeKind::kPerson && IsTransient(code); }

// The known devices behind `after`, each with whether it enrolled with a token.
struct Known {
  std::map<DeviceId, bool> devices;
  std::optional<DeviceId> last;  // there may be more behind it; nullopt: there are none
};

Result<Known> KnownAfter(const DeviceId& after, const TaskId& task, FleetBook& fleet, const FindEnrolled& enrolled) {
  const Slice<DeviceId> slice{.after = after};
  Known known;
  // Of a list that was cut, nothing is known behind its end.
  const auto note_end = [&](const auto& list, const DeviceId& end) {
    if (list.size() >= slice.most && (!known.last || end < *known.last)) known.last = end;
  };
  // A crash may forget members of whom was heard in the last second, never what a device said of itself.
  const auto failing = fleet.failures().Devices(task, slice);
  for (const DeviceId& device : failing) known.devices[device] = false;
  if (!failing.empty()) note_end(failing, failing.back());
  ASSIGN_OR_RETURN(const auto heard, fleet.Devices(slice));
  for (const MemberRecord& member : heard) {
    if (member.role == RoleName(Role::kDevice)) {
      known.devices[member.id] = false;
    } else {
      known.devices.erase(member.id);
    }
  }
  if (!heard.empty()) note_end(heard, heard.back().id);
  if (enrolled) {
    ASSIGN_OR_RETURN(const auto members, enrolled(slice));
    for (const EnrolledMember& member : members) {
      if (member.state != EnrolmentState::kActive || member.role != Role::kDevice) {
        known.devices.erase(member.id);
      } else {
        known.devices[member.id] = !member.token.empty();
      }
    }
    if (!members.empty()) note_end(members, members.back().id);
  }
  if (known.last) known.devices.erase(known.devices.upper_bound(*known.last), known.devices.end());
  return known;
}

bool IsLost(const OutlookQuestion& question, const FailureBook::Entry* entry) {
  return entry != nullptr && entry->failure.version == question.base && entry->received >= question.since &&
         entry->failure.lasting && !(question.await_data && LacksData(entry->failure.code));
}

}  // namespace

Result<bool> Survey::Continue(const OutlookQuestion& question, FleetBook& fleet, const FindEnrolled& enrolled) {
  ASSIGN_OR_RETURN(const Known known, KnownAfter(after_, question.task, fleet, enrolled));
  Outlook next = outlook_;
  for (const auto& [device, by_token] : known.devices) {
    next.settled = next.settled && by_token;
    if (!question.selected(device)) continue;
    ASSIGN_OR_RETURN(const bool in_sum, question.in_sum(device));
    if (in_sum) continue;
    if (question.is_barred) {
      ASSIGN_OR_RETURN(const bool is_barred, question.is_barred(device));
      if (is_barred) {
        ++next.lost[Code::kQuotaExceeded];
        continue;
      }
    }
    const FailureBook::Entry* const entry = fleet.failures().Find(question.task, device);
    if (IsLost(question, entry)) {
      ++next.lost[entry->failure.code];
    } else {
      ++next.possible;
    }
  }
  known_ += known.devices.size();
  outlook_ = std::move(next);
  if (known.last) {
    after_ = *known.last;
    return false;
  }
  if (outlook_.settled) return true;
  // Clients of gateways beyond those who are known: at least so many were never heard of.
  const FleetBook::GatewayCounts gateways = fleet.CountGateways();
  outlook_.possible += gateways.clients - std::min(gateways.clients, known_ + gateways.behind_others);
  return true;
}

}  // namespace tributary
