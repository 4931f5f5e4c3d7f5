#pragma once

#include <map>
#include <set>
#include <vector>

#include "aggregator/store/watch_tables.h"

namespace tributary {

// The last report of each gateway of the tree, kept in memory (about 2 KB a gateway) and saved from time to time. For
// people: nothing is decided by what a gateway says of itself. Value type; one thread.
class GatewayBook {
 public:
  // Forgets those of which nothing was heard for 30 days.
  static Result<GatewayBook> Open(GatewayTable& table, WallTime now);

  // The states that came in one check-in, by way of `via`. Two states of one gateway come when it moved: the younger
  // counts. Beyond 10,000 gateways new ones are not remembered, so that a gateway that makes them up fills nothing.
  void Saw(const std::vector<GatewayState>& reports, const DeviceId& via, WallTime now);
  // In the order of their ids, with paths and ages.
  std::vector<GatewayRecord> All(WallTime now) const;

  bool dirty() const { return !unsaved_.empty(); }
  // In the caller's transaction; after its Commit, call Saved.
  Status Save(GatewayTable& table) const;
  void Saved() { unsaved_.clear(); }

 private:
  std::vector<DeviceId> PathOf(const GatewayRecord& gateway) const;

  std::map<DeviceId, GatewayRecord> gateways_;
  std::set<DeviceId> unsaved_;
};

}  // namespace tributary
