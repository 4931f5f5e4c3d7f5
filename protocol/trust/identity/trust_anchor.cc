#include "protocol/trust/identity/trust_anchor.h"

#include <algorithm>
#include <mutex>
#include <optional>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/chain_cache.h"
#include "protocol/trust/identity/revocation_list.h"
#include "protocol/trust/identity/x509_parts.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

using StoreContext = Owned<X509_STORE_CTX, X509_STORE_CTX_free>;

void FreeStack(STACK_OF(X509) * stack) { sk_X509_free(stack); }  // the certificates belong to somebody else
using Stack = Owned<STACK_OF(X509), FreeStack>;

// "3 days", "2 h", "40 s": the largest unit is what the person on call needs.
std::string Span(int64_t seconds) {
  if (seconds >= 172'800) return std::to_string(seconds / 86'400) + " days";
  if (seconds >= 7'200) return std::to_string(seconds / 3'600) + " h";
  if (seconds >= 120) return std::to_string(seconds / 60) + " min";
  return std::to_string(seconds) + " s";
}

// Why X509_verify_cert said no, in our codes.
tl::unexpected<Error> Explain(X509_STORE_CTX* context, WallTime now) {
  const int error = X509_STORE_CTX_get_error(context);
  X509* culprit = X509_STORE_CTX_get_current_cert(context);
  ERR_clear_error();
  const std::string who = culprit ? "the certificate of '" + CommonNameOf(culprit) + "'" : "the certificate";
  const int64_t seconds = now.unix_seconds();
  if (culprit && error == X509_V_ERR_CERT_HAS_EXPIRED) {
    return Fail(Code::kExpiredCertificate, "{} expired {} ago", who,
                Span(seconds - UnixSeconds(X509_get0_notAfter(culprit))));
  }
  if (culprit && error == X509_V_ERR_CERT_NOT_YET_VALID) {
    return Fail(Code::kExpiredCertificate, "{} is not valid before {} from now", who,
                Span(UnixSeconds(X509_get0_notBefore(culprit)) - seconds));
  }
  return Fail(Code::kUnknownCertificate, "{} was not issued by this fleet's CA: {}", who,
              X509_verify_cert_error_string(error));
}

// A member's certificate signs messages, not certificates.
Status CheckLeaf(X509* leaf) {
  if (X509_check_ca(leaf) == 0 && (X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) != 0) return {};
  return Fail(Code::kUnknownCertificate, "the certificate of '{}' is not a member's", CommonNameOf(leaf));
}

// Keeps only the certificates alive that it was made from.
struct ParsedChain {
  std::vector<X509Handle> certificates;
  Stack above{sk_X509_new_null()};  // all but the first
};

Result<ParsedChain> Parse(std::span<const Bytes> chain) {
  if (chain.empty()) return Fail(Code::kMalformed, "an empty certificate chain");
  ParsedChain parsed;
  for (const Bytes& der : chain) {
    ASSIGN_OR_RETURN(X509Handle certificate, ParseCertificate(der));
    if (!parsed.certificates.empty()) {
      TRIBUTARY_CHECK(parsed.above && sk_X509_push(parsed.above.get(), certificate.get()) > 0);
    }
    parsed.certificates.push_back(std::move(certificate));
  }
  return parsed;
}

Status CheckLength(size_t length) {
  if (length <= limits::kCertificateChain) return {};
  return Fail(Code::kTooLarge, "a chain of {} certificates; the limit is {}", length, limits::kCertificateChain);
}

// `now`: absent to leave the dates aside. The context holds the chain that was built, from the first up to the CA.
Result<StoreContext> VerifyUpToCa(X509_STORE* store, const ParsedChain& chain, std::optional<WallTime> now) {
  StoreContext context(X509_STORE_CTX_new());
  TRIBUTARY_CHECK(context &&
                  X509_STORE_CTX_init(context.get(), store, chain.certificates.front().get(), chain.above.get()) == 1);
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  if (now) X509_VERIFY_PARAM_set_time(parameters, now->unix_seconds());
  X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_ANY);
  X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(limits::kCertificateChain));
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT | (now ? 0 : X509_V_FLAG_NO_CHECK_TIME));
  if (X509_verify_cert(context.get()) != 1) return Explain(context.get(), now.value_or(WallTime{}));
  return context;
}

// Reads the chain that OpenSSL built: leaf, intermediates, CA.
Result<VerifiedChain> Read(STACK_OF(X509) * chain) {
  X509* leaf = sk_X509_value(chain, 0);
  RETURN_IF_ERROR(CheckLeaf(leaf));
  VerifiedChain verified;
  VerifiedIdentity& identity = verified.identity;
  ASSIGN_OR_RETURN(identity.subject, SubjectOf(leaf));
  identity.public_key = RawPublicKey(X509_get0_pubkey(leaf));
  identity.serial = SerialOf(X509_get0_serialNumber(leaf));
  const int size = sk_X509_num(chain);
  for (int i = 0; i < size; ++i) {
    X509* certificate = sk_X509_value(chain, i);
    const WallTime not_before{UnixSeconds(X509_get0_notBefore(certificate)) * 1000};
    const WallTime not_after{UnixSeconds(X509_get0_notAfter(certificate)) * 1000};
    if (i == 0) identity.not_before = not_before;
    verified.not_before = i == 0 ? not_before : std::max(verified.not_before, not_before);
    identity.not_after = i == 0 ? not_after : std::min(identity.not_after, not_after);
    if (i + 1 == size) break;  // the CA's certificate stands for itself
    Bytes issuer = RawPublicKey(X509_get0_pubkey(sk_X509_value(chain, i + 1)));
    if (i == 0) {
      identity.issuer_public_key = std::move(issuer);
    } else {
      identity.issuers.push_back({std::move(issuer), SerialOf(X509_get0_serialNumber(certificate))});
    }
  }
  return verified;
}

