#include "aggregator/intake/receiver.h"

#include <map>
#include <set>

#include <gtest/gtest.h>

#include "protocol/trust/identity/revocation_list.h"
#include "tests/protocol/hop/hop_fixture.h"
#include "tests/support/must.h"

namespace tributary::receiver_test {
namespace {

// Says what the test says, and remembers what it was given.
class FakeJudge final : public UploadJudge {
 public:
  Verdict Admit(const UploadHeader& header) override {
    if (in_sum.contains(header.subject.id)) return Verdict::InSum();
    if (counted_before.contains(header.subject.id)) return Verdict::Counted();
    const auto found = admit.find(header.subject.id);
    return found == admit.end() ? Verdict::Take() : Verdict(Fail(found->second, "as the test says"));
  }
  Verdict Contribute(const UploadHeader& header, Role,
                     const std::function<Result<Bytes>(uint32_t index)>& chunk) override {
    for (uint32_t i = 0; i < header.subject.chunk_count; ++i) RETURN_IF_ERROR(chunk(i));
    if (contribute) return Fail(*contribute, "as the test says");
    ++counted[header.subject.id];
    return Verdict::Take();
  }
  void CountRefusal(UploadKind, const std::optional<UploadSubject>&, Code code) override { refusals.push_back(code); }

  std::map<UploadId, Code> admit;
  std::set<UploadId> in_sum, counted_before;
  std::optional<Code> contribute;
  std::map<UploadId, int> counted;
  std::vector<Code> refusals;
};

// A receiver on a staging spool, with one thread for all.
class ReceiverTest : public testing::Test {
 protected:
  ReceiverTest() { Start(); }
  ~ReceiverTest() override { End(); }

  void Start() {
    SpoolOptions options;
    options.folder = folder_;
    options.mode = SpoolMode::kStaging;
    auto staging = Spool::Open(options, RealFileSystem(), world_.clock, world_.worker);
    TRIBUTARY_CHECK(staging) << staging.error().ToString();
    staging_ = std::move(*staging);
    receiver_ = std::make_unique<Receiver>(
        *staging_, judge_, core_, world_.loop,
        Receiver::Hooks{[this](const UploadId& upload) { custody_.push_back(upload); },
                        [this](const UploadId& upload, const Error& error) { refused_[upload] = error.code; },
                        [this](const VerifiedIdentity& author, const DeviceId&) -> Status {
                          vetted_.push_back(author.serial);
                          if (revoked_ != author.subject.id) return {};
                          return Fail(Code::kRevokedCertificate, author.subject.id.text() + " was revoked");
                        }});
  }
  void End() {
    Settle();
    staging_.reset();
    receiver_.reset();
  }
  // As after SIGKILL: what is on the disk now is all that the next life has.
  void Kill() {
    Settle();
    const Path copy = world_.folder / ("staging-" + std::to_string(++kills_));
    std::filesystem::copy(folder_, copy, std::filesystem::copy_options::recursive);
    End();
    folder_ = copy;
    Start();
  }
  void Settle() {
    for (int i = 0; i < 20; ++i) {
      world_.worker.RunAll();
      core_.RunAll();
      world_.Turn();
    }
  }
  Result<OfferAnswer> Offer(const SealedUpload& upload) {
    const auto envelope = ParseEnvelope(upload.envelope);
    TRIBUTARY_CHECK(envelope) << envelope.error().ToString();
    const auto author = VerifyEnvelope(*envelope, world_.fleet.anchor(), world_.clock.Now());
    TRIBUTARY_CHECK(author) << author.error().ToString();
    Result<OfferAnswer> answer = Fail(Code::kTimeout, "no answer");
    receiver_->Offer(*envelope, *author, device_.subject.id, [&](const Result<OfferAnswer>& given) { answer = given; });
    Settle();
    return answer;
  }
  void Append(const SealedUpload& upload, uint32_t from) {
    for (uint32_t i = from; i < upload.chunks.size(); ++i)
      receiver_->Append(upload.header.subject.id, i, upload.chunks[i], [](const Status&) {});
    Settle();
  }
  SealedUpload Sealed(size_t bytes, uint64_t base = 3) {
    return MakeSealed(world_, device_, bytes, ModelVersion{base});
  }

