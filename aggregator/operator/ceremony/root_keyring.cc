#include "aggregator/operator/ceremony/root_keyring.h"

#include "protocol/trust/seal/signing.h"

namespace tributary {

Result<Signer*> Keyring::Open(const std::string& where) {
  ASSIGN_OR_RETURN(auto signer, holder_.Open(where));
  return signers_.emplace_back(std::move(signer)).get();
}

Result<Signer*> Keyring::Create(const std::string& name) {
  ASSIGN_OR_RETURN(auto signer, holder_.Create(options_.keys / (name + ".pem"), options_.protect));
  return signers_.emplace_back(std::move(signer)).get();
}

Result<Bytes> Keyring::PublicKey(const std::string& named, std::vector<const Signer*>& opened) {
  if (auto bytes = FromHex(named); bytes && bytes->size() == kSigningPublicKeyBytes) return std::move(*bytes);
  ASSIGN_OR_RETURN(Signer* const signer, Open(named));
  opened.push_back(signer);
  return signer->public_key();
}

}  // namespace tributary
