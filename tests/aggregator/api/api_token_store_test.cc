#include "aggregator/api/api_token_store.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/trust/seal/digest.h"
#include "tests/support/manual_clock.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"

namespace tributary::api_token_store_test {
namespace {

using testing::HasSubstr;
using testing::Not;

class TokenStoreTest : public testing::Test {
 protected:
  std::string Add(ApiTokenStore& store, std::string_view name) {
    return *store.Add({std::string(name), HttpAccess::kOperator, kTestStart, {}}, random_);
  }
  std::string NameOf(ApiTokenStore& store, std::string_view token) { return store.Check(token, kTestStart)->name; }
  std::string FileText() { return std::string(AsText(*ReadFile(RealFileSystem(), file_, limit_))); }

  const uint64_t limit_ = 1'000'000;
  TemporaryFolder folder_;
  Path file_ = folder_ / "tokens";
  SeededRandom random_{1};
};

TEST_F(TokenStoreTest, WithoutTokensNothingIsPermitted) {
  ApiTokenStore store(file_);
  const auto checked = store.Check("", kTestStart);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Code::kUnauthorized);
  EXPECT_THAT(checked.error().message, HasSubstr("token add"));
}

TEST_F(TokenStoreTest, KnowsItsTokensByNameAndKeepsOnlyHashes) {
  ApiTokenStore store(file_);
  const std::string alice = Add(store, "alice");
  const std::string bob = Add(store, "bob");
  EXPECT_EQ(alice.size(), 68u);
  EXPECT_EQ(NameOf(store, alice), "alice");
  EXPECT_EQ(NameOf(store, bob), "bob");
  EXPECT_EQ(store.Check(bob.substr(1), kTestStart).error().code, Code::kUnauthorized);
  EXPECT_EQ(store.Check("", kTestStart).error().code, Code::kUnauthorized);
  EXPECT_THAT(FileText(), Not(HasSubstr(alice.substr(4))));
  const auto tokens = *store.Tokens();
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[1].name, "bob");
}

TEST_F(TokenStoreTest, ATokenThatAnotherProcessAddedCountsAtOnce) {
  ApiTokenStore server(file_), command(file_);
  const std::string alice = Add(command, "alice");
  EXPECT_EQ(NameOf(server, alice), "alice");
  const std::string bob = Add(command, "bob");
  EXPECT_EQ(NameOf(server, bob), "bob");
  std::filesystem::remove(file_);
  EXPECT_EQ(server.Check(alice, kTestStart).error().code, Code::kUnauthorized);
}

TEST_F(TokenStoreTest, NamesAreNamesAndUnique) {
  ApiTokenStore store(file_);
  Add(store, "alice");
  EXPECT_EQ(store.Add({"alice", HttpAccess::kViewer, kTestStart, {}}, random_).error().code, Code::kAlreadyExists);
  EXPECT_EQ(store.Add({"a b", HttpAccess::kViewer, kTestStart, {}}, random_).error().code, Code::kMalformed);
}

TEST_F(TokenStoreTest, RolesAndDatesAreKept) {
  ApiTokenStore store(file_);
  const ApiTokenRecord given{"alice", HttpAccess::kPublisher, kTestStart, kTestStart + Millis(1000)};
  const std::string alice = *store.Add(given, random_);
  const ApiTokenRecord kept = *ApiTokenStore(file_).Check(alice, kTestStart);
  EXPECT_EQ(kept.role, HttpAccess::kPublisher);
  EXPECT_EQ(kept.created, given.created);
  EXPECT_EQ(kept.expires, given.expires);
}

TEST_F(TokenStoreTest, ATokenEndsOnItsDate) {
  ApiTokenStore store(file_);
  const std::string alice = *store.Add({"alice", HttpAccess::kAdmin, kTestStart, kTestStart + Millis(1000)}, random_);
  EXPECT_TRUE(store.Check(alice, kTestStart + Millis(999)));
  const auto late = store.Check(alice, kTestStart + Millis(1000));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kUnauthorized);
  EXPECT_THAT(late.error().message, testing::AllOf(HasSubstr("expired"), Not(HasSubstr(alice.substr(4)))));
}

TEST_F(TokenStoreTest, ARemovedTokenCountsNoMoreAtOnceAndElsewhere) {
  ApiTokenStore server(file_), command(file_);
  const std::string alice = Add(command, "alice");
  const std::string bobby = Add(command, "bobby");
  EXPECT_TRUE(server.Check(alice, kTestStart));
  EXPECT_EQ(command.Remove("alice")->name, "alice");
  EXPECT_EQ(server.Check(alice, kTestStart).error().code, Code::kUnauthorized);
  EXPECT_TRUE(server.Check(bobby, kTestStart));
  EXPECT_EQ(command.Remove("alice").error().code, Code::kNotFound);
  // The file is as long as before: the change shows all the same.
  const std::string carol = Add(command, "carol");
  EXPECT_TRUE(server.Check(carol, kTestStart));
}

TEST_F(TokenStoreTest, ALineOfBeforeThereWereRolesIsAnAdmins) {
  const std::string token = "trb_" + std::string(64, 'a');
  const std::string line = Sha256(AsBytes(token)).hex() + " old 1767225600000\n";
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), file_, AsBytes(line)));
  ApiTokenStore store(file_);
  EXPECT_EQ(store.Check(token, kTestStart + Millis(1))->role, HttpAccess::kAdmin);
  Add(store, "alice");  // writes the file anew
  EXPECT_EQ(ApiTokenStore(file_).Check(token, kTestStart)->role, HttpAccess::kAdmin);
}

TEST_F(TokenStoreTest, AnUnknownRoleIsDamageAndNoRole) {
  for (const char* rest : {"king 0", "open 0", "admin", "admin x"}) {
    const std::string line = Sha256(AsBytes("x")).hex() + " x 1 " + rest + "\n";
    ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), file_, AsBytes(line)));
    EXPECT_EQ(ApiTokenStore(file_).Check("x", kTestStart).error().code, Code::kCorrupt) << rest;
  }
}

TEST_F(TokenStoreTest, ManyWhoAddAtOnceAllStay) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] {
      SystemRandom random;
      EXPECT_TRUE(ApiTokenStore(file_).Add({"t" + std::to_string(i), HttpAccess::kViewer, kTestStart, {}}, random));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(ApiTokenStore(file_).Tokens()->size(), 8u);
}

TEST_F(TokenStoreTest, AFileThatOthersMayReadIsRefused) {
  ApiTokenStore store(file_);
  const std::string alice = Add(store, "alice");
  std::filesystem::permissions(file_, std::filesystem::perms::group_read, std::filesystem::perm_options::add);
  EXPECT_EQ(store.Check(alice, kTestStart).error().code, Code::kPermissions);
}

TEST_F(TokenStoreTest, ADamagedFileNamesItsLine) {
  ApiTokenStore store(file_);
  Add(store, "alice");
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), file_, AsBytes(FileText() + "zz bob 1\n")));
  const auto checked = store.Check("x", kTestStart);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Code::kCorrupt);
  EXPECT_THAT(checked.error().message, HasSubstr("tokens:2"));
}

}  // namespace
}  // namespace tributary::api_token_store_test
