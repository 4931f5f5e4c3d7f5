#pragma once

#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/test_site.h"

namespace tributary {

// The process hostile-member of a site. Call order: construct when the servers were added, Start once a task is there,
// End.
class HostileProcess {
 public:
  HostileProcess(TestSite& site, const std::vector<std::string>& servers) : site_(site) {
    for (const std::string id : {"watcher", "rogue"}) site_.fleet().IssueInto(site_.IdentityOf(id), Role::kDevice, id);
    std::string config = site_.IdentityOf("watcher").string() + ' ' + site_.DataOf("watcher").string() + '\n' +
                         site_.IdentityOf("rogue").string() + '\n';
    for (const std::string& server : servers) {
      const Site::Address address = site_.AddressOf(server);
      config += server + ' ' + address.endpoint + ' ' + address.server_key + '\n';
    }
    site_.AddProcess("hostile", "hostile-member", config);
  }
  void Start() { site_.Start("hostile"); }

  // It was heard, and nothing that it did was answered as it should not be.
  void End() {
    const auto played = [&] { return site_.LogOf("hostile").find("hostile.pass ") != std::string::npos; };
    EXPECT_TRUE(site_.Eventually(played)) << site_.LogOf("hostile");
    site_.Kill("hostile");
    EXPECT_EQ(site_.LogOf("hostile").find("hostile.wrong"), std::string::npos) << site_.LogOf("hostile");
  }

 private:
  TestSite& site_;
};

}  // namespace tributary
