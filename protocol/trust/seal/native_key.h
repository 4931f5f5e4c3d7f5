#pragma once

#include <memory>
#include <utility>

#include "protocol/trust/seal/signing.h"

namespace tributary {

// Shared by signing.cc and certificate.cc only. The handle is an EVP_PKEY behind a void pointer, so that no header of
// this folder names a type of OpenSSL; its deleter is EVP_PKEY_free.
struct SigningKey::Native {
  explicit Native(std::shared_ptr<void> key) : handle(std::move(key)) {}
  std::shared_ptr<void> handle;
};

}  // namespace tributary
