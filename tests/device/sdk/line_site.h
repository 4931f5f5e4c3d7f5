#pragma once

#include <string>
#include <vector>

#include "tests/support/test_site.h"

namespace tributary {

// A running aggregator with one task, "line": y from the two numbers of x by three parameters, learned from the collection
// "points" by a learner in Python, so that it needs no LibTorch and starts at once. Each round takes `devices` updates.
class LineSite {
 public:
  explicit LineSite(uint32_t devices = 1, StrategyName strategy = StrategyName::kFedAvg);

  TestSite& site() { return site_; }
  std::string endpoint() const { return site_.AddressOf("aggregator").endpoint; }
  std::string server_key() const { return site_.AddressOf("aggregator").server_key; }
  static std::vector<std::string> Learner();
  // A folder for tributary_open with the identity of a member.
  Path MemberFolder(const std::string& id);
  // A file for tributary_enrol.
  Path Invitation(const std::string& id);
  void StartRounds(uint64_t count);
  // Of every version but the first, in their order.
  std::vector<std::string> Digests();

 private:
  TestSite site_;
};

}  // namespace tributary
