// Claim: the aggregator enrols members (a sealed request opened, the token found, a certificate issued and verified,
// all of it durable in its database) at 0.2 of the speed of the bare crypto and the one sync that this needs: an HPKE
// opening, two Ed25519 signatures verified (the request's, the certificate's), one made, and 16 KiB written to a file
// and fdatasync'ed. Every member has a key of its own; requests are sealed beforehand.

#include "aggregator/enrol/enrolment_office.h"
#include "bench/claim.h"
#include "bench/scratch_folder.h"
#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/seal/digest.h"
#include "protocol/trust/seal/opener.h"

namespace tributary::bench {
namespace {

constexpr size_t kMembers = 100;  // per turn
constexpr int kTurns = 9;
constexpr Millis kYear = std::chrono::hours(24 * 365);
// What a transaction of an enrolment appends to the database's log: a page of 4 KiB for each table and index it
// changes, most of them once per turn.
constexpr size_t kSyncedBytes = 16 * 1024;

class Fleet {
 public:
  explicit Fleet(const Path& folder) {
    Must(RealFileSystem().CreateFolders(folder));
    const WallTime now = clock_.Now();
    const auto ca = CertificateAuthority::Create("bench fleet", now, kYear);
    Must(SaveAuthority(Must(ca.CreateIssuer("bench issuer", now, kYear)), folder / "issuer", {}));
    keys_.emplace(Must(SealingKeys::Open(RealFileSystem(), folder, now)));
    enrolment_ = Must(EnrolmentOffice::Open({.folder = folder,
                                             .files = RealFileSystem(),
                                             .clock = clock_,
                                             .random = random_,
                                             .anchor = Must(TrustAnchor::FromCertificate(ca.certificate())),
                                             .self = Must(DeviceId::Parse("aggregator")),
                                             .sealing_keys = *keys_,
                                             .issuer_dir = folder / "issuer",
                                             .ca_revocations = {},
                                             .options = {.new_requests = {1e9, 1e9}}}));
    EnrolmentTokenRecord token;
    token.id = "bench";
    token.device_class = "phone";
    token.uses = 1'000'000;
    token.expires = now + kYear;
    secret_ = Must(enrolment_->operators().CreateToken(token)).secret;
  }

  // New members who ask.
  void Prepare() {
    requests_.clear();
    for (size_t i = 0; i < kMembers; ++i) {
      EnrolmentRequest request;
      request.certificate_request =
          Must(MakeCertificateRequest(SigningKey::Generate(), std::nullopt, GenerateHpkeKeyPair().public_key));
      request.created = clock_.Now();
      request.authority = SecretBytes::CopyOf(AsBytes(secret_));
      requests_.push_back(Must(SealEnrolment(request, {kDefaultAead, keys_->current().public_key})));
    }
  }

  void Enrol() {
    for (const Bytes& request : requests_) {
      const EnrolmentAnswer answer = enrolment_->applicants().Decide(Sha256(request), request);
      TRIBUTARY_CHECK(answer.kind == EnrolmentAnswer::Kind::kIssued) << answer.refusal.sentence;
    }
  }

  const HpkeKeyPair& key() const { return keys_->current(); }
  const Bytes& example() const { return requests_.front(); }

 private:
  SystemClock clock_;
  SystemRandom random_;
  std::optional<SealingKeys> keys_;
  std::unique_ptr<EnrolmentOffice> enrolment_;
  std::string secret_;
  std::vector<Bytes> requests_;
};

// The same steps on bytes of the same sizes, and nothing around them.
class BareSteps {
 public:
  BareSteps(const HpkeKeyPair& key, const Bytes& request, const Path& file)
      : key_(key), sealed_(Must(DecodeSealedEnrolment(request))), file_(Must(RealFileSystem().OpenForWrite(file))) {}

  void Run() {
    const ByteView sealed(sealed_.sealed);
    for (size_t i = 0; i < kMembers; ++i) {
      HpkeOpener opener = Must(HpkeOpener::FromSender(sealed_.aead, key_, sealed.first(32), EnrolmentInfo()));
      const Bytes opened = Must(opener.Open({}, sealed.subspan(32)));
      const Bytes signature = signer_.Sign(opened);
      for (int check = 0; check < 2; ++check) Must(VerifySignature(public_key_, opened, signature));
      Must(file_->WriteAt(written_, synced_));
      Must(file_->Sync());
      written_ = (written_ + synced_.size()) % (4 * limits::kMiB);  // a log is written over and over
    }
  }

 private:
  const HpkeKeyPair& key_;
  const SealedEnrolment sealed_;
  const SigningKey signer_ = SigningKey::Generate();
  const Bytes public_key_ = signer_.public_key();
  const Bytes synced_ = Bytes(kSyncedBytes, 0x5a);
  const std::unique_ptr<WritableFile> file_;
  uint64_t written_ = 0;
};

void Measure() {
  const ScratchFolder scratch;
  Fleet fleet(scratch / "data");
  fleet.Prepare();
  BareSteps bare(fleet.key(), fleet.example(), scratch / "bare");
  const Rates rates = Compare(
      Measured::kWallTime, kTurns, kMembers, [&] { fleet.Enrol(); }, [&] { bare.Run(); }, [&] { fleet.Prepare(); });
  Print({.claim = "enrolments with a token, each durable on its own",
         .value = rates.ours,
         .unit = "enrolments/s",
         .limit = rates.limit,
         .target = 0.2});
}

}  // namespace
}  // namespace tributary::bench

int main() {
  using namespace tributary;
  bench::Must(StartLog("error", {}));
  bench::Measure();
}
