#pragma once

#include <memory>
#include <string>

#include "protocol/base/bytes.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"
#include "protocol/trust/seal/secret.h"

namespace tributary {

// Something that signs with one Ed25519 key (RFC 8032): a key in memory, or one that a PKCS#11 token keeps to itself.
// Resource type. Sign may be slow, and may fail when the token is gone.
class Signer {
 public:
  virtual ~Signer() = default;
  virtual const Bytes& public_key() const = 0;  // 32 bytes
  // 64 bytes. kUnreachable: the token does not answer; kUnauthorized: it wants another PIN.
  virtual Result<Bytes> Sign(ByteView message) const = 0;
};

// The key in a PEM file of mode 0600 (PKCS#8, encrypted or not). `passphrase`: of an encrypted file; empty when there is
// none. kNotFound, kPermissions (others may read the file), kUnauthorized (the passphrase is wrong or missing),
// kMalformed (not an Ed25519 key).
Result<std::unique_ptr<Signer>> OpenSignerFile(const Path& path, const SecretBytes& passphrase);

// A new key in a file of mode 0600. With a passphrase: PKCS#8 encrypted with AES-256 and scrypt. kAlreadyExists.
Result<std::unique_ptr<Signer>> CreateSignerFile(const Path& path, const SecretBytes& passphrase);

}  // namespace tributary
