#include "protocol/trust/tuf/trusted_metadata.h"
#include "tests/protocol/trust/tuf/tuf_fixture.h"

namespace tributary::delegation_test {
namespace {

// Who is asked for a path, and in which order. All roles are signed by one key; `roles` holds their files.
class DelegationTest : public testing::Test {
 protected:
  static tuf::TargetFile File(uint64_t length) { return {length, Digest()}; }

  tuf::Delegation To(std::string name, bool terminating = false, std::string pattern = "*") {
    return To(std::move(name), terminating, tuf::PathPatterns{{std::move(pattern)}});
  }
  tuf::Delegation To(std::string name, bool terminating, tuf::DelegatedPaths paths) {
    tuf::Delegation delegation{std::move(name), {}, std::move(paths), terminating};
    tuf::Keys keys;
    tuf::AddKey(key_->public_key(), keys, delegation.role);
    return delegation;
  }
  tuf::Targets& Role(const std::string& name) {
    tuf::Targets& role = roles_[name];
    role.version = 1;
    role.expires = forge_.ends;
    return role;
  }
  // The length that is found for "x"; 0: nobody names it.
  Result<uint64_t> Find() {
    std::map<std::string, Bytes> files;
    for (auto& [name, role] : roles_) {
      tuf::RoleKeys unused;
      tuf::AddKey(key_->public_key(), role.keys, unused);
      files[name] = SignedFile(role, {name == "targets" ? forge_.targets_key.get() : key_.get()});
    }
    tuf::Snapshot snapshot{1, forge_.ends, {}};
    for (const auto& [name, file] : files) snapshot.files[name + ".json"] = tuf::FileMeta::Of(1, file);
    const Bytes snapshot_file = SignedFile(snapshot, {forge_.snapshot_key.get()});
    const tuf::Timestamp timestamp{1, forge_.ends, tuf::FileMeta::Of(1, snapshot_file)};

    auto trusted = Must(tuf::TrustedMetadata::Begin({forge_.roots[0], {}, {}}, kTestStart));
    Must(trusted.UpdateTimestamp(SignedFile(timestamp, {forge_.timestamp_key.get()})));
    Must(trusted.UpdateSnapshot(snapshot_file));
    Must(trusted.UpdateTargets(files.at("targets")));
    ASSIGN_OR_RETURN(const auto found, trusted.FindTarget("x", [&](const std::string& name) -> Result<ByteView> {
      asked_.push_back(name);
      if (!files.contains(name)) return Fail(Code::kNotFound, name);
      return ByteView(files.at(name));
    }));
    return found ? found->length : 0;
  }

  Forge forge_;
  Forge::KeyPtr key_ = Forge::NewKey();
  std::map<std::string, tuf::Targets> roles_;
  std::vector<std::string> asked_;
};

TEST_F(DelegationTest, TheTopIsAskedFirst) {
  Role("targets").delegations = {To("a")};
  Role("targets").files["x"] = File(1);
  Role("a").files["x"] = File(2);
  EXPECT_EQ(Find(), 1u);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(DelegationTest, DepthComesBeforeBreadth) {
  Role("targets").delegations = {To("a"), To("b")};
  Role("a").delegations = {To("deep")};
  Role("b").files["x"] = File(2);
  Role("deep").files["x"] = File(3);
  EXPECT_EQ(Find(), 3u);
  EXPECT_EQ(asked_, (std::vector<std::string>{"a", "deep"}));
}

TEST_F(DelegationTest, OnlyRolesThatCoverThePathAreAsked) {
  Role("targets").delegations = {To("a", false, "other/*"), To("b")};
  Role("a").files["x"] = File(1);
  Role("b").files["x"] = File(2);
  EXPECT_EQ(Find(), 2u);
  EXPECT_EQ(asked_, std::vector<std::string>{"b"});
}

// SHA-256 of "x", by openssl dgst: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881.
TEST_F(DelegationTest, OnlyRolesWhosePrefixesBeginThePathsDigestAreAsked) {
  Role("targets").delegations = {To("a", true, tuf::PathHashPrefixes{{"2d70", "2e", "711642"}}),
                                 To("b", false, tuf::PathHashPrefixes{{"00", "2d71"}})};
  Role("a").files["x"] = File(1);
  Role("b").files["x"] = File(2);
  EXPECT_EQ(Find(), 2u);
  EXPECT_EQ(asked_, std::vector<std::string>{"b"});
  Role("targets").delegations = {To("a", false, tuf::PathHashPrefixes{{"2e"}}),
                                 To("b", false, tuf::PathHashPrefixes{})};
  EXPECT_EQ(Find(), 0u);
  EXPECT_EQ(asked_, std::vector<std::string>{"b"}) << "nobody else was asked";
}

TEST_F(DelegationTest, NobodyIsAskedAfterATerminatingRole) {
  Role("targets").delegations = {To("a", true), To("b")};
  Role("a");
  Role("b").files["x"] = File(2);
  EXPECT_EQ(Find(), 0u);
  EXPECT_EQ(asked_, std::vector<std::string>{"a"});
}

TEST_F(DelegationTest, ACycleEnds) {
  Role("targets").delegations = {To("a")};
  Role("a").delegations = {To("b"), To("a")};
  Role("b").delegations = {To("a"), To("c")};
  Role("c");
  EXPECT_EQ(Find(), 0u);
  EXPECT_EQ(asked_, (std::vector<std::string>{"a", "b", "c"}));
  Role("c").files["x"] = File(4);
  EXPECT_EQ(Find(), 4u);
}

TEST_F(DelegationTest, NoMoreRolesAreAskedThanTheLimit) {
  Role("targets").delegations = {To("r1")};
  for (size_t i = 1; i <= limits::kDelegatedRoles + 5; ++i) {
    Role("r" + std::to_string(i)).delegations = {To("r" + std::to_string(i + 1))};
  }
  Role("r" + std::to_string(limits::kDelegatedRoles + 1)).files["x"] = File(9);
  EXPECT_EQ(Find(), 0u);
  EXPECT_EQ(asked_.size(), limits::kDelegatedRoles);
  Role("r" + std::to_string(limits::kDelegatedRoles)).files["x"] = File(8);
  EXPECT_EQ(Find(), 8u);
}

TEST_F(DelegationTest, ARoleIsBelievedByItsDelegatorsKeysOnly) {
  Role("targets").delegations = {To("a")};
  Role("a").files["x"] = File(1);
  ASSERT_EQ(Find(), 1u);
  roles_["targets"].delegations[0].role.threshold = 2;
  EXPECT_EQ(Outcome(Find()), "bad-signature");
}

TEST_F(DelegationTest, ARoleThatIsNotThereIsAnErrorAndNotSilence) {
  Role("targets").delegations = {To("a"), To("b")};
  Role("b").files["x"] = File(1);
  EXPECT_EQ(Outcome(Find()), "not-found");
}

}  // namespace
}  // namespace tributary::delegation_test
