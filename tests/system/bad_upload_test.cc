#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "protocol/trust/seal/digest.h"
#include "tests/support/raw_session.h"
#include "tests/system/synthetic_site.h"

// A device that misbehaves in every way there is, against real processes: each upload is refused with its code and
// counted, and what others sent before and after is in the sum.
namespace tributary::bad_upload_test {
namespace {

constexpr uint64_t kParameters = 3'001;
constexpr uint32_t kChunk = limits::kMinChunkBytes;

// All that a case may need to make its upload.
struct Workshop {
  const Publication& publication;
  const Identity& rogue;
  const TestFleet& strangers;

  SealingTarget Target() const { return {publication.aead, publication.sealing_key}; }
  SyntheticUpdate Good() const { return UpdateOf(rogue.subject.id, ModelVersion{1}, kParameters); }
  SealedUpload Seal(const SyntheticUpdate& update) const { return SealSynthetic(update, publication, rogue, kChunk); }
  // A good update in which one thing is changed.
  SealedUpload With(const std::function<void(SyntheticUpdate&)>& change) const {
    SyntheticUpdate update = Good();
    change(update);
    return Seal(update);
  }
  SealedUpload About(const std::function<void(UploadSubject&)>& change) const {
    UploadSubject subject = SubjectFor(publication, rogue);
    change(subject);
    return SealSynthetic(Good(), subject, Target(), rogue, kChunk);
  }
  // As it is, with the header signed again.
  SealedUpload Resign(SealedUpload upload) const {
    upload.envelope = SignEnvelope(upload.header, rogue.key, rogue.chain);
    return upload;
  }
};

struct Case {
  const char* name;
  Code code;
  std::function<SealedUpload(const Workshop&)> make;
};

Digest DigestOf(const SealedUpload& upload) {
  Sha256Stream digest;
  for (const Bytes& chunk : upload.chunks) digest.Update(chunk);
  return std::move(digest).Finish();
}

// Refused by every hop, before anything is stored.
std::vector<Case> RefusedAtAnyHop() {
  return {
      {"wrong signature", Code::kBadSignature,
       [](const Workshop& shop) {
         SealedUpload upload = shop.Seal(shop.Good());
         upload.envelope = SignEnvelope(upload.header, SigningKey::Generate(), shop.rogue.chain);
         return upload;
       }},
      {"unknown certificate", Code::kUnknownCertificate,
       [](const Workshop& shop) {
         const Identity stranger = shop.strangers.Issue(Role::kDevice, shop.rogue.subject.id.text());
         return SealSynthetic(shop.Good(), shop.publication, stranger, kChunk);
       }},
      {"in another device's name", Code::kWrongIdentity,
       [](const Workshop& shop) {
         return shop.About([](UploadSubject& subject) { subject.device = TestDevice("d0"); });
       }},
      {"expired", Code::kExpired,
       [](const Workshop& shop) {
         return shop.About([](UploadSubject& subject) { subject.expires = WallTime{1'000}; });
       }},
      {"unknown task", Code::kUnknownTask,
       [](const Workshop& shop) {
         return shop.About([](UploadSubject& subject) { subject.task = TestTask("nothing"); });
       }},
      {"wrong digest", Code::kDigestMismatch,
       [](const Workshop& shop) {
         SealedUpload upload = shop.Seal(shop.Good());
         upload.header.ciphertext_digest.mutable_view()[0] ^= 1;
         return shop.Resign(std::move(upload));
       }},
      {"a chunk from another upload", Code::kDigestMismatch,
       [](const Workshop& shop) {
         SealedUpload upload = shop.Seal(shop.Good());
         upload.chunks.at(1) = shop.Seal(shop.Good()).chunks.at(1);
         return upload;
       }},
      {"far too long", Code::kTooLarge,
       [](const Workshop& shop) {
         return shop.With([](SyntheticUpdate& update) { update.delta.resize(2 * kParameters); });
       }},
      {"a chunk of another size", Code::kMalformed,
       [](const Workshop& shop) {
         SealedUpload upload = shop.Seal(shop.Good());
         upload.chunks.at(1).pop_back();
         return upload;
       }},
  };
}

// Only whoever opens the payload can see these.
std::vector<Case> RefusedAfterOpening() {
  const auto value = [](float wrong) {
    return [wrong](const Workshop& shop) {
      return shop.With([wrong](SyntheticUpdate& update) { update.delta.at(1'234) = wrong; });
    };
  };
  const auto weight = [](uint64_t wrong) {
    return [wrong](const Workshop& shop) {
      return shop.With([wrong](SyntheticUpdate& update) { update.weight = wrong; });
    };
  };
  const auto count = [](uint64_t wrong) {
    return [wrong](const Workshop& shop) {
      return shop.With([wrong](SyntheticUpdate& update) { update.delta.resize(wrong); });
    };
  };
  return {
      {"not a number", Code::kNotFinite, value(std::numeric_limits<float>::quiet_NaN())},
      {"infinity", Code::kNotFinite, value(std::numeric_limits<float>::infinity())},
      {"minus infinity", Code::kNotFinite, value(-std::numeric_limits<float>::infinity())},
      {"a value over the bound", Code::kNormExceeded, value(1.5f)},
      {"a norm over the bound", Code::kNormExceeded,
       [](const Workshop& shop) {
         return shop.With([](SyntheticUpdate& update) { std::ranges::fill(update.delta, 0.9f); });
       }},
      {"one value too few", Code::kWrongTensorCount, count(kParameters - 1)},
      {"one value too many", Code::kWrongTensorCount, count(kParameters + 1)},
      {"weight zero", Code::kBadWeight, weight(0)},
      {"weight over the bound", Code::kBadWeight, weight(1'001)},
      {"sealed to another key", Code::kUnknownKey,
       [](const Workshop& shop) {
         return SealSynthetic(shop.Good(), SubjectFor(shop.publication, shop.rogue),
                              {kDefaultAead, shop.strangers.sealing_key().public_key}, shop.rogue, kChunk);
       }},
      {"chunks in another order", Code::kSealBroken,
       [](const Workshop& shop) {
         SealedUpload upload = shop.Seal(shop.Good());
         std::swap(upload.chunks.at(0), upload.chunks.at(1));
         upload.header.ciphertext_digest = DigestOf(upload);
         return shop.Resign(std::move(upload));
       }},
      {"an unknown version", Code::kUnknownVersion,
       [](const Workshop& shop) {
         return shop.About([](UploadSubject& subject) { subject.base_version = ModelVersion{99}; });
       }},
      {"a kind that is not taken", Code::kUnknownKind,
       [](const Workshop& shop) {
         return shop.About([](UploadSubject& subject) {
           subject.kind = UploadKind::kSample;
           subject.codec = Codec::kRecord;
         });
       }},
  };
}

class BadUpload : public testing::Test {
 protected:
  void Build(const std::string& server) {
    site_.CreateTask(kParameters, 2);
    Must(site_.api().StartRounds("synthetic", 1));
    server_ = server;
    site_.AddDevice(0, server, kChunk);
    site_.AddDevice(1, server, kChunk);
    for (size_t i = 0; i < 2; ++i) ASSERT_TRUE(site_.device(i).AwaitVersion(1)) << site_.Logs();
    publication_ = site_.device(0).publication();
    site_.device(0).GiveUpdate();  // the good one before
    ASSERT_TRUE(AwaitReports(1)) << site_.Logs();
  }
  bool AwaitReports(uint64_t count) {
    return site_.site().Eventually(
        [&] { return Must(site_.api().Round("synthetic", 1)).at("contributions") == count; });
  }
  std::unique_ptr<RawSession> Session() {
    auto session = std::make_unique<RawSession>(site_.thread(), rogue_, site_.site().AddressOf(server_));
    EXPECT_EQ(session->Greet(), "welcome");
    return session;
  }
  Workshop Shop() const { return {*publication_, rogue_, strangers_}; }
  Json AccountOf(const std::string& kind) {
    const Json accounts = Must(site_.api().Account());
    for (const Json& account : accounts.at("items")) {
      if (account.at("kind") == kind) return account;
    }
    return {};
  }
  uint64_t Refused(Code code) {
    return AccountOf("update").at("refused").value(std::string(Name(code)), uint64_t{0}) +
           AccountOf("sample").at("refused").value(std::string(Name(code)), uint64_t{0});
  }
  double Metric(Code code) {
    const std::string process = server_ == "aggregator" ? "aggregator" : "gateway";
    return site_.site().MetricOf(
        server_, "tributary_" + process + "_refusals_total{reason=\"" + std::string(Name(code)) + "\"}");
  }
  // The round ends with the good update after, and nothing of the rogue is in it.
  void ExpectOnlyTheGoodOnesCount() {
    site_.device(1).GiveUpdate();
    ASSERT_TRUE(site_.device(0).AwaitVersion(2, false)) << site_.Logs();
    ExpectedVersions expected(site_.task());
    EXPECT_EQ(site_.VersionDigests(),
              std::vector{expected.Next({SyntheticSite::NameOf(0), SyntheticSite::NameOf(1)}).hex()});
    for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(site_.device(i).AwaitCustody());
    site_.ExpectAccountsHold();
  }

  SyntheticSite site_;
  TestFleet strangers_{SystemClock().Now()};
  Identity rogue_ = site_.site().fleet().Issue(Role::kDevice, "rogue");
  std::string server_;
  std::optional<Publication> publication_;
};

TEST_F(BadUpload, IsRefusedByTheAggregatorWithItsCodeAndCounted) {
  Build("aggregator");
  const auto session = Session();
  std::vector<Case> cases = RefusedAtAnyHop();
  for (Case& one : RefusedAfterOpening()) cases.push_back(std::move(one));
  std::map<Code, uint64_t> expected;
  for (const Case& one : cases) {
    const SealedUpload upload = one.make(Shop());
    // The one before is still being thrown away: a passing answer, after which a client offers again.
    std::string verdict = session->Upload(upload.envelope, upload.chunks);
    for (int tries = 0; verdict == "busy" && tries < 1000; ++tries)
      verdict = session->Upload(upload.envelope, upload.chunks);
    EXPECT_EQ(verdict, Name(one.code)) << one.name;
    if (!IsTransient(one.code)) ++expected[one.code];
  }
  for (const auto& [code, count] : expected) {
    EXPECT_TRUE(
        site_.site().Eventually([&, code = code, count = count] { return Refused(code) == count; }, Millis(5'000)))
        << Name(code) << " " << count << "\n"
        << AccountOf("update").dump(2);
    EXPECT_TRUE(site_.site().Eventually(
        [&, code = code, count = count] { return Metric(code) >= static_cast<double>(count); }, Millis(5'000)))
        << Name(code) << " " << count;
  }
  ExpectOnlyTheGoodOnesCount();
}

TEST_F(BadUpload, IsRefusedByAGatewayBeforeItIsStored) {
  site_.AddAndStartGateway("gateway-1");
  Build("gateway-1");
  const auto session = Session();
  std::map<Code, uint64_t> expected;
  for (const Case& one : RefusedAtAnyHop()) {
    const SealedUpload upload = one.make(Shop());
    EXPECT_EQ(session->Upload(upload.envelope, upload.chunks), Name(one.code)) << one.name;
    ++expected[one.code];
  }
  for (const auto& [code, count] : expected) {
    EXPECT_TRUE(site_.site().Eventually(
        [&, code = code, count = count] { return Metric(code) >= static_cast<double>(count); }, Millis(5'000)))
        << Name(code) << " " << count;
  }
  ExpectOnlyTheGoodOnesCount();
}

// A gateway cannot see these: it takes custody, the aggregator refuses, and the gateway gives the upload up with that
// reason.
TEST_F(BadUpload, ThatOnlyTheAggregatorCanSeeEndsAtTheGatewayAsADeadLetter) {
  site_.AddAndStartGateway("gateway-1");
  Build("gateway-1");
  const auto session = Session();
  const std::vector<Case> cases = RefusedAfterOpening();
  for (const Case& one : cases) {
    const SealedUpload upload = one.make(Shop());
    // The next update of the same device and version takes the first one's place, so each must be through before.
    EXPECT_EQ(session->Upload(upload.envelope, upload.chunks), "custody") << one.name;
    EXPECT_TRUE(site_.site().Eventually(
        [&] {
          const std::string gone = "upload.set_aside id=" + upload.header.subject.id.hex();
          return site_.site().LogOf("gateway-1").find(gone) != std::string::npos;
        },
        Millis(5'000)))
        << one.name << "\n"
        << site_.Logs();
  }
  const auto dropped = [&](const char* kind) {
    return site_.site().MetricOf("gateway-1",
                                 std::string("tributary_gateway_uploads{kind=\"") + kind + "\",state=\"dropped\"}");
  };
  EXPECT_TRUE(site_.site().Eventually(
      [&] { return dropped("update") + dropped("sample") == static_cast<double>(cases.size()); }, Millis(5'000)))
      << site_.Logs();
  ExpectOnlyTheGoodOnesCount();
}

TEST_F(BadUpload, OfAContributionThatIsCountedIsADuplicate) {
  Build("aggregator");
  const Identity third =
      site_.site().fleet().Issue(Role::kDevice, "d0");  // the same name as the first, as after a restored backup
  RawSession session(site_.thread(), third, site_.site().AddressOf("aggregator"));
  ASSERT_EQ(session.Greet(), "welcome");
  for (int again = 1; again <= 3; ++again) {
    const SealedUpload upload =
        SealSynthetic(UpdateOf(third.subject.id, ModelVersion{1}, kParameters), *publication_, third, kChunk);
    EXPECT_EQ(session.Upload(upload.envelope, upload.chunks), "already");
    EXPECT_TRUE(site_.site().Eventually([&] { return AccountOf("update").at("duplicate") == again; }, Millis(5'000)));
  }
  ExpectOnlyTheGoodOnesCount();
}

TEST_F(BadUpload, ChunksOutOfOrderAreRefused) {
  Build("aggregator");
  const auto session = Session();
  const SealedUpload upload = Shop().Seal(Shop().Good());
  session->Send(hop::Offer{upload.envelope});
  uint64_t credit = 0;
  while (credit < upload.chunks.at(1).size()) {
    const auto message = session->Receive();
    ASSERT_TRUE(message);
    if (const auto* more = std::get_if<hop::Credit>(&*message)) credit += more->bytes;
  }
  session->Send(hop::Chunk{upload.header.subject.id, 1}, upload.chunks.at(1));
  std::optional<hop::Message> answer;
  while ((answer = session->Receive()) && !std::holds_alternative<hop::Refuse>(*answer)) {
  }
  ASSERT_TRUE(answer);
  EXPECT_EQ(std::get<hop::Refuse>(*answer).refusal.code, Code::kChunkOutOfOrder);
  // It may be sent again in order, so it is no refusal of the upload in the account.
  EXPECT_TRUE(site_.site().Eventually([&] { return Metric(Code::kChunkOutOfOrder) == 1; }, Millis(5'000)));
  ExpectOnlyTheGoodOnesCount();
}

TEST_F(BadUpload, NonsenseEndsTheSessionOfWhoeverSaysIt) {
  Build("aggregator");
  const SealedUpload upload = Shop().Seal(Shop().Good());
  const Bytes offer = hop::Encode(hop::Offer{upload.envelope});
  const std::vector<std::tuple<const char*, Code, std::function<void(RawSession&)>>> cases = {
      {"garbled message", Code::kMalformed,
       [&](RawSession& session) { session.SendBytes(AsBytes("\x01\xff\x03 not a hop message")); }},
      {"truncated message", Code::kMalformed,
       [&](RawSession& session) { session.SendBytes(ByteView(offer).first(offer.size() / 2)); }},
      {"empty envelope", Code::kMalformed,
       [&](RawSession& session) {
         session.Send(hop::Offer{Bytes{1, 2, 3}});
       }},
      {"oversized message", Code::kTooLarge,
       [&](RawSession& session) { session.SendBytes(Bytes(limits::kHopMessageBytes + 8)); }},
      {"chunk without credit", Code::kCreditExceeded,
       [&](RawSession& session) {
         session.Send(hop::Chunk{upload.header.subject.id, 0}, upload.chunks.at(0));
       }},
      {"a message of servers", Code::kMalformed,
       [&](RawSession& session) { session.Send(hop::Custody{upload.header.subject.id}); }},
      {"a piece too long", Code::kTooLarge,
       [&](RawSession& session) {
         session.Send(hop::Fetch{publication_->tasks.at(0).weights.digest, 0, limits::kPieceBytes + 1});
       }},
      {"bulk where none belongs", Code::kMalformed,
       [&](RawSession& session) { session.Send(hop::CheckIn{}, Bytes(10)); }},
  };
  for (const auto& [name, code, say] : cases) {
    const auto session = Session();
    const double before = Metric(code);
    say(*session);
    EXPECT_EQ(session->Closed(), Name(code)) << name;
    EXPECT_TRUE(site_.site().Eventually([&, code = code] { return Metric(code) > before; }, Millis(5'000))) << name;
  }
  ExpectOnlyTheGoodOnesCount();
}

TEST_F(BadUpload, AnOversizedFrameIsCutOffAndTheServerGoesOn) {
  Build("aggregator");
  const auto session = Session();
  session->SendBytes(hop::Encode(hop::Chunk{UploadId(), 0}), Bytes(limits::kMaxChunkBytes + limits::kMiB));
  // The socket is made anew below; the session on the old connection is not there any more.
  const auto again = Session();
  ExpectOnlyTheGoodOnesCount();
}

TEST_F(BadUpload, StrangersAreNotLetIn) {
  Build("aggregator");
  const Identity stranger = strangers_.Issue(Role::kDevice, "stranger");
  RawSession session(site_.thread(), stranger, site_.site().AddressOf("aggregator"));
  EXPECT_EQ(session.Greet(), Name(Code::kUnknownCertificate));
  // One of the fleet that shows another's certificate on its own connection.
  Identity thief = site_.site().fleet().Issue(Role::kDevice, "thief");
  thief.chain = site_.device(1).identity().chain;
  RawSession stolen(site_.thread(), thief, site_.site().AddressOf("aggregator"));
  EXPECT_EQ(stolen.Greet(), Name(Code::kWrongIdentity));
  RawSession silent(site_.thread(), rogue_, site_.site().AddressOf("aggregator"));
  silent.Send(hop::CheckIn{});
  EXPECT_EQ(silent.Closed(), Name(Code::kNoSession));
  ExpectOnlyTheGoodOnesCount();
}

}  // namespace
}  // namespace tributary::bad_upload_test
