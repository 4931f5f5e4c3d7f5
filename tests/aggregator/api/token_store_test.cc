#include "aggregator/api/token_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"

namespace tributary {
namespace {

using testing::HasSubstr;
using testing::Not;

class TokenStoreTest : public testing::Test {
 protected:
  std::string Add(TokenStore& store, std::string_view name) { return *store.Add(name, random_, kTestStart); }
  std::string FileText() { return std::string(AsText(*ReadFile(RealFileSystem(), file_, limit_))); }

  const uint64_t limit_ = 1'000'000;
  TemporaryFolder folder_;
  Path file_ = folder_ / "tokens";
  SeededRandom random_{1};
};

TEST_F(TokenStoreTest, WithoutTokensNothingIsPermitted) {
  TokenStore store(file_);
  const auto checked = store.Check("");
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Code::kUnauthorized);
  EXPECT_THAT(checked.error().message, HasSubstr("token add"));
}

TEST_F(TokenStoreTest, KnowsItsTokensByNameAndKeepsOnlyHashes) {
  TokenStore store(file_);
  const std::string alice = Add(store, "alice");
  const std::string bob = Add(store, "bob");
  EXPECT_EQ(alice.size(), 68u);
  EXPECT_EQ(store.Check(alice), "alice");
  EXPECT_EQ(store.Check(bob), "bob");
  EXPECT_EQ(store.Check(bob.substr(1)).error().code, Code::kUnauthorized);
  EXPECT_EQ(store.Check("").error().code, Code::kUnauthorized);
  EXPECT_THAT(FileText(), Not(HasSubstr(alice.substr(4))));
  EXPECT_EQ(store.Names(), (std::vector<std::string>{"alice", "bob"}));
}

TEST_F(TokenStoreTest, ATokenThatAnotherProcessAddedCountsAtOnce) {
  TokenStore server(file_), command(file_);
  const std::string alice = Add(command, "alice");
  EXPECT_EQ(server.Check(alice), "alice");
  const std::string bob = Add(command, "bob");
  EXPECT_EQ(server.Check(bob), "bob");
  std::filesystem::remove(file_);
  EXPECT_EQ(server.Check(alice).error().code, Code::kUnauthorized);
}

TEST_F(TokenStoreTest, NamesAreNamesAndUnique) {
  TokenStore store(file_);
  Add(store, "alice");
  EXPECT_EQ(store.Add("alice", random_, kTestStart).error().code, Code::kAlreadyExists);
  EXPECT_EQ(store.Add("a b", random_, kTestStart).error().code, Code::kMalformed);
}

TEST_F(TokenStoreTest, AFileThatOthersMayReadIsRefused) {
  TokenStore store(file_);
  const std::string alice = Add(store, "alice");
  std::filesystem::permissions(file_, std::filesystem::perms::group_read, std::filesystem::perm_options::add);
  EXPECT_EQ(store.Check(alice).error().code, Code::kPermissions);
}

TEST_F(TokenStoreTest, ADamagedFileNamesItsLine) {
  TokenStore store(file_);
  Add(store, "alice");
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), file_, AsBytes(FileText() + "zz bob 1\n")));
  const auto checked = store.Check("x");
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Code::kCorrupt);
  EXPECT_THAT(checked.error().message, HasSubstr("tokens:2"));
}

}  // namespace
}  // namespace tributary
