#include <rapidcheck.h>

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "tests/protocol/envelope/small_upload.h"

namespace tributary::envelope_tamper_test {
namespace {

class EnvelopeTamperTest : public testing::Test {
 protected:
  std::string Verdict(ByteView bytes) const {
    const auto envelope = ParseEnvelope(bytes);
    return envelope ? Outcome(VerifyEnvelope(*envelope, fleet_.anchor(), kTestStart)) : Outcome(envelope);
  }

  // The verdicts on `original_` with each bit of the part flipped that `needle` is found at.
  std::set<std::string> VerdictsOnFlips(ByteView needle) const {
    const auto found = std::ranges::search(original_, needle);
    EXPECT_FALSE(found.empty());
    const auto begin = static_cast<size_t>(found.begin() - original_.begin());
    std::set<std::string> verdicts;
    for (size_t bit = begin * 8; bit < (begin + needle.size()) * 8; ++bit) {
      Bytes bent = original_;
      bent[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
      const std::string verdict = Verdict(bent);
      EXPECT_NE(verdict, "ok") << "bit " << bit - begin * 8;
      verdicts.insert(verdict);
    }
    return verdicts;
  }

  static bool Within(const std::set<std::string>& verdicts, const std::set<std::string>& allowed) {
    return std::ranges::includes(allowed, verdicts);
  }

  const TestFleet fleet_;
  const Identity device_ = fleet_.Issue(Role::kDevice, "device-1");
  const Bytes original_ = Signed(SmallHeader(), device_);
};

TEST_F(EnvelopeTamperTest, EveryFlippedBitOfTheHeaderIsRefused) {
  const auto verdicts = VerdictsOnFlips(ParseEnvelope(original_)->header_bytes);
  EXPECT_TRUE(Within(verdicts, {"bad-signature", "malformed", "too-large", "unknown-codec", "unknown-kind"}))
      << testing::PrintToString(verdicts);
  EXPECT_TRUE(verdicts.contains("bad-signature"));
}

TEST_F(EnvelopeTamperTest, EveryFlippedBitOfTheSignatureIsABadSignature) {
  EXPECT_EQ(VerdictsOnFlips(ParseEnvelope(original_)->signature), std::set<std::string>{"bad-signature"});
}

TEST_F(EnvelopeTamperTest, EveryFlippedBitOfTheCertificateIsRefused) {
  const auto verdicts = VerdictsOnFlips(device_.chain[0]);
  EXPECT_TRUE(Within(verdicts, {"bad-signature", "expired-certificate", "malformed", "unknown-certificate"}))
      << testing::PrintToString(verdicts);
  EXPECT_TRUE(verdicts.contains("unknown-certificate"));
}

TEST_F(EnvelopeTamperTest, EveryFlippedBitBetweenThemIsRefused) {
  // Pointers and padding are under no signature; the one byte form protects them.
  const auto parts = ParseEnvelope(original_).value();
  std::vector<bool> covered(original_.size());
  for (const Bytes& part : {parts.header_bytes, parts.signature, parts.chain[0]}) {
    const auto found = std::ranges::search(original_, part);
    std::fill_n(covered.begin() + (found.begin() - original_.begin()), part.size(), true);
  }
  for (size_t bit = 0; bit < original_.size() * 8; ++bit) {
    if (covered[bit / 8]) continue;
    Bytes bent = original_;
    bent[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    EXPECT_NE(Verdict(bent), "ok") << "bit " << bit;
  }
}

TEST_F(EnvelopeTamperTest, TruncatedAndLengthenedAreMalformed) {
  for (size_t length = 0; length < original_.size(); ++length) {
    EXPECT_EQ(Verdict(ByteView(original_).first(length)), "malformed") << length;
  }
  for (size_t more = 1; more <= 64; ++more) {
    Bytes longer = original_;
    longer.resize(original_.size() + more);
    EXPECT_EQ(Verdict(longer), "malformed") << more;
  }
}

TEST_F(EnvelopeTamperTest, AnyWordReplacedNeitherCrashesNorPasses) {
  EXPECT_TRUE(rc::check("a replaced word is refused", [this] {
    Bytes bent = original_;
    const size_t word = *rc::gen::inRange<size_t>(0, bent.size() / 8);
    const auto value = *rc::gen::arbitrary<uint64_t>();
    for (size_t i = 0; i < 8; ++i) bent[word * 8 + i] = static_cast<uint8_t>(value >> (8 * i));
    RC_PRE(bent != original_);
    RC_ASSERT(Verdict(bent) != "ok");
  }));
}

TEST_F(EnvelopeTamperTest, RandomBytesAreMalformed) {
  SeededRandom random(11);
  for (int i = 0; i < 2000; ++i) {
    const Bytes noise = random.TakeBytes(8 * random.Below(64));
    const std::string verdict = Verdict(noise);
    EXPECT_TRUE(verdict == "malformed" || verdict == "too-large") << verdict;
  }
}

}  // namespace
}  // namespace tributary::envelope_tamper_test
