#pragma once

#include <memory>
#include <string>
#include <vector>

#include "aggregator/operator/ceremony/key_holder.h"
#include "aggregator/operator/ceremony/root_options.h"

namespace tributary {

// The keys that one command works with: every signer that is handed out lives as long as the ring. Borrows `options`.
class Keyring {
 public:
  explicit Keyring(const RootOptions& options) : options_(options), holder_(options.passphrase_file) {}

  // Errors of all: KeyHolder's.
  Result<Signer*> Open(const std::string& where);
  // A new key, in the options' folder.
  Result<Signer*> Create(const std::string& name);
  // The key at that place, or a new one of that name.
  Result<Signer*> OpenOrCreate(const std::string& where, const std::string& name) {
    return where.empty() ? Create(name) : Open(where);
  }
  // A public key: as 64 hexadecimal digits, or of the key at that place (which then is in `opened`).
  Result<Bytes> PublicKey(const std::string& named, std::vector<const Signer*>& opened);

 private:
  const RootOptions& options_;
  KeyHolder holder_;
  std::vector<std::unique_ptr<Signer>> signers_;
};

}  // namespace tributary
