#include "protocol/catalogue/publication.h"

#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "tests/protocol/catalogue/small_publication.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"

namespace tributary::catalogue_publication_test {
namespace {

class PublicationTest : public testing::Test {
 protected:
  std::string Opened(ByteView bytes, WallTime now = kTestStart) const {
    return Outcome(OpenPublication(bytes, fleet_.anchor(), now));
  }
  std::string OpenedAfter(const std::function<void(Publication&)>& change) const {
    Publication publication = SmallPublication();
    change(publication);
    return Opened(fleet_.Publish(publication));
  }
  std::string OpenedAfterTask(const std::function<void(PublishedTask&)>& change) const {
    return OpenedAfter([&](Publication& publication) { change(publication.tasks[0]); });
  }

  const TestFleet fleet_;
};

TEST_F(PublicationTest, ComesBackAsItWasPublished) {
  Publication publication = SmallPublication();
  publication.former_keys = {{KeyId({1, 2, 3}), kTestStart}, {KeyId({4}), kTestStart + Millis(5)}};
  publication.tasks[0].round->linear_step = 0x1p-20;
  publication.tasks[0].compact =
      CompactWeights{VersionCodec::kBlock8, Sha256(AsBytes(std::string_view("base"))), {Sha256({}), 12}};
  const auto opened = OpenPublication(fleet_.Publish(publication), fleet_.anchor(), kTestStart);
  ASSERT_TRUE(opened) << opened.error().ToString();
  EXPECT_EQ(*opened, publication);
}

TEST_F(PublicationTest, AnyCatalogueWithinTheBoundsComesBack) {
  EXPECT_TRUE(rc::check("open(publish(x)) == x", [this] {
    Publication publication = SmallPublication(*rc::gen::inRange<uint64_t>(1, uint64_t{1} << 53));
    publication.tasks.clear();
    const int tasks = *rc::gen::inRange(0, 6);
    for (int i = 0; i < tasks; ++i) {
      PublishedTask task = SmallTask();
      task.id = TestTask("task-" + std::to_string(i));
      task.plan.seed = *rc::gen::arbitrary<uint64_t>();
      task.plan.epochs = *rc::gen::inRange<uint32_t>(1, 1001);
      task.plan.learning_rate = *rc::gen::inRange(1, 1000) * 0.01;
      if (*rc::gen::arbitrary<bool>()) task.round.reset();
      if (*rc::gen::arbitrary<bool>()) task.accepted.clear();
      publication.tasks.push_back(task);
    }
    const auto opened = OpenPublication(fleet_.Publish(publication), fleet_.anchor(), kTestStart);
    RC_ASSERT(opened.has_value());
    RC_ASSERT(*opened == publication);
  }));
}

TEST_F(PublicationTest, AFleetMayRotateItsRootMoreOftenThanRootsTravel) {
  OfflineMetadata offline = fleet_.repository().offline();
  auto root = Must(tuf::ParseMetadata<tuf::Root>(offline.roots[0])).body;
  while (offline.roots.size() < limits::kRootVersions + 2) {
    ++root.version;
    offline.roots.push_back(SignedFile(root, {&fleet_.repository().root_key}));
  }
  const Publication publication = SmallPublication();
  const PublicationSet set = Must(MakePublicationSet(offline, fleet_.repository().online(), publication, {1, 1, 1},
                                                     {publication.expires, publication.expires, publication.expires}));
  const auto opened_from = [&](size_t known) {
    const TrustAnchor anchor =
        Must(TrustAnchor::FromCertificate(fleet_.authority().certificate(), offline.roots.at(known - 1)));
    return OpenPublication(EncodePublicationSet(set), anchor, kTestStart);
  };
  EXPECT_EQ(Outcome(opened_from(limits::kRootVersions + 2)), "ok");
  EXPECT_EQ(Outcome(opened_from(2)), "ok");
  EXPECT_EQ(opened_from(2)->root_version, limits::kRootVersions + 2);
  EXPECT_EQ(Outcome(opened_from(1)), "mixed-publication") << "away for one rotation too many";
}

TEST_F(PublicationTest, ItsCatalogueHasItsKnownBytes) {
  // `capnp convert canonical:json protocol/schema/publication.capnp Publication` shows what they say.
  EXPECT_EQ(ToHex(EncodePublication(SmallPublication())),
            "000000000100030000a8da769b01000008000000010001001d000000070000001d0000005f0000000200000000000000"
            "010000000201000042424242424242424242424242424242424242424242424242424242424242420000000000000000"
            "040000000400070003000000000000000100000000000000000000000000f03f0000000000002440190000003a000000"
            "190000003700000048000000010001005c00000006000000700000000100010085000000150000008800000003000100"
            "64696769747300000c00000000000200150000003a0000001500000015000000190000002a000000190000000d000000"
            "190000003200000019000000050000007765696768740000020000000000000003000000000000006269617300000000"
            "02000000000000007363616c6500000006000000000000000100000002010000120970d812836f19888625587a4606a5"
            "ad23cef31c8684e601771552548fc6b900000000200000009a9999999999a93fcdccccccccccec3f0000000000000000"
            "01000000000000000100000000000000240000000000000001000000020100009a129038d9a00aed0cf6a7ea059ca50a"
            "813449061ab87848cf1a13eafdf33b2c020000000000000003000000000000000500000000000000000000000000e03f"
            "6092db769b010000010000008200000001020300000000000000000000000000");
}

// Some bytes of the timestamp may be written in two ways (hexadecimal digits); whoever changes those changes nothing.
TEST_F(PublicationTest, AFlippedBitInAnyByteIsRefusedOrChangesNothing) {
  PublicationSet set = fleet_.repository().Make(SmallPublication());
  set.roots.clear();  // which this member has, so it does not look at them
  const Bytes original = EncodePublicationSet(set);
  ASSERT_EQ(Opened(original), "ok");
  size_t refused = 0;
  std::set<std::string> verdicts;
  for (size_t i = 0; i < original.size(); ++i) {
    Bytes bent = original;
    bent[i] ^= static_cast<uint8_t>(1 << (i % 8));
    const auto opened = OpenPublication(bent, fleet_.anchor(), kTestStart);
    if (opened) {
      ASSERT_EQ(*opened, SmallPublication()) << "byte " << i;
    }
    verdicts.insert(Outcome(opened));
    refused += opened ? 0 : 1;
  }
  EXPECT_GT(refused, original.size() * 99 / 100);
  const std::set<std::string> allowed = {"bad-signature", "digest-mismatch",    "malformed", "mixed-publication", "ok",
                                         "too-large",     "version-unsupported"};
  EXPECT_TRUE(std::ranges::includes(allowed, verdicts)) << testing::PrintToString(verdicts);
}

TEST_F(PublicationTest, TruncationAtEveryLengthIsMalformed) {
  const Bytes original = fleet_.Publish(SmallPublication());
  for (size_t length = 0; length < original.size(); ++length) {
    EXPECT_EQ(Opened(ByteView(original).first(length)), "malformed") << length;
  }
}

TEST_F(PublicationTest, OnlyThisFleetPublishes) {
  const TestFleet other;
  EXPECT_EQ(Opened(other.Publish(SmallPublication())), "bad-signature");
  const TrustAnchor rootless = TrustAnchor::FromCertificate(fleet_.authority().certificate()).value();
  EXPECT_EQ(Outcome(OpenPublication(fleet_.Publish(SmallPublication()), rootless, kTestStart)), "missing-data");
}

TEST_F(PublicationTest, AnExpiredOneIsRefused) {
  const Bytes bytes = fleet_.Publish(SmallPublication());
  EXPECT_EQ(Opened(bytes, kTestStart + Millis(3'599'999)), "ok");
  EXPECT_EQ(Opened(bytes, kTestStart + Millis(3'600'000)), "expired");
}

TEST_F(PublicationTest, FieldsOutsideTheirBoundsAreRefused) {
  EXPECT_EQ(OpenedAfter([](Publication& publication) { publication.number = 0; }), "malformed");
  EXPECT_EQ(OpenedAfter([](Publication& publication) { publication.expires = publication.created; }), "expired");
  EXPECT_EQ(OpenedAfter([](Publication& publication) { publication.sealing_key.pop_back(); }), "malformed");
  EXPECT_EQ(OpenedAfter([](Publication& publication) { publication.aead = HpkeAead{0}; }), "malformed");
  EXPECT_EQ(OpenedAfter([](Publication& publication) { publication.created = {-1}; }), "malformed");
  EXPECT_EQ(OpenedAfter([](Publication& publication) { publication.created = publication.expires; }), "malformed");
  EXPECT_EQ(OpenedAfter([](Publication& publication) { publication.former_keys.resize(limits::kFormerKeys + 1); }),
            "too-large");
  EXPECT_EQ(OpenedAfter([](Publication& publication) { publication.tasks.push_back(SmallTask()); }), "malformed");
  EXPECT_EQ(OpenedAfter([](Publication& publication) { publication.tasks.resize(limits::kTasks + 1, SmallTask()); }),
            "too-large");
  EXPECT_EQ(Opened(Bytes(limits::kPublicationBytes + 8)), "too-large");
}

TEST_F(PublicationTest, TaskFieldsOutsideTheirBoundsAreRefused) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) { task.id = TaskId(); }), "malformed");
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) { task.latest = ModelVersion{0}; }), "malformed");
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) { task.accepted = {ModelVersion{4}}; }), "malformed");
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) { task.weights.size += 4; }), "malformed");
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) { task.module.size = limits::kBlobBytes + 1; }), "too-large");
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) { task.table.tensors[0].shape = {-2, 3}; }), "malformed");
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) {
              task.table.tensors[0].shape = {1 << 30, 1 << 30, 1 << 30};
            }),
            "too-large");
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) { task.table.tensors[1].name = "weight"; }), "malformed");
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) { task.plan.batch_size = 0; }), "malformed");
  EXPECT_EQ(OpenedAfterTask([&](PublishedTask& task) { task.value_bound = nan; }), "malformed");
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) { task.norm_bound = 0; }), "malformed");
  EXPECT_EQ(OpenedAfterTask([&](PublishedTask& task) { task.round->inclusion = nan; }), "malformed");
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) { task.round->inclusion = 1.5; }), "malformed");
  for (const double step : {nan, 0.3, -0.5, std::numeric_limits<double>::infinity()})
    EXPECT_EQ(OpenedAfterTask([&](PublishedTask& task) { task.round->linear_step = step; }), "malformed") << step;
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) {
              task.compact = CompactWeights{VersionCodec{0}, {}, {}};
            }),
            "malformed");
  EXPECT_EQ(OpenedAfterTask([](PublishedTask& task) {
              task.compact = CompactWeights{VersionCodec{3}, {}, {}};
            }),
            "malformed");
  EXPECT_EQ(OpenedAfterTask(
                [](PublishedTask& task) { task.accepted.assign(limits::kAcceptedVersions + 1, ModelVersion{1}); }),
            "too-large");
}

