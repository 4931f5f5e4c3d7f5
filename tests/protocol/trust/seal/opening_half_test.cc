#include <gmock/gmock.h>

#include "protocol/base/file.h"
#include "protocol/trust/seal/opener.h"

namespace tributary::opening_half_test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Program(const std::string& name) {
  auto bytes = ReadFile(RealFileSystem(), Path(TRIBUTARY_BIN_DIR) / name, 1u << 30);
  EXPECT_TRUE(bytes.has_value());
  return bytes ? std::string(AsText(*bytes)) : "";
}

TEST(OpeningHalf, IsNotInAProgramThatOnlySeals) {
  const std::string sealing = Program("seal_only_program");
  EXPECT_THAT(sealing, HasSubstr("HpkeSealer"));
  EXPECT_THAT(sealing, Not(HasSubstr("HpkeOpener")));
}

TEST(OpeningHalf, IsFoundByThisSearchWhereItIsUsed) {
  EXPECT_FALSE(HpkeOpener::FromSender(kDefaultAead, HpkeKeyPair{}, {}, {}).has_value());
  EXPECT_THAT(Program("test_protocol"), HasSubstr("HpkeOpener"));
}

}  // namespace
}  // namespace tributary::opening_half_test
