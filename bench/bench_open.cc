// Claim: open + check + accumulate of a sealed update reach 0.5 of the speed at which OpenSSL's AES-256-GCM alone
// decrypts the same bytes, on one core.

#include <openssl/evp.h>

#include "aggregator/sum/weighted_sum.h"
#include "aggregator/intake/open_update.h"
#include "bench/claim.h"
#include "bench/sealed_update.h"

namespace tributary::bench {
namespace {

constexpr int kTagBytes = limits::kSealTagBytes;
constexpr uint8_t kKey[32] = {1}, kNonce[12] = {2};

// Chunks as large as the upload's, encrypted under one plain key.
std::vector<Bytes> EncryptPlainly(const std::vector<Bytes>& like) {
  std::vector<Bytes> encrypted;
  EVP_CIPHER_CTX* cipher = EVP_CIPHER_CTX_new();
  int length = 0;
  for (const Bytes& chunk : like) {
    Bytes out(chunk.size());
    const int size = static_cast<int>(chunk.size()) - kTagBytes;
    TRIBUTARY_CHECK(EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), nullptr, kKey, kNonce) == 1 &&
                    EVP_EncryptUpdate(cipher, out.data(), &length, chunk.data(), size) == 1 &&
                    EVP_EncryptFinal_ex(cipher, out.data() + size, &length) == 1 &&
                    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, kTagBytes, out.data() + size) == 1);
    encrypted.push_back(std::move(out));
  }
  EVP_CIPHER_CTX_free(cipher);
  return encrypted;
}

// The limit: every chunk into the same buffer, which stays in cache.
void DecryptPlainly(EVP_CIPHER_CTX* cipher, std::vector<Bytes>& chunks, Bytes& buffer) {
  int length = 0;
  for (Bytes& chunk : chunks) {
    const int size = static_cast<int>(chunk.size()) - kTagBytes;
    TRIBUTARY_CHECK(EVP_DecryptInit_ex(cipher, nullptr, nullptr, nullptr, kNonce) == 1 &&
                    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, kTagBytes, chunk.data() + size) == 1 &&
                    EVP_DecryptUpdate(cipher, buffer.data(), &length, chunk.data(), size) == 1 &&
                    EVP_DecryptFinal_ex(cipher, buffer.data() + length, &length) == 1);
  }
}

void Measure(uint64_t parameters) {
  constexpr uint64_t kMaxWeight = 1 << 22;
  const HpkeKeyPair key = GenerateHpkeKeyPair();
  const SealedUpload upload = Must(SealUpdateForBench(parameters, 1, key.public_key));
  std::vector<Bytes> plain = EncryptPlainly(upload.chunks);
  EVP_CIPHER_CTX* cipher = EVP_CIPHER_CTX_new();
  TRIBUTARY_CHECK(EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), nullptr, kKey, kNonce) == 1);
  Bytes buffer(limits::kDefaultChunkBytes);

  TaskRecord task;
  task.norm_bound = static_cast<double>(parameters);
  task.table.tensors = {{"weight", {static_cast<int64_t>(parameters)}, 0, parameters}};
  const UpdateLayout layout{SharedTensors(task)};
  const UpdateBounds bounds{task, layout, {}};
  WeightedSum sum(parameters, Must(FixedPointScale::For(1, kMaxWeight)), 1, kMaxWeight);
  UpdateReader reader;
  // The reader is given its chunks, as what reads them from the spool gives them.
  std::vector<std::vector<Bytes>> arrived;
  const auto repeats = static_cast<size_t>(std::max<uint64_t>(1, 10'000'000 / parameters));
  const auto bytes = static_cast<double>(repeats) * static_cast<double>(upload.header.subject.plaintext_size);
  const Rates rates = Compare(
      Measured::kThreadTime, 15, bytes / 1e9,
      [&] {
        for (size_t i = 0; i < repeats; ++i) {
          Must(reader.AddTo(sum, upload.header, key, bounds,
                            [&](uint32_t index) -> Result<Bytes> { return std::move(arrived[i][index]); }));
        }
      },
      [&] {
        for (size_t i = 0; i < repeats; ++i) DecryptPlainly(cipher, plain, buffer);
      },
      [&] { arrived.assign(repeats, upload.chunks); });
  EVP_CIPHER_CTX_free(cipher);
  Print({"open, check, accumulate " + std::to_string(parameters) + " parameters, of AES-256-GCM", rates.ours, "GB/s",
         rates.limit, 0.5});
}

}  // namespace
}  // namespace tributary::bench

int main() {
  for (const uint64_t parameters : tributary::bench::kParameterCounts) tributary::bench::Measure(parameters);
}
