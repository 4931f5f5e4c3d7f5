#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "aggregator/intake/account_book.h"
#include "aggregator/store/store.h"
#include "aggregator/watch/failure_book.h"
#include "aggregator/watch/watch.h"

namespace tributary {

// The books of members, gateways and uploads, and the table of device states: all that the API shows of the fleet.
// Members (about 300 bytes each) and the last report of each gateway (2 KB) are kept in memory and saved from time to
// time: a crash takes the last second of what was heard. They are for people: nothing is decided by what a gateway says
// of itself. Call order: Open, then anything. Borrows what Parts names; one thread.
class FleetBook final : public Watch {
 public:
  struct Parts {
    Store& store;
    const Clock& clock;
    EventLine& events;
    // How many uploads of a kind are here in part or unopened; null: none ever.
    std::function<uint64_t(UploadKind)> staged;
  };
  // Forgets gateways of which nothing was heard for 30 days.
  static Result<FleetBook> Open(const Parts& parts);

  Result<std::vector<MemberRecord>> Devices(const Slice<DeviceId>& slice = {}) override;
  std::optional<MemberRecord> FindDevice(const DeviceId& id) const override;
  Result<std::vector<GatewayRecord>> Gateways(const Slice<DeviceId>& slice = {}) override;
  Result<GatewayRecord> FindGateway(const DeviceId& id) override;
  Result<std::vector<DeviceStateRecord>> DeviceStates(const Slice<DeviceId>& slice = {}) override {
    return parts_.store.reports.List(slice);
  }
  Result<std::optional<DeviceStateRecord>> FindDeviceState(const DeviceId& device) override {
    return parts_.store.reports.Find(device);
  }
  Status ForgetDeviceState(const DeviceId& device) override;
  std::map<DeviceId, Error> Attention(const Slice<DeviceId>& slice = {}) const override;
  std::optional<Error> AttentionTo(const DeviceId& device) const override;
  KindAccount Account(UploadKind kind) const override;

  // Everybody of this role who was heard of; all roles without `role`.
  std::vector<MemberRecord> Members(std::optional<Role> role) const;
  // How many devices were heard of since then.
  uint64_t CountSeen(WallTime since) const;
  // Gateways of the tree: all, those that are late, and those that say what keeps them from working.
  struct GatewayCounts {
    uint64_t all = 0;
    uint64_t late = 0;
    uint64_t in_trouble = 0;
    uint64_t clients = 0;        // of all of them
    uint64_t behind_others = 0;  // are themselves such clients
  };
  GatewayCounts CountGateways() const;

  // A member was heard of. Its empty texts say nothing; first_seen stays and `uploads` is this book's own count.
  void Saw(const MemberRecord& member);
  // The author of an upload was heard of, through `via` (itself when it is connected directly).
  void SawAuthor(const Subject& author, const DeviceId& via);
  // Gateways described themselves; `via` brought it. Two states of one gateway come when it moved: the younger counts.
  // Beyond 10,000 gateways new ones are not remembered, so that a gateway that makes them up fills nothing.
  void SawGateways(const std::vector<GatewayState>& states, const DeviceId& via);
  // An upload of this member was taken in, whichever way it came.
  void CountUpload(const DeviceId& id, Role role);
  // The state that a device sent went back, behind one that it sent before.
  void WentBack(const DeviceId& device, const TaskId& task, const Error& why);
  // It went on from what it said before: if it went back since then, there are two of it.
  void WentOn(const DeviceId& device);
  // Two connections of one member throw each other out.
  void IdentityTwice(const DeviceId& device, const std::string& why);
  AccountBook& account() { return account_; }
  FailureBook& failures() { return failures_; }
  const FailureBook& failures() const { return failures_; }

  bool dirty() const { return account_.dirty() || !unsaved_members_.empty() || !unsaved_gateways_.empty(); }
  // In the caller's transaction; after its Commit, call Saved.
  Status Save();
  void Saved();

 private:
  FleetBook(const Parts& parts, AccountBook account) : parts_(parts), account_(std::move(account)) {}
  // As it is shown; of one that checked in and did not describe itself, what its check-in said.
  GatewayRecord Listed(const DeviceId& id) const;
  std::vector<DeviceId> PathOf(const GatewayRecord& gateway) const;

  Parts parts_;
  AccountBook account_;
  FailureBook failures_;
  std::map<DeviceId, MemberRecord> members_;
  std::set<DeviceId> gateway_members_;  // those of the role
  std::map<DeviceId, GatewayRecord> gateways_;
  std::map<DeviceId, Error> attention_;
  std::set<DeviceId> went_back_;  // and did not go on since
  std::set<DeviceId> unsaved_members_;
  std::set<DeviceId> unsaved_gateways_;
};

}  // namespace tributary
