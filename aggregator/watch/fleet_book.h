#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "aggregator/intake/account_book.h"
#include "aggregator/store/store.h"
#include "aggregator/watch/gateway_book.h"
#include "aggregator/watch/member_book.h"
#include "aggregator/watch/watch.h"

namespace tributary {

// The books of members, gateways and uploads, and the table of device states: all that the API shows of the fleet.
// Call order: Open, then anything; Save from time to time. A crash takes the last second of what was heard. Borrows
// what Parts names; one thread.
class FleetBook final : public Watch {
 public:
  struct Parts {
    Store& store;
    const Clock& clock;
    EventLine& events;
    // How many uploads of a kind are here in part or unopened; null: none ever.
    std::function<uint64_t(UploadKind)> staged;
  };
  static Result<FleetBook> Open(const Parts& parts);

  Result<std::vector<MemberRecord>> Members(std::optional<Role> role) override { return members_.All(role); }
  Result<std::vector<GatewayRecord>> Gateways() override;
  Result<std::vector<DeviceStateRecord>> DeviceStates() override { return parts_.store.reports.All(); }
  AccountRecord Account(UploadKind kind) const override;

  // A member was heard of.
  void Saw(const MemberRecord& member);
  // The author of an upload was heard of, through `via` (itself when it is connected directly).
  void SawAuthor(const Subject& author, const DeviceId& via);
  // Gateways described themselves; `via` brought it.
  void SawGateways(const std::vector<GatewayState>& states, const DeviceId& via);
  // An upload of this member was taken in, whichever way it came.
  void CountUpload(const DeviceId& id, Role role) { members_.CountUpload(id, role, parts_.clock.Now()); }
  AccountBook& account() { return account_; }

  bool dirty() const { return account_.dirty() || members_.dirty() || gateways_.dirty(); }
  // In the caller's transaction; after its Commit, call Saved.
  Status Save();
  void Saved();

 private:
  FleetBook(const Parts& parts, AccountBook account, MemberBook members, GatewayBook gateways);

  Parts parts_;
  AccountBook account_;
  MemberBook members_;
  GatewayBook gateways_;
};

}  // namespace tributary
