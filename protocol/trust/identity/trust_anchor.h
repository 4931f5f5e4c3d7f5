#pragma once

#include <memory>
#include <span>
#include <utility>

#include "protocol/trust/identity/certificate.h"

namespace tributary {

struct RevocationList;

// The beliefs of a member: the fleet's CA, the root of its publication, and who is revoked. A handle: copies share
// all of it, so that a list that one of them is given holds for all. Thread safe.
class TrustAnchor {
 public:
  // `publication_root`: the root metadata that a publication is verified from (protocol/catalogue); empty when this
  // member was given none. kMalformed: not a CA certificate with an Ed25519 key.
  static Result<TrustAnchor> FromCertificate(const Certificate& ca, Bytes publication_root = {});

  const Certificate& ca() const;
  const Bytes& publication_root() const;

  // `chain` is leaf first; intermediates follow, the anchor itself is not sent. At `now`. Errors: kMalformed (not
  // certificates), kTooLarge (chain or certificate over its limit, before parsing), kUnknownCertificate (other issuer,
  // or not permitted to issue), kExpiredCertificate (also: not yet valid; the message says which and by how much),
  // kRevokedCertificate (any of the chain). A chain that verified is remembered, within bounds; dates and revocation
  // are looked at every time.
  Result<VerifiedIdentity> Verify(std::span<const Bytes> chain, WallTime now) const;
  // Whether somebody who verified before is still a member: kExpiredCertificate, kRevokedCertificate. For sessions.
  Status Standing(const VerifiedIdentity& member, WallTime now) const;

  // From now on these are believed no more. Of each issuer the list with the greatest number holds, in whatever order
  // they come.
  void Revoke(const RevocationList& list);
  // The Ed25519 key of who signs revocation lists: of the CA for an empty chain, else of the issuer at its front,
  // verified up to the CA but for the dates. The errors of Verify.
  Result<Bytes> IssuerKey(std::span<const Certificate> chain) const;

 private:
  struct State;
  explicit TrustAnchor(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace tributary
