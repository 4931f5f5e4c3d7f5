// Identities by hand, with the real `tributary`.
#include <gmock/gmock.h>

#include "protocol/trust/identity/identity.h"
#include "tests/aggregator/operator/tributary_fixture.h"

namespace tributary::ca_commands_test {
namespace {

using testing::HasSubstr;
using Outcome = TributaryOutcome;

TEST_F(TributaryTest, AFleetFromNothing) {
  ASSERT_EQ(Tributary({"ca", "init", "--dir", "ca", "--name", "field"}).code, 0);
  EXPECT_EQ(Tributary({"ca", "init", "--dir", "ca", "--name", "field"}).code, 1);  // never over an existing CA
  EXPECT_EQ(std::filesystem::status(folder_ / "ca/ca.key").permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  ASSERT_EQ(Tributary({"ca", "issue", "--ca", "ca", "--role", "gateway", "--id", "gateway-1", "--out", "gw"}).code, 0);
  const Outcome devices = Tributary({"ca", "issue", "--ca", "ca", "--role", "device", "--id", "device", "--class",
                                     "phone", "--count", "3", "--out", "devices"});
  ASSERT_EQ(devices.code, 0) << devices.output;
  const auto device = LoadIdentity(folder_ / "devices/device-002", SystemClock().Now());
  ASSERT_TRUE(device) << device.error().ToString();
  EXPECT_EQ(device->subject.id, TestDevice("device-002"));
  EXPECT_EQ(device->subject.device_class, "phone");
  const auto gateway = LoadIdentity(folder_ / "gw", SystemClock().Now());
  ASSERT_TRUE(gateway) << gateway.error().ToString();
  EXPECT_EQ(Tributary({"ca", "key", "gw"}).output, ToHex(gateway->subject.curve_public_key) + "\n");
  EXPECT_EQ(Tributary({"ca", "issue", "--ca", "ca", "--role", "king", "--id", "x", "--out", "x"}).code, 2);
  EXPECT_EQ(
      Tributary({"ca", "issue", "--ca", "ca", "--role", "gateway", "--class", "x", "--id", "x", "--out", "x"}).code, 2);
  EXPECT_EQ(Tributary({"ca", "issue", "--ca", "nowhere", "--role", "gateway", "--id", "x", "--out", "x"}).code, 3);
  EXPECT_EQ(Tributary({"ca", "key", "nowhere"}).code, 3);
}

TEST_F(TributaryTest, TheFormerNameOfCaAnswersWithTheNewOne) {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"fleet"},
                                             {"fleet", "init", "--dir", "ca", "--name", "field"},
                                             {"fleet", "key", "gw"},
                                             {"fleet", "--help"}}) {
    const Outcome former = Tributary(arguments);
    EXPECT_EQ(former.code, 2);
    EXPECT_THAT(former.output, HasSubstr("tributary ca"));
  }
  EXPECT_THAT(Tributary({"fleet", "key", "gw"}).output, HasSubstr("tributary ca key gw"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "ca"));
}

}  // namespace
}  // namespace tributary::ca_commands_test
