#include <rapidcheck.h>

#include <string>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "protocol/hop/handshake.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/hop.capnp.h"
#include "protocol/trust/seal/digest.h"
#include "tests/support/seeded_random.h"
#include "tests/support/test_fleet.h"

namespace tributary::messages_test {
namespace {

std::vector<Bytes> RandomChain(SeededRandom& random) {
  std::vector<Bytes> chain(random.Below(limits::kCertificateChain + 1));
  for (Bytes& certificate : chain) certificate = random.TakeBytes(random.Below(600));
  return chain;
}

std::string RandomText(SeededRandom& random, size_t limit) {
  std::string text(random.Below(limit + 1), ' ');
  for (char& c : text) c = static_cast<char>('a' + random.Below(26));
  return text;
}

Digest RandomDigest(SeededRandom& random) {
  Digest digest;
  random.Fill(digest.mutable_view());
  return digest;
}

Refusal RandomRefusal(SeededRandom& random) {
  const auto codes = AllCodes();
  const Millis min(random.Below(100'000));
  return {codes[random.Below(codes.size())].code, RandomText(random, 200), {min, min + Millis(random.Below(100'000))}};
}

std::vector<DeviceId> RandomPath(SeededRandom& random) {
  std::vector<DeviceId> path(random.Below(5));
  for (DeviceId& id : path) id = TestDevice("gateway-" + std::to_string(random.Below(1'000)));
  return path;
}

uint64_t RandomCounter(SeededRandom& random) { return random.Next() % (limits::kCounter + 1); }

std::map<Code, uint64_t> RandomCodes(SeededRandom& random) {
  std::map<Code, uint64_t> counts;
  for (const auto& info : AllCodes()) {
    if (random.Below(8) == 0) counts[info.code] = RandomCounter(random);
  }
  return counts;
}

GatewayState RandomReport(SeededRandom& random) {
  GatewayState report;
  report.gateway = TestDevice("gateway-" + std::to_string(random.Below(1'000)));
  if (random.Below(2) == 0) report.parent = TestDevice("parent");
  for (uint64_t* number :
       {&report.publication_number, &report.spool_bytes, &report.spool_limit_bytes, &report.disk_free_bytes,
        &report.disk_total_bytes, &report.dead_letters, &report.age_millis}) {
    *number = RandomCounter(random);
  }
  report.oldest_spooled_millis = static_cast<int64_t>(RandomCounter(random));
  report.connected_clients = static_cast<uint32_t>(random.Next());
  for (const LinkPurpose purpose : kLinkPurposes) {
    if (random.Below(2) == 0) {
      report.uplink[purpose] = {RandomCounter(random), RandomCounter(random), RandomCounter(random)};
    }
  }
  for (KindAccount& account : report.accounts) {
    account = {RandomCounter(random), RandomCounter(random), RandomCounter(random), RandomCounter(random),
               RandomCounter(random), RandomCodes(random),   RandomCodes(random)};
  }
  report.trouble = RandomText(random, 200);
  return report;
}

std::vector<GatewayState> RandomReports(SeededRandom& random) {
  std::vector<GatewayState> reports(random.Below(3));
  for (GatewayState& report : reports) report = RandomReport(random);
  return reports;
}

EnrolmentAnswer RandomAnswer(SeededRandom& random) {
  using Kind = EnrolmentAnswer::Kind;
  if (random.Below(3) == 0) return {Kind::kIssued, {random.TakeBytes(600)}, {}};
  return {random.Below(2) == 0 ? Kind::kPending : Kind::kRefused, {}, RandomRefusal(random)};
}

// A message of the type number `type`, with content from the seed.
hop::Message RandomMessage(size_t type, SeededRandom& random) {
  const auto u16 = [&] { return static_cast<uint16_t>(random.Next()); };
  const auto u32 = [&] { return static_cast<uint32_t>(random.Next()); };
  switch (type) {
    case 0:
      return hop::Hello{u16(), u16(), random.TakeBytes(random.Below(2) * 32)};
    case 1:
      return hop::Challenge{u16(), random.TakeBytes(32), RandomChain(random), u16(), u16()};
    case 2:
      return hop::Proof{RandomChain(random), random.TakeBytes(64)};
    case 3:
      return hop::Welcome{{random.Next(), u32(), RandomPath(random), RandomChain(random)},
                          TestDevice("gateway-" + std::to_string(random.Below(1'000)))};
    case 4:
      return hop::Refused{RandomRefusal(random)};
    case 5:
      return hop::CheckIn{random.Next(), RandomText(random, 64), random.Next(), random.Next(), random.Next(),
                          u32(),         RandomReports(random),  random.Next(), static_cast<int64_t>(random.Next()),
                          random.TakeBytes(random.Below(3'000)),
                          random.Below(2) == 0 ? std::optional<Digest>() : RandomDigest(random)};
    case 6:
      return hop::Assignment{{random.Next(), u32(), RandomPath(random), RandomChain(random)},
                             random.TakeBytes(random.Below(3'000)), random.Below(2) == 0};
    case 7:
      return hop::Offer{random.TakeBytes(random.Below(3'000))};
    case 8:
      return hop::Resume{random.TakeUploadId(), u32()};
    case 9:
      return hop::Already{random.TakeUploadId()};
    case 10:
      return hop::Refuse{random.TakeUploadId(), RandomRefusal(random)};
    case 11:
      return hop::Chunk{random.TakeUploadId(), u32()};
    case 12:
      if (random.Below(2) == 0) return hop::Credit{random.Next()};
      return hop::Credit{random.Next(), random.TakeUploadId(), u32()};
    case 13:
      return hop::Custody{random.TakeUploadId()};
    case 14:
      return hop::Fetch{RandomDigest(random), random.Next(), u32(), random.Below(2) == 0};
    case 15:
      return hop::Piece{RandomDigest(random), random.Next(), random.Next()};
    case 16:
      return hop::FetchRefused{RandomDigest(random), RandomRefusal(random)};
    case 17:
      return hop::Notice{random.Next()};
    case 18:
      return hop::Goodbye{};
    case 19:
      return hop::Enrol{random.TakeBytes(random.Below(3'000))};
    default:
      return hop::EnrolAnswer{RandomDigest(random), RandomAnswer(random)};
  }
}
constexpr size_t kTypes = std::variant_size_v<hop::Message>;

// Error code of decoding what `fill` writes, or "ok".
template <class Fill>
std::string OutcomeOf(Fill fill) {
  const auto decoded = hop::Decode(wire::EncodeFramed<schema::HopMessage>(fill));
  return decoded ? "ok" : std::string(Name(decoded.error().code));
}

TEST(MessagesTest, EveryTypeComesBackAsItWas) {
  rc::check("decode(encode(m)) == m", [](uint64_t seed) {
    SeededRandom random(seed);
    for (size_t type = 0; type < kTypes; ++type) {
      const hop::Message message = RandomMessage(type, random);
      RC_ASSERT(message.index() == type);
      const auto decoded = hop::Decode(hop::Encode(message));
      RC_ASSERT(decoded.has_value());
      RC_ASSERT(*decoded == message);
    }
  });
}

TEST(MessagesTest, NoTruncationIsTakenForAWholeMessage) {
  SeededRandom random(1);
  for (size_t type = 0; type < kTypes; ++type) {
    const hop::Message message = RandomMessage(type, random);
    const Bytes whole = hop::Encode(message);
    for (size_t size = 0; size < whole.size(); ++size) {
      const auto decoded = hop::Decode(ByteView(whole).first(size));
      EXPECT_FALSE(decoded) << "type " << type << ", " << size << " of " << whole.size() << " bytes";
    }
  }
}

TEST(MessagesTest, NoFlippedBitDoesMoreThanChangeTheMessage) {
  SeededRandom random(2);
  for (size_t type = 0; type < kTypes; ++type) {
    Bytes bytes = hop::Encode(RandomMessage(type, random));
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
      // A message that is accepted is one like any other: it can be sent on and read again.
      if (const auto decoded = hop::Decode(bytes)) {
        const auto again = hop::Decode(hop::Encode(*decoded));
        ASSERT_TRUE(again) << "type " << type << ", bit " << bit << ": " << again.error().ToString();
        EXPECT_EQ(*again, *decoded);
      }
      bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    }
  }
}

TEST(MessagesTest, RandomBytesAreNoMessage) {
  rc::check("decode never crashes", [](const std::vector<uint8_t>& bytes) { (void)hop::Decode(bytes); });
}

TEST(MessagesTest, OversizeIsRefusedBeforeItIsRead) {
  const auto huge = hop::Decode(Bytes(limits::kHopMessageBytes + 8));
  ASSERT_FALSE(huge);
  EXPECT_EQ(huge.error().code, Code::kTooLarge);
  for (const hop::Message& message : std::vector<hop::Message>{
           hop::Offer{Bytes(limits::kEnvelopeBytes + 1)},
           hop::Assignment{{1}, Bytes(limits::kPublicationBytes + 1)},
           hop::Proof{std::vector<Bytes>(limits::kCertificateChain + 1), Bytes(64)},
           hop::Proof{{Bytes(limits::kCertificateBytes + 1)}, Bytes(64)},
           hop::CheckIn{0, std::string(65, 'a'), 0, 0, 0, 0},
       }) {
    const auto decoded = hop::Decode(hop::Encode(message));
    ASSERT_FALSE(decoded) << message.index();
    EXPECT_EQ(decoded.error().code, Code::kTooLarge);
  }
}

TEST(MessagesTest, ReportsAndPathsFromOutsideAreBounded) {
  EXPECT_EQ(OutcomeOf([](auto m) { m.initCheckIn().initReports(limits::kGatewayReports + 1); }), "too-large");
  EXPECT_EQ(OutcomeOf([](auto m) { m.initWelcome().setServer("a"); }), "ok");
  EXPECT_EQ(OutcomeOf([](auto m) {
              m.initWelcome().setServer("a");
              m.getWelcome().initPath(limits::kPathHops + 1);
            }),
            "too-large");
  EXPECT_EQ(OutcomeOf([](auto m) { m.initAssignment().initPath(limits::kPathHops + 1); }), "too-large");
  EXPECT_EQ(OutcomeOf([](auto m) { m.initAssignment().initPath(1).set(0, "No Id"); }), "malformed");
}

// The outcome of a check-in after `change`, with one report that is in order.
template <class Change>
std::string OutcomeOfReport(Change change) {
  return OutcomeOf([&](schema::HopMessage::Builder message) {
    auto report = message.initCheckIn().initReports(1)[0];
    report.setGateway("gateway-1");
    change(report);
  });
}

TEST(MessagesTest, WhatAReportSaysIsChecked) {
  EXPECT_EQ(OutcomeOfReport([](auto) {}), "ok");
  EXPECT_EQ(OutcomeOfReport([](auto r) { r.setGateway(""); }), "malformed");
  EXPECT_EQ(OutcomeOfReport([](auto r) { r.setParent("No Id"); }), "malformed");
  EXPECT_EQ(OutcomeOfReport([](auto r) { r.setTrouble(std::string(limits::kTroubleBytes + 1, 'x')); }), "too-large");
  EXPECT_EQ(OutcomeOfReport([](auto r) { r.setSpoolBytes(limits::kCounter); }), "ok");
  EXPECT_EQ(OutcomeOfReport([](auto r) { r.setSpoolBytes(limits::kCounter + 1); }), "malformed");
  EXPECT_EQ(OutcomeOfReport([](auto r) { r.setOldestSpooledMillis(~uint64_t{0}); }), "malformed");
  EXPECT_EQ(OutcomeOfReport([](auto r) { r.setAgeMillis(~uint64_t{0}); }), "malformed");
  EXPECT_EQ(OutcomeOfReport([](auto r) { r.initUplink(1); }), "malformed");  // purpose none
  EXPECT_EQ(OutcomeOfReport([](auto r) { r.initUplink(1)[0].setPurpose(static_cast<schema::LinkPurpose>(257)); }),
            "malformed");
  EXPECT_EQ(OutcomeOfReport([](auto r) {
              for (auto entry : r.initUplink(2)) entry.setPurpose(schema::LinkPurpose::BLOBS);
            }),
            "malformed");
  EXPECT_EQ(OutcomeOfReport([](auto r) { r.initAccounts(1)[0].setKind(0); }), "malformed");
  EXPECT_EQ(OutcomeOfReport([](auto r) { r.initAccounts(1)[0].setKind(5); }), "malformed");
  EXPECT_EQ(OutcomeOfReport([](auto r) {
              for (auto entry : r.initAccounts(2)) entry.setKind(1);
            }),
            "malformed");
  EXPECT_EQ(OutcomeOfReport([](auto r) {
              auto account = r.initAccounts(1)[0];
              account.setKind(1);
              account.initRefused(1)[0].setCode(49);
            }),
            "malformed");
}

// A check-in keeps a member in its server's list: what its gateway counts must not be able to make it unreadable.
TEST(MessagesTest, AReportOverItsLimitsIsCutWhenItIsWritten) {
  hop::CheckIn check_in;
  check_in.reports.resize(limits::kGatewayReports + 1);
  for (GatewayState& report : check_in.reports) {
    report.gateway = TestDevice("gateway-1");
    report.trouble.assign(limits::kTroubleBytes + 1, 'x');
    report.spool_bytes = ~uint64_t{0};
    report.oldest_spooled_millis = -1;
    for (KindAccount& account : report.accounts) {
      for (const auto& info : AllCodes()) account.refused[info.code] = account.dropped[info.code] = ~uint64_t{0};
    }
  }
  const Bytes bytes = hop::Encode(check_in);
  EXPECT_LE(bytes.size(), limits::kHopMessageBytes);
  const auto decoded = hop::Decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error().ToString();
  const auto& reports = std::get<hop::CheckIn>(*decoded).reports;
  ASSERT_EQ(reports.size(), limits::kGatewayReports);
  EXPECT_EQ(reports[0].trouble.size(), limits::kTroubleBytes);
  EXPECT_EQ(reports[0].spool_bytes, limits::kCounter);
  EXPECT_EQ(reports[0].oldest_spooled_millis, 0);
}

// Sentences are made of names and paths, and may become long. The peer must still be told.
TEST(MessagesTest, ALongSentenceIsCutNotRefusedByThePeer) {
  const Refusal refusal{Code::kBusy, std::string(5'000, 'x'), {}};
  const auto decoded = hop::Decode(hop::Encode(hop::Refused{refusal}));
  ASSERT_TRUE(decoded) << decoded.error().ToString();
  const auto& refused = std::get<hop::Refused>(*decoded);
  EXPECT_EQ(refused.refusal.code, Code::kBusy);
  EXPECT_EQ(refused.refusal.sentence, std::string(1'024, 'x'));
}

TEST(MessagesTest, WrongLengthsAreMalformed) {
  EXPECT_EQ(OutcomeOf([](auto m) { m.initCustody().initUpload(15); }), "malformed");
  EXPECT_EQ(OutcomeOf([](auto m) { m.initCustody().initUpload(17); }), "malformed");
  EXPECT_EQ(OutcomeOf([](auto m) { m.initCustody().initUpload(16); }), "ok");
  EXPECT_EQ(OutcomeOf([](auto m) { m.initFetch().initDigest(31); }), "malformed");
  EXPECT_EQ(OutcomeOf([](auto m) { m.initProof().initSignature(63); }), "malformed");
  EXPECT_EQ(OutcomeOf([](auto m) { m.initChallenge().initNonce(33); }), "malformed");
  EXPECT_EQ(OutcomeOf([](auto m) { m.initWelcome().setServer("Not An Id"); }), "malformed");
}

TEST(MessagesTest, AServersNameEndsWhereItSays) {
  EXPECT_EQ(OutcomeOf([](auto m) { m.initWelcome().setServer(capnp::Text::Reader("ab\0cd", 5)); }), "malformed");
}

TEST(MessagesTest, AnUnknownCodeIsMalformed) {
  EXPECT_EQ(OutcomeOf([](auto m) { m.initRefused().setCode(0); }), "malformed");
  EXPECT_EQ(OutcomeOf([](auto m) { m.initRefused().setCode(49); }), "malformed");
  EXPECT_EQ(OutcomeOf([](auto m) { m.initRefused().setCode(65'535); }), "malformed");
  EXPECT_EQ(OutcomeOf([](auto m) { m.initRefused().setCode(50); }), "ok");
}

TEST(MessagesTest, AnUnknownUnionMemberIsMalformed) {
  // The discriminant is where goodbye differs from hello: found here, so that the test does not depend on the layout.
  const Bytes hello = hop::Encode(hop::Hello{0, 0});
  const Bytes goodbye = hop::Encode(hop::Goodbye{});
  size_t place = 8;
  while (place < goodbye.size() && goodbye[place] != 18) ++place;
  ASSERT_LT(place, goodbye.size());
  Bytes unknown = goodbye;
  unknown[place] = static_cast<uint8_t>(kTypes);
  const auto decoded = hop::Decode(unknown);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, Code::kMalformed);
  EXPECT_TRUE(hop::Decode(hello));
}

TEST(MessagesTest, TheProofCoversBothKeysAndBothMessages) {
  const Bytes a(32, 1), b(32, 2);
  const Bytes hello = hop::Encode(hop::Hello{1, 2, Bytes(32, 3)});
  const Bytes challenge = hop::Encode(hop::Challenge{2, Bytes(32, 4), {}});
  Bytes expected = ToBytes(AsBytes("tributary hop proof v2\n"));
  Append(expected, a);
  Append(expected, b);
  Append(expected, Sha256(hello).view());
  Append(expected, Sha256(challenge).view());
  EXPECT_EQ(hop::ProofTranscript(a, b, hello, challenge), expected);
}

TEST(MessagesTest, AnAnswerToAnEnrolmentIsOneThingOnly) {
  const auto outcome = [](uint8_t kind, unsigned certificates, uint16_t code) {
    return OutcomeOf([&](auto m) {
      auto answer = m.initEnrolAnswer();
      answer.initRequest(32);
      answer.setKind(kind);
      if (certificates > 0) answer.initChain(certificates).init(0, 5);
      if (code != 0) answer.initRefusal().setCode(code);
    });
  };
  EXPECT_EQ(outcome(1, 1, 0), "ok");
  EXPECT_EQ(outcome(1, 0, 0), "malformed");
  EXPECT_EQ(outcome(2, 0, 58), "ok");
  EXPECT_EQ(outcome(2, 1, 58), "malformed");
  EXPECT_EQ(outcome(3, 0, 34), "ok");
  EXPECT_EQ(outcome(3, 0, 0), "malformed");
  EXPECT_EQ(outcome(0, 1, 0), "malformed");
  EXPECT_EQ(outcome(4, 0, 34), "malformed");
  EXPECT_EQ(outcome(1, limits::kCertificateChain + 1, 0), "too-large");
}

}  // namespace
}  // namespace tributary::messages_test
