#pragma once

#include <memory>
#include <string>

#include "protocol/base/file.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {

// Opens and makes keys for the person at the keyboard. A passphrase comes from a file (mode 0600; one line), or is
// asked for on the terminal without showing it; where there is neither, what needs one fails and says so. Value type.
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

}  // namespace tributary
