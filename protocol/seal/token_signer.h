#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "protocol/seal/signer.h"

// A key that a PKCS#11 token keeps to itself. Private to this folder; signer.h says what the errors mean.
namespace tributary {

inline constexpr std::string_view kTokenScheme = "pkcs11:";

Result<std::unique_ptr<Signer>> OpenTokenSigner(const std::string& uri, const SecretBytes& pin);

}  // namespace tributary
