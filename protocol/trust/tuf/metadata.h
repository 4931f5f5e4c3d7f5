#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/trust/seal/signing.h"
#include "protocol/trust/tuf/roles.h"

// The files of a TUF 1.0 repository: their form, and who has signed them. trusted_metadata.h says what they mean
// together.
namespace tributary::tuf {

// SHA-256 of the key object's canonical form, hexadecimal.
std::string KeyIdOf(const Key& key);
// Adds the key to both; returns its id.
std::string AddKey(ByteView public_key, Keys& keys, RoleKeys& role);

// A metadata file: the body, the very text that is signed (with fields that this build does not know), and by whom.
template <class Body>
struct Metadata {
  Body body;
  std::string signed_text;  // canonical JSON
  std::vector<Signature> signatures;
};

// Body is Root, Timestamp, Snapshot or Targets. MakeMetadata has no signatures yet.
template <class Body>
Metadata<Body> MakeMetadata(Body body);
// Believes nothing: form and limits only. kTooLarge: over Body::kMostBytes; kMalformed; kVersionUnsupported: a
// spec_version other than 1.0.x.
template <class Body>
Result<Metadata<Body>> ParseMetadata(ByteView file);
// The file's bytes: canonical JSON as a whole.
template <class Body>
Bytes EncodeMetadata(const Metadata<Body>& metadata);

// Signs `signed_text`; an earlier signature of that key is replaced. The errors of Signer::Sign.
Status AddSignature(std::string_view signed_text, const Signer& signer, std::vector<Signature>& signatures);
template <class Body>
Status AddSignature(Metadata<Body>& metadata, const Signer& signer) {
  return AddSignature(metadata.signed_text, signer, metadata.signatures);
}

// The ids of `role`'s keys that have signed, each public key counted once however many ids it has.
std::set<std::string> SignersOf(std::string_view signed_text, std::span<const Signature> signatures, const Keys& keys,
                                const RoleKeys& role);
// kBadSignature: fewer than the role's threshold; the message says how many.
Status VerifyThreshold(std::string_view role_name, std::string_view signed_text, std::span<const Signature> signatures,
                       const Keys& keys, const RoleKeys& role);

}  // namespace tributary::tuf