Digest DigestOf(std::span<const Bytes> chain) {
  Sha256Stream stream;
  for (const Bytes& der : chain) {
    Bytes length;
    AppendU64(length, der.size());
    stream.Update(length);
    stream.Update(der);
  }
  return std::move(stream).Finish();
}

Status CheckRevocation(const RevocationList& list, const VerifiedIdentity& member) {
  const std::string& id = member.subject.id.text();
  if (list.Has(member.issuer_public_key, member.serial)) {
    return Fail(Code::kRevokedCertificate, "the certificate {} of {} is revoked", member.serial, id);
  }
  for (const CertificateName& issuer : member.issuers) {
    if (!list.Has(issuer.issuer_public_key, issuer.serial)) continue;
    return Fail(Code::kRevokedCertificate, "the issuer {} of the certificate of {} is revoked", issuer.serial, id);
  }
  return {};
}

}  // namespace

// OpenSSL locks inside a store, so that one serves all threads. The lock is for what changes, and held for a look-up
// only.
struct TrustAnchor::State {
  Certificate ca;
  Bytes ca_key;
  Bytes publication_root;
  Owned<X509_STORE, X509_STORE_free> store;
  std::mutex lock;
  ChainCache cache;
  std::shared_ptr<const RevocationList> revocations = std::make_shared<RevocationList>();

  std::shared_ptr<const RevocationList> Revocations() {
    const std::lock_guard held(lock);
    return revocations;
  }
};

Result<TrustAnchor> TrustAnchor::FromCertificate(const Certificate& ca, Bytes publication_root) {
  ASSIGN_OR_RETURN(const X509Handle certificate, ParseCertificate(ca.der));
  if (X509_check_ca(certificate.get()) != 1 ||
      X509_verify(certificate.get(), X509_get0_pubkey(certificate.get())) != 1) {
    ERR_clear_error();
    return Fail(Code::kMalformed, "the certificate of '{}' is not a self-signed CA's", CommonNameOf(certificate.get()));
  }
  auto state = std::make_shared<State>();
  state->ca = ca;
  state->ca_key = RawPublicKey(X509_get0_pubkey(certificate.get()));
  state->publication_root = std::move(publication_root);
  state->store.reset(X509_STORE_new());
  TRIBUTARY_CHECK(state->store && X509_STORE_add_cert(state->store.get(), certificate.get()) == 1);
  return TrustAnchor(std::move(state));
}

const Certificate& TrustAnchor::ca() const { return state_->ca; }
const Bytes& TrustAnchor::publication_root() const { return state_->publication_root; }

Result<VerifiedIdentity> TrustAnchor::Verify(std::span<const Bytes> chain, WallTime now) const {
  RETURN_IF_ERROR(CheckLength(chain.size()));
  const Digest digest = DigestOf(chain);
  std::shared_ptr<const VerifiedChain> verified;
  {
    const std::lock_guard held(state_->lock);
    verified = state_->cache.Find(digest);
  }
  // Outside of its time the long way says which certificate ended when. OpenSSL takes the last second for over.
  if (!verified || now < verified->not_before || now >= verified->identity.not_after) {
    ASSIGN_OR_RETURN(const ParsedChain parsed, Parse(chain));
    ASSIGN_OR_RETURN(const StoreContext context, VerifyUpToCa(state_->store.get(), parsed, now));
    ASSIGN_OR_RETURN(VerifiedChain read, Read(X509_STORE_CTX_get0_chain(context.get())));
    verified = std::make_shared<const VerifiedChain>(std::move(read));
    const std::lock_guard held(state_->lock);
    state_->cache.Keep(digest, verified);
  }
  RETURN_IF_ERROR(CheckRevocation(*state_->Revocations(), verified->identity));
  return verified->identity;
}

Status TrustAnchor::Standing(const VerifiedIdentity& member, WallTime now) const {
  if (now >= member.not_after) {
    return Fail(Code::kExpiredCertificate, "the certificate of {} expired {} ago", member.subject.id.text(),
                Span((now.unix_millis - member.not_after.unix_millis) / 1000));
  }
  return CheckRevocation(*state_->Revocations(), member);
}

void TrustAnchor::Revoke(const RevocationList& list) {
  const std::lock_guard held(state_->lock);
  auto merged = std::make_shared<RevocationList>(*state_->revocations);
  for (const RevocationList::Issuer& issuer : list.issuers) {
    const auto known = std::ranges::find(merged->issuers, issuer.public_key, &RevocationList::Issuer::public_key);
    if (known == merged->issuers.end()) {
      merged->issuers.push_back(issuer);
    } else if (issuer.number > known->number) {
      *known = issuer;
    }
  }
  state_->revocations = std::move(merged);
}

Result<Bytes> TrustAnchor::IssuerKey(std::span<const Certificate> chain) const {
  if (chain.empty()) return state_->ca_key;
  RETURN_IF_ERROR(CheckLength(chain.size()));
  std::vector<Bytes> ders;
  for (const Certificate& certificate : chain) ders.push_back(certificate.der);
  ASSIGN_OR_RETURN(const ParsedChain parsed, Parse(ders));
  RETURN_IF_ERROR(VerifyUpToCa(state_->store.get(), parsed, std::nullopt));
  X509* issuer = parsed.certificates.front().get();
  if (X509_check_ca(issuer) != 1 || (X509_get_key_usage(issuer) & KU_CRL_SIGN) == 0) {
    return Fail(Code::kUnknownCertificate, "the certificate of '{}' is not an issuer's", CommonNameOf(issuer));
  }
  return RawPublicKey(X509_get0_pubkey(issuer));
}

}  // namespace tributary
