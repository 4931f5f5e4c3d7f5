#include "protocol/trust/seal/key_stream.h"

#include <gtest/gtest.h>

#include "tests/support/must.h"

namespace tributary::key_stream_test {
namespace {

// Test case 13 of the GCM specification (McGrew and Viega 2005): with the zero key its H is the encryption of counter
// 0, and its tag that of counter 1.
TEST(KeyStreamTest, IsTheEncryptionOfTheCounters) {
  KeyStream stream(Bytes(KeyStream::kSeedBytes));
  Bytes bytes(32);
  stream.Fill(bytes);
  EXPECT_EQ(ToHex(bytes), "dc95c078a2408989ad48a21492842087530f8afbc74536b9a963b4f1c4cb738b");
}

TEST(KeyStreamTest, ThePartsDoNotMatter) {
  Bytes seed(KeyStream::kSeedBytes, 7), whole(10'000);
  KeyStream(seed).Fill(whole);
  KeyStream stream(seed);
  for (size_t at = 0, step = 1; at < whole.size(); at += step, step = step % 4'500 + 977) {
    Bytes part(std::min(step, whole.size() - at));
    stream.Fill(part);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(at)));
  }
}

}  // namespace
}  // namespace tributary::key_stream_test