TEST(IsSelectedTest, HasKnownAnswers) {
  RoundAnnouncement round;
  round.nonce = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  // SHA-256(000102…0f || "device-1") begins with abd497d9456e506b: read little endian, 0.419196 of 2^64.
  round.inclusion = 0.419206;
  EXPECT_TRUE(IsSelected(round, TestDevice("device-1")));
  round.inclusion = 0.419186;
  EXPECT_FALSE(IsSelected(round, TestDevice("device-1")));
}

TEST(IsSelectedTest, EverybodyIsInWithProbabilityOne) {
  RoundAnnouncement round;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(IsSelected(round, TestDevice("device-" + std::to_string(i))));
}

TEST(IsSelectedTest, TheShareIsTheProbabilityAndRoundsAreIndependent) {
  constexpr int kDevices = 20'000;
  for (const double inclusion : {0.02, 0.3, 0.9}) {
    RoundAnnouncement first{1, {1}, inclusion, {}};
    RoundAnnouncement second{2, {2}, inclusion, {}};
    int in_first = 0;
    int in_both = 0;
    for (int i = 0; i < kDevices; ++i) {
      const DeviceId device = TestDevice("device-" + std::to_string(i));
      const bool in = IsSelected(first, device);
      in_first += in ? 1 : 0;
      in_both += in && IsSelected(second, device) ? 1 : 0;
    }
    // Five standard deviations of a binomial; the nonces are fixed, so this holds always or never.
    const auto close = [](int count, double p) {
      return std::abs(count - kDevices * p) < 5 * std::sqrt(kDevices * p * (1 - p));
    };
    EXPECT_TRUE(close(in_first, inclusion)) << in_first;
    EXPECT_TRUE(close(in_both, inclusion * inclusion)) << in_both;
  }
}

