#pragma once

#include <span>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/trust/identity/certificate_authority.h"
#include "protocol/trust/identity/trust_anchor.h"
#include "protocol/trust/seal/hpke.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {

inline constexpr const char* kCertificateFile = "cert.pem";

// A member's own identity, as it lies in its identity folder:
//   ca.pem       the fleet's CA certificate
//   root.json    the root metadata of the fleet's publication; absent: this member believes no publication
//   cert.pem     this member's certificate, then intermediates, if any
//   key.pem      its Ed25519 key, mode 0600
//   curve.key    its CURVE secret key, 32 bytes as hexadecimal, mode 0600
struct Identity {
  Subject subject;
  TrustAnchor anchor;
  std::vector<Bytes> chain;  // DER, leaf first
  SigningKey key;
  SecretBytes curve_secret;  // 32 bytes
};

// Reads and checks the folder: the chain verifies at `now`, the keys belong to the certificate. kMissingData names the
// file that is not there; kPermissions; the errors of TrustAnchor::Verify; kConflict when a key is not the
// certificate's.
Result<Identity> LoadIdentity(const Path& folder, WallTime now);
// The same, and its role must be `role`: kWrongRole.
Result<Identity> LoadIdentityAs(Role role, const Path& folder, WallTime now);
// X25519 pair for CURVE (libzmq's curve25519 keys are X25519 keys): 32 bytes each.
using CurveKeyPair = HpkeKeyPair;
inline CurveKeyPair GenerateCurveKeyPair() { return GenerateHpkeKeyPair(); }
Result<Bytes> CurvePublicKeyOf(const SecretBytes& secret);

// Makes keys, issues a certificate and writes the folder, with root.json when that is not empty.
// `subject.curve_public_key` is filled in. kAlreadyExists when the folder holds an identity.
Status IssueIdentity(const CertificateAuthority& authority, Subject subject, const Path& folder, WallTime now,
                     Millis lifetime, ByteView publication_root = {});

// For a member that makes its keys itself and asks for a certificate. First everything but the certificate: keys that are there
// already stay, so that an interrupted attempt goes on with the same.
struct MemberKeys {
  SigningKey key;
  CurveKeyPair curve;
};
Result<MemberKeys> PrepareIdentity(const Path& folder, const Certificate& ca, ByteView publication_root);
// Then the certificate, or a newer one: leaf first, for the folder's keys. All or nothing. The errors of LoadIdentity;
// kConflict when it is for other keys, or for another id or role than the certificate that is there.
Status SaveCertificate(FileSystem& files, const Path& folder, std::span<const Bytes> chain, WallTime now);

// ---- The folder of a CA or of an issuer:
//   ca.pem                   the fleet's CA certificate
//   ca.key                   its key, mode 0600: in the CA's own folder only, which may be offline
//   issuer.pem, issuer.key   an issuer's certificate by that CA, and its key, mode 0600: in an issuer's folder only
//   root.json                the publication's root metadata, which new members are given; absent: none

// Reads either kind. kMissingData names the file that is not there; kPermissions; kMalformed.
Result<CertificateAuthority> LoadAuthority(const Path& folder);
// Empty when the folder, this or a member's, has none.
Result<Bytes> ReadPublicationRoot(const Path& folder);
// Writes a CA's or an issuer's folder. kAlreadyExists: it holds a key.
Status SaveAuthority(const CertificateAuthority& authority, const Path& folder, ByteView publication_root);

}  // namespace tributary
