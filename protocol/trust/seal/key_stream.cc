#include "protocol/trust/seal/key_stream.h"

#include <algorithm>
#include <array>

#include <openssl/evp.h>

#include "protocol/base/result.h"
#include "protocol/trust/seal/native_key.h"

namespace tributary {

struct KeyStream::State {
  Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> cipher{EVP_CIPHER_CTX_new()};
};

KeyStream::KeyStream(ByteView seed) : state_(std::make_unique<State>()) {
  TRIBUTARY_CHECK(seed.size() == kSeedBytes) << seed.size();
  const std::array<uint8_t, 16> counter{};
  TRIBUTARY_CHECK(EVP_EncryptInit_ex(state_->cipher.get(), EVP_aes_256_ctr(), nullptr, seed.data(), counter.data()) ==
                  1);
}
KeyStream::KeyStream(KeyStream&&) noexcept = default;
KeyStream& KeyStream::operator=(KeyStream&&) noexcept = default;
KeyStream::~KeyStream() = default;

void KeyStream::Fill(MutableByteView out) {
  static constexpr std::array<uint8_t, 4096> kZeros{};
  while (!out.empty()) {
    const size_t count = std::min(out.size(), kZeros.size());
    int written = 0;
    TRIBUTARY_CHECK(
        EVP_EncryptUpdate(state_->cipher.get(), out.data(), &written, kZeros.data(), static_cast<int>(count)) == 1 &&
        static_cast<size_t>(written) == count);
    out = out.subspan(count);
  }
}

}  // namespace tributary