TEST_F(PublicationTest, SaysWhoIsAskedAgain) {
  const DeviceId one = TestDevice("d1"), other = TestDevice("d2");
  AskAgain again;
  EXPECT_EQ(AskFor(again, one), 0u);
  again.times = 3;
  EXPECT_EQ(AskFor(again, one), 3u);
  again.counted = {AskedName(one)};
  EXPECT_EQ(AskFor(again, one), 0u) << "it counts";
  EXPECT_EQ(AskFor(again, other), 3u);
  again.asked = {AskedName(one)};
  EXPECT_EQ(AskFor(again, other), 0u) << "only those that are named";

  Publication publication = SmallPublication();
  publication.tasks[0].round->again = again;
  const auto opened = OpenPublication(fleet_.Publish(publication), fleet_.anchor(), kTestStart);
  ASSERT_TRUE(opened) << opened.error().ToString();
  EXPECT_EQ(*opened, publication);
  const auto with = [this](size_t names) {
    return OpenedAfterTask([names](PublishedTask& task) { task.round->again.counted.resize(names, 7); });
  };
  EXPECT_EQ(with(limits::kAskedDevices), "ok");
  EXPECT_EQ(with(limits::kAskedDevices + 1), "too-large");
  EXPECT_EQ(Outcome(NamesFromBytes(Bytes(9))), "malformed");
}

}  // namespace
}  // namespace tributary::catalogue_publication_test
