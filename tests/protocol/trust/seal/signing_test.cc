#include "protocol/trust/seal/signing.h"

#include <rapidcheck.h>
#include <sys/stat.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace tributary::signing_test {
namespace {

Bytes Hex(std::string_view text) { return *FromHex(text); }

// RFC 8410: the 16 bytes before an Ed25519 seed in PKCS#8.
SigningKey FromSeed(std::string_view seed) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  Bytes der = Hex("302e020100300506032b657004220420");
  Append(der, Hex(seed));  // 48 bytes in all, so that base64 needs no padding
  std::string pem = "-----BEGIN PRIVATE KEY-----\n";
  for (size_t i = 0; i < der.size(); i += 3) {
    const unsigned group = (der[i] << 16u) | (der[i + 1] << 8u) | der[i + 2];
    for (int shift = 18; shift >= 0; shift -= 6) pem += kAlphabet[(group >> shift) & 63u];
  }
  return std::move(*SigningKey::FromPem(SecretBytes::CopyOf(AsBytes(pem + "\n-----END PRIVATE KEY-----\n"))));
}

struct KnownAnswer {
  std::string_view seed, public_key, message, signature;
};

// RFC 8032 section 7.1, tests 1 to 3.
constexpr KnownAnswer kKnownAnswers[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
     "551"
     "41438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb"
     "00d"
     "291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc"
     "027"
     "beceea1ec40a"},
};

TEST(SigningKey, KnownAnswers) {
  for (const auto& known : kKnownAnswers) {
    const SigningKey key = FromSeed(known.seed);
    EXPECT_EQ(ToHex(key.public_key()), known.public_key);
    EXPECT_EQ(ToHex(key.Sign(Hex(known.message))), known.signature);
    EXPECT_TRUE(VerifySignature(Hex(known.public_key), Hex(known.message), Hex(known.signature)).has_value());
  }
}

TEST(SigningKey, SignsWhatItVerifiesAndNothingElse) {
  const SigningKey key = SigningKey::Generate();
  EXPECT_TRUE(rc::check([&](Bytes message, uint8_t bit) {
    const Bytes signature = key.Sign(message);
    RC_ASSERT(VerifySignature(key.public_key(), message, signature).has_value());
    Bytes altered = signature;
    altered[bit % altered.size()] ^= 1u << (bit % 8);
    RC_ASSERT(VerifySignature(key.public_key(), message, altered).error().code == Code::kBadSignature);
    message.push_back(bit);
    RC_ASSERT(VerifySignature(key.public_key(), message, signature).error().code == Code::kBadSignature);
  }));
}

TEST(SigningKey, RefusesKeysAndSignaturesOfAnotherSize) {
  const SigningKey key = SigningKey::Generate();
  const Bytes signature = key.Sign(AsBytes("m"));
  EXPECT_EQ(VerifySignature(Bytes(31), AsBytes("m"), signature).error().code, Code::kInvalidArgument);
  EXPECT_EQ(VerifySignature(key.public_key(), AsBytes("m"), Bytes(63)).error().code, Code::kBadSignature);
  EXPECT_EQ(VerifySignature(key.public_key(), AsBytes("m"), {}).error().code, Code::kBadSignature);
}

TEST(SigningKey, GoesThroughPem) {
  const SigningKey key = SigningKey::Generate();
  const auto again = SigningKey::FromPem(key.ToPem());
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->public_key(), key.public_key());
  EXPECT_EQ(again->Sign(AsBytes("m")), key.Sign(AsBytes("m")));
  EXPECT_NE(SigningKey::Generate().public_key(), key.public_key());
}

TEST(SigningKey, RefusesWhatIsNoPlainEd25519Key) {
  // An X25519 key (RFC 8410 OID 1.3.101.110), and one that asks for a passphrase.
  constexpr std::string_view kOther =
      "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n-----END PRIVATE "
      "KEY-----\n";
  constexpr std::string_view kEncrypted =
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n"
      "-----END ENCRYPTED PRIVATE KEY-----\n";
  for (std::string_view pem : {kOther, kEncrypted, std::string_view("rubbish"), std::string_view()}) {
    EXPECT_EQ(SigningKey::FromPem(SecretBytes::CopyOf(AsBytes(pem))).error().code, Code::kMalformed) << pem;
  }
}

class SecretFile : public testing::Test {
 protected:
  TemporaryFolder folder_;
  const Path path_ = folder_.path() / "secret";
};

TEST_F(SecretFile, IsWrittenForItsOwnerOnlyAndReadBack) {
  ASSERT_TRUE(WriteSecretFile(path_, SecretBytes::CopyOf(AsBytes("top"))).has_value());
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(AsText(ReadSecretFile(path_)->RevealForUse()), "top");
}

TEST_F(SecretFile, ReplacesAFileThatOthersCouldRead) {
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), path_, AsBytes("old")).has_value());
  ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
  ASSERT_TRUE(WriteSecretFile(path_, SecretBytes::CopyOf(AsBytes("new"))).has_value());
  EXPECT_EQ(AsText(ReadSecretFile(path_)->RevealForUse()), "new");
}

TEST_F(SecretFile, IsRefusedWhenOthersMayReadIt) {
  ASSERT_TRUE(WriteSecretFile(path_, SecretBytes::CopyOf(AsBytes("top"))).has_value());
  for (const mode_t mode : {0640, 0604, 0620, 0601, 0644, 0777}) {
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
    EXPECT_EQ(ReadSecretFile(path_).error().code, Code::kPermissions) << std::oct << mode;
  }
  ASSERT_EQ(chmod(path_.c_str(), 0400), 0);
  EXPECT_TRUE(ReadSecretFile(path_).has_value());
}

TEST_F(SecretFile, MustBeAPlainFileOfReasonableSize) {
  EXPECT_EQ(ReadSecretFile(path_).error().code, Code::kNotFound);
  EXPECT_EQ(ReadSecretFile(folder_.path()).error().code, Code::kPermissions);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(ReadSecretFile(path_).error().code, Code::kPermissions);
  std::filesystem::remove(path_);
  ASSERT_TRUE(WriteSecretFile(path_, SecretBytes(size_t{64 * 1024 + 1})).has_value());
  EXPECT_EQ(ReadSecretFile(path_).error().code, Code::kTooLarge);
}

}  // namespace
}  // namespace tributary::signing_test
