#include "protocol/trust/seal/digest.h"

#include <rapidcheck.h>

#include <gtest/gtest.h>

namespace tributary::digest_test {
namespace {

// FIPS 180-4 examples (NIST, "SHA256.pdf") and the empty message.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(Sha256({}).hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256(AsBytes("abc")).hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256(AsBytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")).hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, InPartsIsTheSameAsAtOnce) {
  EXPECT_TRUE(rc::check([](const std::vector<Bytes>& parts) {
    Sha256Stream stream;
    Bytes whole;
    for (const auto& part : parts) {
      stream.Update(part);
      Append(whole, part);
    }
    RC_ASSERT(std::move(stream).Finish() == Sha256(whole));
  }));
}

}  // namespace
}  // namespace tributary::digest_test
