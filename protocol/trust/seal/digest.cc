#include "protocol/trust/seal/digest.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "protocol/base/result.h"
#include "protocol/trust/seal/native_key.h"

namespace tributary {

Digest Sha256(ByteView bytes) {
  Digest digest;
  TRIBUTARY_CHECK(SHA256(bytes.data(), bytes.size(), digest.mutable_view().data()) != nullptr);
  return digest;
}

struct Sha256Stream::State {
  Owned<EVP_MD_CTX, EVP_MD_CTX_free> context{EVP_MD_CTX_new()};
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  TRIBUTARY_CHECK(EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1);
}
Sha256Stream::Sha256Stream(Sha256Stream&&) noexcept = default;
Sha256Stream& Sha256Stream::operator=(Sha256Stream&&) noexcept = default;
Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::Update(ByteView bytes) {
  TRIBUTARY_CHECK(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

Digest Sha256Stream::Finish() && {
  Digest digest;
  TRIBUTARY_CHECK(EVP_DigestFinal_ex(state_->context.get(), digest.mutable_view().data(), nullptr) == 1);
  return digest;
}

}  // namespace tributary