  HopWorld world_;
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
  StepExecutor core_;
  FakeJudge judge_;
  Path folder_ = world_.folder / "staging";
  int kills_ = 0;
  std::unique_ptr<Spool> staging_;
  std::unique_ptr<Receiver> receiver_;
  std::vector<UploadId> custody_;
  std::map<UploadId, Code> refused_;
  std::vector<std::string> vetted_;
  DeviceId revoked_;
};

TEST_F(ReceiverTest, WholeUploadsAreCountedOnceAndCustodyFreesThem) {
  const SealedUpload upload = Sealed(10'000);
  EXPECT_EQ(Offer(upload)->next_chunk, 0u);
  Append(upload, 0);
  EXPECT_EQ(judge_.counted[upload.header.subject.id], 1);
  EXPECT_TRUE(custody_.empty()) << "its checkpoint is to come";
  core_.Post([&] { receiver_->OnCustody({upload.header.subject.id}); });
  Settle();
  EXPECT_EQ(custody_, std::vector{upload.header.subject.id});
  EXPECT_EQ(staging_->Account().bytes, 0u);
}

TEST_F(ReceiverTest, WhatARevokedMemberHasStagedIsFreedWithTheList) {
  ASSERT_TRUE(Offer(Sealed(10'000)));
  const Identity bad = world_.fleet.Issue(Role::kDevice, "device-bad");
  ASSERT_TRUE(Offer(MakeSealed(world_, bad, 10'000)));
  const auto revoke = [&](uint64_t number, const std::set<std::string>& serials) {
    const std::string list = RevocationsToPem(
        {}, Must(SignRevocations(world_.fleet.authority(), number, serials, world_.clock.Now(), Millis(86'400'000))));
    TrustAnchor anchor = world_.fleet.anchor();
    anchor.Revoke(Must(ReadRevocations(list, anchor)));
    core_.Post([this, anchor, list] { receiver_->DropRevoked(anchor, list); });
    Settle();
  };
  revoke(1, {});
  EXPECT_EQ(staging_->Account().devices, 2u);
  revoke(2, {Must(world_.fleet.anchor().Verify(bad.chain, world_.clock.Now())).serial});
  EXPECT_EQ(staging_->Account().devices, 1u);
  EXPECT_EQ(staging_->Account().of(UploadKind::kUpdate).in_flight, 1u);
}

// Small ones live in the index, large ones in files: both ways.
class AfterAKill : public ReceiverTest, public testing::WithParamInterface<size_t> {};

TEST_P(AfterAKill, NothingIsReadUntilItsSenderOffersItAgain) {
  const SealedUpload upload = Sealed(GetParam());
  const UploadId id = upload.header.subject.id;
  judge_.contribute = Code::kDiskFull;  // it is whole and could not be counted
  Offer(upload);
  Append(upload, 0);
  EXPECT_EQ(refused_[id], Code::kDiskFull);
  Kill();
  judge_.contribute.reset();
  Settle();
  EXPECT_EQ(judge_.counted[id], 0) << "a start counts nothing, so its time does not depend on what is staged";
  const Result<OfferAnswer> answer = Offer(upload);
  ASSERT_TRUE(answer && !answer->already);
  EXPECT_GE(answer->next_chunk + 1, upload.chunks.size()) << "at most one chunk travels twice";
  Append(upload, answer->next_chunk);
  EXPECT_EQ(judge_.counted[id], 1);
}

INSTANTIATE_TEST_SUITE_P(Sizes, AfterAKill, testing::Values(size_t{10'000}, size_t{200'000}));

TEST_F(ReceiverTest, WhatIsStagedForAVersionThatIsOverIsFreed) {
  const SealedUpload old = Sealed(10'000, 3);
  const SealedUpload present =
      MakeSealed(world_, world_.fleet.Issue(Role::kDevice, "device-2"), 10'000, ModelVersion{4});
  for (const SealedUpload* upload : {&old, &present}) Offer(*upload);
  receiver_->KeepOnly(old.header.subject.task, {ModelVersion{4}});
  Settle();
  EXPECT_EQ(staging_->Account().bytes, present.chunks[0].size());
}

TEST_F(ReceiverTest, AnUploadThatIsRefusedForGoodLeavesNothingStaged) {
  const SealedUpload upload = Sealed(10'000);
  Offer(upload);
  judge_.admit[upload.header.subject.id] = Code::kStaleVersion;
  EXPECT_EQ(Offer(upload).error().code, Code::kStaleVersion);
  EXPECT_EQ(judge_.refusals, std::vector{Code::kStaleVersion});
  EXPECT_EQ(staging_->Account().bytes, 0u);
}

TEST_F(ReceiverTest, AnUploadThatIsInTheSumIsNotSentAgain) {
  const SealedUpload upload = Sealed(10'000);
  judge_.in_sum.insert(upload.header.subject.id);
  const Result<OfferAnswer> answer = Offer(upload);
  ASSERT_TRUE(answer && !answer->already);
  EXPECT_EQ(answer->next_chunk, upload.chunks.size());
  EXPECT_TRUE(judge_.refusals.empty());
}

TEST_F(ReceiverTest, AnUploadThatIsCountedIsDeletedByItsSender) {
  const SealedUpload upload = Sealed(10'000);
  judge_.counted_before.insert(upload.header.subject.id);
  EXPECT_EQ(Offer(upload), OfferAnswer{.already = true});
  EXPECT_EQ(judge_.refusals, std::vector{Code::kDuplicate});
}

// A sender that is told "all is here" waits for a custody that would never come.
TEST_F(ReceiverTest, ABusyMachineIsToldAsBusy) {
  const SealedUpload upload = Sealed(10'000);
  judge_.admit[upload.header.subject.id] = Code::kBusy;
  EXPECT_EQ(Offer(upload).error().code, Code::kBusy);
  judge_.admit.clear();
  judge_.contribute = Code::kBusy;
  Offer(upload);
  Append(upload, 0);
  EXPECT_EQ(refused_[upload.header.subject.id], Code::kBusy);
  EXPECT_TRUE(judge_.refusals.empty());
}

TEST_F(ReceiverTest, WhatTheRevokedHadOnTheWayIsRefusedAndCounted) {
  const SealedUpload upload = Sealed(10'000);
  Offer(upload);
  ASSERT_EQ(vetted_.size(), 1u);
  revoked_ = device_.subject.id;
  EXPECT_EQ(Offer(upload).error().code, Code::kRevokedCertificate);
  EXPECT_EQ(judge_.refusals, std::vector{Code::kRevokedCertificate});
  EXPECT_EQ(staging_->Account().bytes, 0u) << "nothing of it is kept";
}

TEST_F(ReceiverTest, AFaultOfThisMachineIsNeverTheSenders) {
  const SealedUpload upload = Sealed(10'000);
  judge_.admit[upload.header.subject.id] = Code::kCorrupt;
  EXPECT_EQ(Offer(upload).error().code, Code::kIo);
  EXPECT_TRUE(IsTransient(Code::kIo));
  EXPECT_TRUE(judge_.refusals.empty());
  judge_.admit.clear();
  judge_.contribute = Code::kCorrupt;
  Offer(upload);
  Append(upload, 0);
  EXPECT_EQ(refused_[upload.header.subject.id], Code::kIo);
  judge_.contribute.reset();
  EXPECT_EQ(Offer(upload)->next_chunk, 0u) << "the staged copy may be what is damaged";
  Append(upload, 0);
  EXPECT_EQ(judge_.counted[upload.header.subject.id], 1);
}

TEST_F(ReceiverTest, ADamagedStagedFileIsSentAgain) {
  const SealedUpload upload = Sealed(200'000);
  const UploadId id = upload.header.subject.id;
  judge_.contribute = Code::kDiskFull;
  Offer(upload);
  Append(upload, 0);
  judge_.contribute.reset();
  const Path payload = folder_ / "payloads" / (id.hex() + ".payload");
  ASSERT_TRUE((*RealFileSystem().OpenForWrite(payload))->WriteAt(5'000, Bytes(7, 0xee)));
  EXPECT_EQ(Offer(upload)->next_chunk, upload.chunks.size());
  EXPECT_EQ(refused_[id], Code::kIo) << "passing, so it is offered again";
  EXPECT_EQ(judge_.counted[id], 0);
  EXPECT_EQ(Offer(upload)->next_chunk, 0u);
  Append(upload, 0);
  EXPECT_EQ(judge_.counted[id], 1);
}

}  // namespace
}  // namespace tributary::receiver_test
