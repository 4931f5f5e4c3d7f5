#pragma once

#include <memory>
#include <string>

#include "protocol/trust/seal/signing.h"

namespace tributary {

// Where a key is, as people write it: a path of a PEM file of mode 0600 (PKCS#8, encrypted or not), or a PKCS#11 URI
// (RFC 7512), for instance pkcs11:token=tributary;object=root-1?pin-source=file:/etc/tributary/pin.
//
// `passphrase`: of an encrypted file, or the PIN of a token whose URI names none; empty when there is none. Errors:
// kNotFound, kPermissions (others may read the file), kUnauthorized (passphrase or PIN is wrong or missing; says
// which), kMalformed (not an Ed25519 key), kNotSupported (the module cannot sign with Ed25519).
Result<std::unique_ptr<Signer>> OpenSigner(const std::string& where, const SecretBytes& passphrase);

}  // namespace tributary
