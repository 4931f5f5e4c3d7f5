// Claims: what it costs to believe an upload, against the bare Ed25519 verifications that it cannot do without. A chain
// that is seen for the first time costs its two signatures (member by issuer, issuer by CA) and the reading of two
// certificates, whose keys OpenSSL 3.0 decodes as slowly as it verifies; after that it costs a hash, so that a whole
// envelope costs hardly more than its own signature.

#include <openssl/evp.h>

#include "bench/claim.h"
#include "bench/sealed_update.h"
#include "protocol/base/clock.h"
#include "protocol/envelope/envelope.h"
#include "protocol/trust/identity/certificate_authority.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary::bench {
namespace {

constexpr size_t kMembers = 300;
constexpr int kRounds = 15;
constexpr Millis kDay{24ll * 3600 * 1000};
// What is signed of a certificate here is about this long.
constexpr size_t kCertificateBody = 400;

struct Member {
  std::vector<Bytes> chain;
  SignedEnvelope envelope;
  Bytes envelope_bytes;
};

// Signs and verifies with OpenSSL alone; the key is set up once.
class BareEd25519 {
 public:
  explicit BareEd25519(size_t message_bytes) : message_(message_bytes, 0x5a), signature_(kSignatureBytes) {
    size_t size = signature_.size();
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    TRIBUTARY_CHECK(EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key_) == 1 &&
                    EVP_DigestSign(context, signature_.data(), &size, message_.data(), message_.size()) == 1);
    EVP_MD_CTX_free(context);
  }
  BareEd25519(const BareEd25519&) = delete;
  BareEd25519& operator=(const BareEd25519&) = delete;
  ~BareEd25519() { EVP_PKEY_free(key_); }

  void Verify(size_t times) const {
    for (size_t i = 0; i < times; ++i) {
      EVP_MD_CTX* context = EVP_MD_CTX_new();
      TRIBUTARY_CHECK(
          EVP_DigestVerifyInit(context, nullptr, nullptr, nullptr, key_) == 1 &&
          EVP_DigestVerify(context, signature_.data(), signature_.size(), message_.data(), message_.size()) == 1);
      EVP_MD_CTX_free(context);
    }
  }

 private:
  EVP_PKEY* key_ = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  Bytes message_, signature_;
};

Member MakeMember(const CertificateAuthority& issuer, size_t number, WallTime now) {
  const SigningKey key = SigningKey::Generate();
  UploadHeader header = Must(SealForBench(Bytes(1000), number, GenerateHpkeKeyPair().public_key)).header;
  const Subject subject{header.subject.device, Role::kDevice, "bench", Bytes(32, 1)};
  Member member;
  member.chain = {Must(issuer.Issue(subject, key.public_key(), now, kDay)).der, issuer.certificate().der};
  member.envelope_bytes = SignEnvelope(header, key, member.chain);
  member.envelope = Must(ParseEnvelope(member.envelope_bytes));
  return member;
}

void Measure() {
  const WallTime now = SystemClock().Now();
  const auto ca = CertificateAuthority::Create("bench", now, kDay);
  const auto issuer = Must(ca.CreateIssuer("issuer", now, kDay));
  std::vector<Member> members;
  for (size_t i = 0; i < kMembers; ++i) members.push_back(MakeMember(issuer, i, now));
  const auto fresh = [&] { return Must(TrustAnchor::FromCertificate(ca.certificate())); };
  const BareEd25519 certificate(kCertificateBody), header(members.front().envelope.header_bytes.size());

  TrustAnchor anchor = fresh();
  const auto verify_chains = [&] {
    for (const Member& member : members) Must(anchor.Verify(member.chain, now));
  };
  const auto compare = [&](const std::function<void()>& ours, const std::function<void()>& limit,
                           const std::function<void()>& prepare) {
    return Compare(Measured::kThreadTime, kRounds, kMembers, ours, limit, prepare);
  };
  const auto one_signature = [&] { header.Verify(kMembers); };
  const auto nothing = [] {};

  Rates rates = compare(
      verify_chains, [&] { certificate.Verify(2 * kMembers); }, [&] { anchor = fresh(); });
  Print({"chain of member and issuer, first time, of its two Ed25519 verifications", rates.ours, "1/s", rates.limit,
         0.3});
  rates = compare(verify_chains, one_signature, nothing);
  Print({"chain of member and issuer, known, of one Ed25519 verification", rates.ours, "1/s", rates.limit, 20});
  rates = compare(
      [&] {
        for (const Member& member : members) {
          const SignedEnvelope envelope = Must(ParseEnvelope(member.envelope_bytes));
          Must(VerifyEnvelope(envelope, anchor, now));
        }
      },
      one_signature, nothing);
  Print({"envelope read and verified, chain known, of one Ed25519 verification", rates.ours, "1/s", rates.limit, 0.75});
  rates = compare(
      [&] {
        for (const Member& member : members) Must(VerifyEnvelope(member.envelope, anchor, now));
      },
      [&] { header.Verify(3 * kMembers); }, [&] { anchor = fresh(); });
  Print({"envelope verified, chain new, of three Ed25519 verifications", rates.ours, "1/s", rates.limit, 0.35});
}

}  // namespace
}  // namespace tributary::bench

int main() { tributary::bench::Measure(); }
