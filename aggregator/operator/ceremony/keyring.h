#pragma once

#include <memory>
#include <string>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {

// The keys that one command works with, opened and made for the person at the keyboard. A passphrase comes from a file
// (mode 0600; one line), or is asked for on the terminal without showing it; where there is neither, a call that needs
// one fails and says so. Every signer that it hands out lives as long as the ring. Not thread safe.
class Keyring {
 public:
  // `new_keys`: the folder for new keys. `protect`: with a passphrase; one from the file always protects.
  Keyring(Path passphrase_file, Path new_keys, bool protect)
      : passphrase_file_(std::move(passphrase_file)), new_keys_(std::move(new_keys)), protect_(protect) {}

  // `where` as OpenSigner takes it. Asks only when the key wants a passphrase or PIN. Errors: those of OpenSigner.
  Result<Signer*> Open(const std::string& where);
  // A new key file in the folder for new keys. The passphrase is asked for twice.
  Result<Signer*> Create(const Path& file);
  // The key at that place, or a new one of that name.
  Result<Signer*> OpenOrCreate(const std::string& where, const std::string& name) {
    return where.empty() ? Create(name + ".pem") : Open(where);
  }
  // A public key: as 64 hexadecimal digits, or of the key at that place (which then is in `opened`).
  Result<Bytes> PublicKey(const std::string& named, std::vector<const Signer*>& opened);

 private:
  Result<SecretBytes> FromFile() const;

  const Path passphrase_file_;
  const Path new_keys_;
  const bool protect_;
  std::vector<std::unique_ptr<Signer>> signers_;
};

}  // namespace tributary
