#include "aggregator/round/outlook.h"

#include <algorithm>

namespace tributary {
namespace {

// An import helps. Of what is a person's to mend, only this passes (code.h).
bool LacksData(Code code) { return KindOf(code) == CodeKind::kPerson && IsTransient(code); }

// Each with whether it enrolled with a token.
using Known = std::map<DeviceId, bool>;

Result<Known> KnownDevices(const TaskId& task, FleetBook& fleet, const FindEnrolled& enrolled) {
  Known known;
  // A crash may forget members of whom was heard in the last second, never what a device said of itself.
  for (const DeviceId& device : fleet.failures().Devices(task)) known[device] = false;
  for (const MemberRecord& member : fleet.Members(Role::kDevice)) known[member.id] = false;
  for (const MemberRecord& member : fleet.Members(Role::kEvaluator)) known.erase(member.id);
  if (!enrolled) return known;
  ASSIGN_OR_RETURN(const auto members, enrolled());
  for (const EnrolledMember& member : members) {
    if (member.state != EnrolmentState::kActive || member.role != Role::kDevice) {
      known.erase(member.id);
    } else {
      known[member.id] = !member.token.empty();
    }
  }
  return known;
}

// Clients of gateways beyond `known`: at least so many were never heard of.
Result<uint64_t> UnheardClients(FleetBook& fleet, uint64_t known) {
  ASSIGN_OR_RETURN(const auto gateways, fleet.Gateways({.after = {}, .most = UINT64_MAX}));
  uint64_t clients = 0, others = known;
  for (const GatewayRecord& gateway : gateways) {
    clients += gateway.report.connected_clients;
    others += gateway.path.size() > 2 ? 1 : 0;  // itself a client of a gateway
  }
  return clients - std::min(clients, others);
}

}  // namespace

Result<Outlook> LookAhead(const OutlookQuestion& question, FleetBook& fleet, const FindEnrolled& enrolled) {
  ASSIGN_OR_RETURN(const auto known, KnownDevices(question.task, fleet, enrolled));
  Outlook outlook;
  outlook.contributed = question.in_sum.size();
  for (const auto& [device, by_token] : known) {
    outlook.settled = outlook.settled && by_token;
    if (question.in_sum.contains(device) || !question.selected(device)) continue;
    const FailureBook::Entry* const entry = fleet.failures().Find(question.task, device);
    const bool lost = entry != nullptr && entry->failure.version == question.base &&
                      entry->received >= question.since && entry->failure.lasting &&
                      !(question.await_data && LacksData(entry->failure.code));
    if (lost) {
      ++outlook.lost[entry->failure.code];
    } else {
      ++outlook.possible;
    }
  }
  if (!outlook.settled) {
    ASSIGN_OR_RETURN(const uint64_t unheard, UnheardClients(fleet, known.size()));
    outlook.possible += unheard;
  }
  return outlook;
}

}  // namespace tributary
