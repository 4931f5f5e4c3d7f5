#include "protocol/trust/tuf/metadata.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "protocol/trust/seal/digest.h"
#include "protocol/trust/tuf/canonical_json.h"
#include "tests/support/memory_signer.h"
#include "tests/support/must.h"
#include "tests/support/test_fleet.h"

namespace tributary::tuf::metadata_test {
namespace {

// The public key of RFC 8032 section 7.1, test 1.
constexpr std::string_view kPublic = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

template <class Body>
std::string Parsed(std::string_view text) {
  const auto parsed = ParseMetadata<Body>(AsBytes(text));
  return parsed ? "ok" : std::string(Name(parsed.error().code));
}

std::string Replaced(std::string text, std::string_view what, std::string_view with) {
  const size_t at = text.find(what);
  TRIBUTARY_CHECK(at != std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

Root SmallRoot(const Signer& signer) {
  Root root{3, kTestStart, true, {}, {}};
  for (const auto role : {kRootRole, kTimestampRole, kSnapshotRole, kTargetsRole}) {
    AddKey(signer.public_key(), root.keys, root.roles[std::string(role)]);
  }
  return root;
}

Targets SmallTargets() {
  Targets targets{2, kTestStart, {{"rounds/catalogue", {10, Digest()}}}, {}, {}};
  Delegation delegation{"rounds", {}, PathPatterns{{"rounds/*"}}, true};
  AddKey(Must(FromHex(kPublic)), targets.keys, delegation.role);
  targets.delegations = {delegation};
  return targets;
}

// Computed with Python: sha256 of the compact, sorted JSON of the key object.
TEST(MetadataTest, AKeyHasItsKnownId) {
  EXPECT_EQ(KeyIdOf(Key::FromPublicKey(Must(FromHex(kPublic)))),
            "74c181c7ad8a0855d4b55e44d2ba87aabdddb196832571f15f92fece332e4916");
}

TEST(MetadataTest, HasItsKnownBytes) {
  Timestamp timestamp{7, kTestStart, FileMeta::Of(5, AsBytes(std::string_view("abc")))};
  EXPECT_EQ(
      AsText(EncodeMetadata(MakeMetadata(timestamp))),
      R"({"signatures":[],"signed":{"_type":"timestamp","expires":"2026-01-01T00:00:00Z","meta":{"snapshot.json":)"
      R"({"hashes":{"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},"length":3,)"
      R"("version":5}},"spec_version":"1.0.31","version":7}})");
}

TEST(MetadataTest, EveryKindComesBackAsItWasWritten) {
  const MemorySigner signer;
  const auto same = [](const auto& body) {
    const auto made = MakeMetadata(body);
    const auto parsed = ParseMetadata<std::decay_t<decltype(body)>>(EncodeMetadata(made));
    ASSERT_TRUE(parsed) << parsed.error().ToString();
    EXPECT_EQ(parsed->body, body);
    EXPECT_EQ(parsed->signed_text, made.signed_text);
  };
  same(SmallRoot(signer));
  same(Timestamp{1, kTestStart, {4, std::nullopt, std::nullopt}});
  same(Snapshot{1, WallTime{0}, {{"targets.json", {1, 3, Digest()}}, {"rounds.json", {9, {}, {}}}}});
  same(SmallTargets());
  same(Targets{1, WallTime{253'402'300'799'000}, {}, {}, {}});
}

TEST(MetadataTest, UnknownFieldsAreKeptInWhatIsSigned) {
  MemorySigner signer;
  const std::string text = Replaced(MakeMetadata(SmallRoot(signer)).signed_text, "\"version\":3",
                                    "\"version\":3,\"x-later\":{\"b\":[1],\"a\":\"\\\\\"}");
  std::vector<Signature> signatures;
  ASSERT_TRUE(
      AddSignature(Replaced(text, "{\"b\":[1],\"a\":\"\\\\\"}", "{\"a\":\"\\\\\",\"b\":[1]}"), signer, signatures));
  const auto parsed =
      ParseMetadata<Root>(AsBytes("{\"signatures\":[{\"keyid\":\"" + signatures[0].key_id + "\",\"sig\":\"" +
                                  signatures[0].hex + "\"}], \"signed\": " + text + ", \"more\": 1}"));
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  EXPECT_EQ(parsed->body, SmallRoot(signer));
  EXPECT_TRUE(VerifyThreshold("root", parsed->signed_text, parsed->signatures, parsed->body.keys,
                              parsed->body.roles.at("root")));
  const auto again = ParseMetadata<Root>(EncodeMetadata(*parsed));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->signed_text, parsed->signed_text);
}

// Section 4: what a reader does not know it must preserve; a key's id is over all of it.
TEST(MetadataTest, AKeysUnknownFieldsOutliveTheNextVersion) {
  const MemorySigner signer;
  const std::string plain =
      R"({"keytype":"ed25519","keyval":{"public":")" + ToHex(signer.public_key()) + R"("},"scheme":"ed25519"})";
  const std::string more = Replaced(plain, "\"keytype\"", "\"keyid_hash_algorithms\":[\"sha256\"],\"keytype\"");
  std::string text = MakeMetadata(SmallRoot(signer)).signed_text;
  const std::string id = Sha256(AsBytes(more)).hex();
  for (size_t at; (at = text.find(Sha256(AsBytes(plain)).hex())) != std::string::npos;) text.replace(at, id.size(), id);
  text = Replaced(text, plain, more);
  const auto parsed = ParseMetadata<Root>(AsBytes("{\"signatures\":[],\"signed\":" + text + "}"));
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  EXPECT_EQ(KeyIdOf(parsed->body.keys.at(id)), id);
  EXPECT_EQ(parsed->body.keys.at(id).Ed25519(), signer.public_key());
  Root next = parsed->body;
  ++next.version;
  const auto again = ParseMetadata<Root>(EncodeMetadata(MakeMetadata(next)));
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->body, next);
}

