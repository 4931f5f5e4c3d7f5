#include "protocol/trust/seal/signer.h"

#include <utility>

#include "protocol/trust/seal/signing.h"

namespace tributary {
namespace {

class FileSigner final : public Signer {
 public:
  explicit FileSigner(SigningKey key) : key_(std::move(key)), public_key_(key_.public_key()) {}
  const Bytes& public_key() const override { return public_key_; }
  Result<Bytes> Sign(ByteView message) const override { return key_.Sign(message); }

 private:
  SigningKey key_;
  Bytes public_key_;
};

}  // namespace

Result<std::unique_ptr<Signer>> OpenSignerFile(const Path& path, const SecretBytes& passphrase) {
  ASSIGN_OR_RETURN(const SecretBytes pem, ReadSecretFile(path));
  auto key = SigningKey::FromPem(pem, passphrase);
  if (!key) return InFile(std::move(key).error(), path);
  return std::make_unique<FileSigner>(std::move(*key));
}

Result<std::unique_ptr<Signer>> CreateSignerFile(const Path& path, const SecretBytes& passphrase) {
  if (const auto size = RealFileSystem().Size(path); size) {
    return Fail(Code::kAlreadyExists, path.string() + " exists; a key is never written over");
  } else if (size.error().code != Code::kNotFound) {
    return Fail(size.error());
  }
  SigningKey key = SigningKey::Generate();
  RETURN_IF_ERROR(WriteSecretFile(path, passphrase.empty() ? key.ToPem() : key.ToPem(passphrase)));
  return std::make_unique<FileSigner>(std::move(key));
}

}  // namespace tributary
