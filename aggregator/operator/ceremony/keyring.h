#pragma once

#include <memory>
#include <string>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {

// Opens and makes keys for the person at the keyboard. A passphrase comes from a file (mode 0600; one line), or is
// asked for on the terminal without showing it; where there is neither, a call that needs one fails and says so. Value
// type.
class KeyHolder {
 public:
  explicit KeyHolder(Path passphrase_file = {}) : passphrase_file_(std::move(passphrase_file)) {}

  // `where` as OpenSigner takes it. Asks only when the key wants a passphrase or PIN. Errors: those of OpenSigner.
  Result<std::unique_ptr<Signer>> Open(const std::string& where) const;
  // A new key file. `protect`: with a passphrase, asked for twice; one from the file always protects.
  Result<std::unique_ptr<Signer>> Create(const Path& path, bool protect) const;

 private:
  Result<SecretBytes> FromFile() const;
  Path passphrase_file_;
};

// A line from the terminal, not shown. kUnauthorized: there is no terminal to ask.
Result<SecretBytes> AskSecret(const std::string& question);

// The keys that one command works with. Every signer that it hands out lives as long as the ring. Not thread safe.
class Keyring {
 public:
  // `new_keys`: the folder for new keys. `protect`: with a passphrase.
  Keyring(KeyHolder holder, Path new_keys, bool protect)
      : holder_(std::move(holder)), new_keys_(std::move(new_keys)), protect_(protect) {}

  // All errors are KeyHolder's.
  Result<Signer*> Open(const std::string& where);
  // A new key, in the folder for new keys.
  Result<Signer*> Create(const std::string& name);
  // The key at that place, or a new one of that name.
  Result<Signer*> OpenOrCreate(const std::string& where, const std::string& name) {
    return where.empty() ? Create(name) : Open(where);
  }
  // A public key: as 64 hexadecimal digits, or of the key at that place (which then is in `opened`).
  Result<Bytes> PublicKey(const std::string& named, std::vector<const Signer*>& opened);

 private:
  const KeyHolder holder_;
  const Path new_keys_;
  const bool protect_;
  std::vector<std::unique_ptr<Signer>> signers_;
};

}  // namespace tributary