TEST(MetadataTest, OnlySpecification10IsRead) {
  const std::string good = "{\"signatures\":[],\"signed\":" + MakeMetadata(SmallTargets()).signed_text + "}";
  for (const char* version : {"1.0.0", "1.0.31", "1.0.99"}) {
    EXPECT_EQ(Parsed<Targets>(Replaced(good, "1.0.31", version)), "ok") << version;
  }
  for (const char* version : {"", "1", "1.0", "1.0.", "1.1.0", "2.0.0", "11.0.1", "1.0.x", "1.0.1.2"}) {
    EXPECT_EQ(Parsed<Targets>(Replaced(good, "1.0.31", version)), "version-unsupported") << version;
  }
}

TEST(MetadataTest, FieldsOfAnotherFormAreMalformed) {
  const std::string good = "{\"signatures\":[],\"signed\":" + MakeMetadata(SmallTargets()).signed_text + "}";
  const std::pair<const char*, const char*> changes[] = {
      {"\"version\":2", "\"version\":0"},
      {"\"version\":2", "\"version\":-1"},
      {"\"version\":2", "\"version\":\"2\""},
      {"\"version\":2", "\"version2\":2"},
      {"\"_type\":\"targets\"", "\"_type\":\"snapshot\""},
      {"2026-01-01T00:00:00Z", "2026-02-30T00:00:00Z"},
      {"2026-01-01T00:00:00Z", "2026-01-01T24:00:00Z"},
      {"2026-01-01T00:00:00Z", "2026-01-01T00:00:60Z"},
      {"2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z"},
      {"2026-01-01T00:00:00Z", "2026-01-01 00:00:00Z"},
      {"\"length\":10", "\"length\":-10"},
      {"\"sha256\":\"00", "\"sha256\":\"0"},
      {"\"sha256\"", "\"sha512\""},
      {"\"threshold\":1", "\"threshold\":0"},
      {"\"threshold\":1", "\"threshold\":65"},
      {"\"name\":\"rounds\"", "\"name\":\"root\""},
      {"\"name\":\"rounds\"", "\"name\":\"../x\""},
      {"d75a98", "d75a99"},  // the key's id is not its own any more
      {"\"terminating\":true", "\"terminating\":1"},
      {"\"paths\":[\"rounds/*\"]", "\"paths\":[3]"},
      {"\"signatures\":[]", "\"signatures\":[{}]"},
      {"\"signatures\":[]", "\"signatures\":0"},
      {"\"signed\":", "\"unsigned\":"},
  };
  ASSERT_EQ(Parsed<Targets>(good), "ok");
  for (const auto& [what, with] : changes) EXPECT_EQ(Parsed<Targets>(Replaced(good, what, with)), "malformed") << with;
}

TEST(MetadataTest, ARootNamesAllFourRoles) {
  const MemorySigner signer;
  for (const auto role : {kRootRole, kTimestampRole, kSnapshotRole, kTargetsRole}) {
    Root root = SmallRoot(signer);
    root.roles.erase(std::string(role));
    EXPECT_EQ(Parsed<Root>(AsText(EncodeMetadata(MakeMetadata(root)))), "malformed") << role;
  }
  Root twice = SmallRoot(signer);
  twice.roles["root"].key_ids.push_back(twice.roles["root"].key_ids[0]);
  EXPECT_EQ(Parsed<Root>(AsText(EncodeMetadata(MakeMetadata(twice)))), "malformed");
}

// Section 4.3: optional, for old repositories.
TEST(MetadataTest, ARootNeedNotSpeakOfConsistentSnapshots) {
  const MemorySigner signer;
  const std::string good(AsText(EncodeMetadata(MakeMetadata(SmallRoot(signer)))));
  const auto without = ParseMetadata<Root>(AsBytes(Replaced(good, "\"consistent_snapshot\":true,", "")));
  ASSERT_TRUE(without) << without.error().ToString();
  EXPECT_FALSE(without->body.consistent_snapshot);
  EXPECT_EQ(Parsed<Root>(Replaced(good, "\"consistent_snapshot\":true", "\"consistent_snapshot\":1")), "malformed");
}

