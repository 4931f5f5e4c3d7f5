#pragma once

#include <memory>

#include "protocol/base/bytes.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"
#include "protocol/trust/seal/secret.h"

namespace tributary {

inline constexpr size_t kSignatureBytes = 64;
inline constexpr size_t kSigningPublicKeyBytes = 32;

// An Ed25519 key (RFC 8032) that signs. Resource type; Sign is thread safe.
class SigningKey {
 public:
  static SigningKey Generate();
  // PEM, PKCS#8. kMalformed: not an Ed25519 private key.
  static Result<SigningKey> FromPem(const SecretBytes& pem);
  // The same for a PEM that may be encrypted. kUnauthorized: it is, and the passphrase is wrong or empty.
  static Result<SigningKey> FromPem(const SecretBytes& pem, const SecretBytes& passphrase);
  SigningKey(SigningKey&&) noexcept = default;
  SigningKey& operator=(SigningKey&&) noexcept = default;

  SecretBytes ToPem() const;
  // Encrypted with AES-256-CBC under a key that scrypt makes of the passphrase (PKCS#5, RFC 8018 and RFC 7914), which
  // takes 0.2 s and 16 MiB on purpose.
  SecretBytes ToPem(const SecretBytes& passphrase) const;
  Bytes public_key() const;  // 32 bytes
  Bytes Sign(ByteView message) const;

  void* native() const { return native_.get(); }  // its EVP_PKEY, for signing.cc and identity/x509_parts.cc

 private:
  explicit SigningKey(std::shared_ptr<void> native) : native_(std::move(native)) {}
  std::shared_ptr<void> native_;
};

// kBadSignature when it does not verify; kInvalidArgument for a key that is not 32 bytes.
Status VerifySignature(ByteView public_key, ByteView message, ByteView signature);

// Secret files: mode 0600, owned by this user. Reading one that others may read is refused (kPermissions).
Result<SecretBytes> ReadSecretFile(const Path& path);
Status WriteSecretFile(const Path& path, const SecretBytes& secret);

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