// Section 4.2: a key id MUST be unique in the signatures.
TEST(MetadataTest, NobodySignsTwice) {
  const MemorySigner first, second;
  auto metadata = MakeMetadata(SmallTargets());
  Must(AddSignature(metadata, first));
  Must(AddSignature(metadata, second));
  ASSERT_EQ(Parsed<Targets>(AsText(EncodeMetadata(metadata))), "ok");
  metadata.signatures.push_back({metadata.signatures[0].key_id, metadata.signatures[1].hex});
  EXPECT_EQ(Parsed<Targets>(AsText(EncodeMetadata(metadata))), "malformed");
}

// Section 4.5: a role name MUST be unique in the delegations. Otherwise what was believed by one's keys would be
// believed for the other's paths.
TEST(MetadataTest, NobodyIsDelegatedToTwice) {
  Targets targets = SmallTargets();
  targets.delegations.push_back(targets.delegations[0]);
  targets.delegations[1].name = "another";
  ASSERT_EQ(Parsed<Targets>(AsText(EncodeMetadata(MakeMetadata(targets)))), "ok");
  targets.delegations[1].name = targets.delegations[0].name;
  EXPECT_EQ(Parsed<Targets>(AsText(EncodeMetadata(MakeMetadata(targets)))), "malformed");
}

TEST(MetadataTest, SizesAreBoundedBeforeAnythingIsRead) {
  EXPECT_EQ(Parsed<Root>(std::string(limits::kRootBytes + 1, ' ')), "too-large");
  EXPECT_EQ(Parsed<Timestamp>(std::string(limits::kTimestampBytes + 1, ' ')), "too-large");
  EXPECT_EQ(Parsed<Snapshot>(std::string(limits::kSnapshotBytes + 1, ' ')), "too-large");
  EXPECT_EQ(Parsed<Targets>(std::string(limits::kTargetsBytes + 1, ' ')), "too-large");
  auto metadata = MakeMetadata(SmallTargets());
  metadata.signatures.resize(limits::kMetadataSignatures + 1);
  EXPECT_EQ(Parsed<Targets>(AsText(EncodeMetadata(metadata))), "too-large");
}

class ThresholdTest : public testing::Test {
 protected:
  ThresholdTest() {
    for (const Signer* signer : {&first_, &second_, &third_}) AddKey(signer->public_key(), keys_, role_);
    role_.threshold = 2;
  }
  void Sign(Signer& signer) { ASSERT_TRUE(AddSignature(kText, signer, signatures_)); }
  bool Verifies() const { return VerifyThreshold("root", kText, signatures_, keys_, role_).has_value(); }

  static constexpr std::string_view kText = "{}";
  MemorySigner first_, second_, third_, stranger_;
  Keys keys_;
  RoleKeys role_;
  std::vector<Signature> signatures_;
};

TEST_F(ThresholdTest, NeedsThatManyOfTheRolesKeys) {
  EXPECT_FALSE(Verifies());
  Sign(first_);
  EXPECT_FALSE(Verifies());
  Sign(stranger_);
  EXPECT_FALSE(Verifies()) << "a key of nobody";
  Sign(third_);
  EXPECT_TRUE(Verifies());
}

TEST_F(ThresholdTest, AKeyOfTheFileThatIsNotTheRolesCountsForNothing) {
  RoleKeys other;
  AddKey(stranger_.public_key(), keys_, other);
  Sign(first_);
  Sign(stranger_);
  EXPECT_FALSE(Verifies());
}

TEST_F(ThresholdTest, ASignatureThatStandsTwiceCountsOnce) {
  Sign(first_);
  signatures_.push_back(signatures_[0]);
  EXPECT_FALSE(Verifies());
  Sign(second_);
  EXPECT_TRUE(Verifies());
}

TEST_F(ThresholdTest, APublicKeyWithTwoIdsCountsOnce) {
  Key shouted = Key::FromPublicKey(first_.public_key());
  for (char& c : shouted.public_text) c = static_cast<char>(std::toupper(c));
  const std::string id = KeyIdOf(shouted);
  keys_[id] = shouted;
  role_.key_ids.push_back(id);
  Sign(first_);
  signatures_.push_back({id, signatures_[0].hex});
  EXPECT_FALSE(Verifies());
}

TEST_F(ThresholdTest, BrokenAndUnknownSignaturesCountForNothing) {
  Sign(first_);
  Sign(second_);
  const std::string good = signatures_[1].hex;
  std::string bent = good;
  bent[0] = bent[0] == '0' ? '1' : '0';
  for (const std::string& hex : {std::string(), std::string("zz"), good.substr(2), good + "00", bent}) {
    signatures_[1].hex = hex;
    EXPECT_FALSE(Verifies()) << hex;
  }
  signatures_[1].hex = good;
  EXPECT_TRUE(Verifies());
  keys_.at(signatures_[1].key_id).type = "rsa";
  EXPECT_FALSE(Verifies());
  role_.threshold = 0;
  EXPECT_FALSE(Verifies()) << "nobody is never enough";
}

}  // namespace
}  // namespace tributary::tuf::metadata_test
