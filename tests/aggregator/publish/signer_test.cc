
#include <sys/stat.h>

#include <fstream>

#include <gmock/gmock.h>

#include "aggregator/publish/key_token_signer.h"
#include "protocol/trust/seal/signing.h"
#include "tests/aggregator/publish/soft_token.h"
#include "tests/protocol/trust/identity/openssl_command.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::signer_test {
namespace {

using testing::HasSubstr;

SecretBytes Secret(std::string_view text) { return SecretBytes::CopyOf(AsBytes(text)); }

void ExpectSigns(const Signer& signer, ByteView public_key) {
  EXPECT_EQ(signer.public_key(), ToBytes(public_key));
  for (const std::string_view message : {"", "a message"}) {
    const auto signature = signer.Sign(AsBytes(message));
    ASSERT_TRUE(signature.has_value()) << signature.error().ToString();
    EXPECT_TRUE(VerifySignature(public_key, AsBytes(message), *signature).has_value());
    EXPECT_FALSE(VerifySignature(public_key, AsBytes("another"), *signature).has_value());
  }
}

// ---- keys in files

class FileSignerTest : public testing::Test {
 protected:
  static Error Refusal(const std::string& where, std::string_view passphrase) {
    auto opened = OpenSigner(where, Secret(passphrase));
    EXPECT_FALSE(opened.has_value());
    return opened ? Error{} : opened.error();
  }
  std::string Contents() const { return std::string(AsText(Must(ReadFile(RealFileSystem(), path_, 65536)))); }

  const TemporaryFolder folder_;
  const Path path_ = folder_ / "root-1.pem";
};

TEST_F(FileSignerTest, WithoutAPassphrase) {
  const auto made = Must(CreateSignerFile(path_, {}));
  const auto opened = Must(OpenSigner(path_, {}));
  ExpectSigns(*opened, made->public_key());
  ExpectSigns(*Must(OpenSigner(path_, Secret("not needed"))), made->public_key());
  EXPECT_THAT(Contents(), HasSubstr("BEGIN PRIVATE KEY"));
}

TEST_F(FileSignerTest, WithAPassphrase) {
  const auto made = Must(CreateSignerFile(path_, Secret("correct horse")));
  EXPECT_THAT(Contents(), HasSubstr("BEGIN ENCRYPTED PRIVATE KEY"));
  ExpectSigns(*Must(OpenSigner(path_, Secret("correct horse"))), made->public_key());
  EXPECT_EQ(Refusal(path_, "correct horsE").code, Code::kUnauthorized);
  EXPECT_THAT(Refusal(path_, "correct horsE").message, HasSubstr("passphrase"));
  EXPECT_EQ(Refusal(path_, "").code, Code::kUnauthorized);
  EXPECT_THAT(Refusal(path_, "").message, HasSubstr("is needed"));
}

TEST_F(FileSignerTest, AKeyIsNeverWrittenOver) {
  const auto made = Must(CreateSignerFile(path_, {}));
  EXPECT_EQ(CreateSignerFile(path_, {}).error().code, Code::kAlreadyExists);
  ExpectSigns(*Must(OpenSigner(path_, {})), made->public_key());
}

TEST_F(FileSignerTest, OthersMayNotReadIt) {
  Must(CreateSignerFile(path_, Secret("x")));
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  EXPECT_EQ(Refusal(path_, "x").code, Code::kPermissions);
}

TEST_F(FileSignerTest, WhatIsNoKeyIsRefused) {
  EXPECT_EQ(Refusal(folder_ / "nothing.pem", "").code, Code::kNotFound);
  Must(WriteSecretFile(path_, Secret("rubbish")));
  EXPECT_EQ(Refusal(path_, "").code, Code::kMalformed);
  ASSERT_TRUE(Openssl("genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048 -out " + path_.string()).succeeded);
  EXPECT_EQ(Refusal(path_, "").code, Code::kMalformed);
  ASSERT_TRUE(Openssl("genpkey -algorithm x25519 -aes256 -pass pass:abcd -out " + path_.string()).succeeded);
  EXPECT_EQ(Refusal(path_, "abcd").code, Code::kMalformed);
}

// Our files are anybody's, and theirs are ours.
TEST_F(FileSignerTest, OpensslCommandLineReadsAndWritesThem) {
  const auto made = Must(CreateSignerFile(path_, Secret("correct horse")));
  const auto shown = Openssl("pkey -noout -text -in " + path_.string() + " -passin 'pass:correct horse'");
  ASSERT_TRUE(shown.succeeded) << shown.text;
  EXPECT_THAT(shown.text, HasSubstr("ED25519 Private-Key"));
  EXPECT_FALSE(Openssl("pkey -noout -in " + path_.string() + " -passin pass:wrong").succeeded);
  const Path theirs = folder_ / "theirs.pem";
  ASSERT_TRUE(Openssl("genpkey -algorithm ed25519 -aes256 -pass pass:abcd -out " + theirs.string()).succeeded);
  const auto opened = Must(OpenSigner(theirs, Secret("abcd")));
  ExpectSigns(*opened, opened->public_key());
}

// ---- keys in tokens

class TokenSignerTest : public testing::Test {
 protected:
  void SetUp() override {
    token_.Initialize("tributary");
    token_.Import(key_, "tributary", "root-1", "01");
  }
  static Error Refusal(const std::string& where, std::string_view pin = SoftToken::kPin) {
    auto opened = OpenSigner(where, Secret(pin));
    EXPECT_FALSE(opened.has_value());
    return opened ? Error{} : opened.error();
  }
  static std::unique_ptr<Signer> Open(const std::string& where, std::string_view pin = SoftToken::kPin) {
    return Must(OpenSigner(where, Secret(pin)));
  }

  const SoftToken token_;
  const SigningKey key_ = SigningKey::Generate();
};

TEST_F(TokenSignerTest, SignsAsTheKeyItself) {
  const auto signer = Open("pkcs11:token=tributary;object=root-1");
  ExpectSigns(*signer, key_.public_key());
  // Ed25519 is deterministic, so it is the very same signature.
  EXPECT_EQ(Must(signer->Sign(AsBytes("m"))), key_.Sign(AsBytes("m")));
}

TEST_F(TokenSignerTest, ThePinMayStandInTheUri) {
  ExpectSigns(*Open(std::string("pkcs11:token=tributary;object=root-1?pin-value=") + SoftToken::kPin, ""),
              key_.public_key());
  const Path pin = token_.folder() / "pin";
  Must(WriteSecretFile(pin, Secret(std::string(SoftToken::kPin) + "\n")));
  const std::string uri = "pkcs11:token=tributary;object=root-1?pin-source=file:" + pin.string();
  ExpectSigns(*Open(uri, ""), key_.public_key());
  ASSERT_EQ(chmod(pin.c_str(), 0644), 0);
  EXPECT_EQ(Refusal(uri, "").code, Code::kPermissions) << "a PIN is a secret as any other";
}

TEST_F(TokenSignerTest, WithoutTheRightPinThereIsNoSignature) {
  const std::string uri = "pkcs11:token=tributary;object=root-1";
  EXPECT_EQ(Refusal(uri, "000000").code, Code::kUnauthorized);
  EXPECT_EQ(Refusal(uri, "").code, Code::kUnauthorized);
  EXPECT_THAT(Refusal(uri, "").message, HasSubstr("wants a PIN"));
  ExpectSigns(*Open(uri), key_.public_key());
}

TEST_F(TokenSignerTest, TheUriNamesOneTokenAndOneKey) {
  EXPECT_EQ(Refusal("pkcs11:token=elsewhere;object=root-1").code, Code::kNotFound);
  EXPECT_EQ(Refusal("pkcs11:token=tributary;object=root-9").code, Code::kNotFound);
  const SigningKey other = SigningKey::Generate();
  token_.Import(other, "tributary", "root-2", "02");
  EXPECT_EQ(Refusal("pkcs11:token=tributary").code, Code::kConflict);
  ExpectSigns(*Open("pkcs11:token=tributary;object=root-2"), other.public_key());
  ExpectSigns(*Open("pkcs11:token=tributary;id=%01"), key_.public_key());
  token_.Initialize("second");
  EXPECT_EQ(Refusal("pkcs11:object=root-1").code, Code::kConflict) << "no PIN is tried on a token that was not meant";
}

// As whoever signs a root with a threshold of two does.
TEST_F(TokenSignerTest, TwoKeysOfOneTokenAreOpenAtOnce) {
  const SigningKey other = SigningKey::Generate();
  token_.Import(other, "tributary", "root-2", "02");
  auto first = Open("pkcs11:token=tributary;object=root-1");
  const auto second = Open("pkcs11:token=tributary;object=root-2");
  ExpectSigns(*first, key_.public_key());
  ExpectSigns(*second, other.public_key());
  first.reset();
  ExpectSigns(*second, other.public_key());
}

TEST_F(TokenSignerTest, WhatIsNoUriIsRefused) {
  for (const char* uri : {"pkcs11:token=%zz", "pkcs11:token", "pkcs11:colour=red;token=tributary"}) {
    EXPECT_EQ(Refusal(uri).code, Code::kInvalidArgument) << uri;
  }
}

TEST_F(TokenSignerTest, KeysOfOtherKindsAreMalformed) {
  const Path rsa = token_.folder() / "rsa.pem";
  ASSERT_TRUE(Openssl("genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048 -out " + rsa.string()).succeeded);
  token_.ImportPem(rsa, "tributary", "rsa", "03");
  EXPECT_EQ(Refusal("pkcs11:token=tributary;object=rsa").code, Code::kMalformed);
}

TEST_F(TokenSignerTest, ThePublicKeyMustBeThereAndFit) {
  token_.Import(SigningKey::Generate(), "tributary", "half", "04", "--no-public-key");
  EXPECT_EQ(Refusal("pkcs11:token=tributary;object=half").code, Code::kMalformed);
  EXPECT_THAT(Refusal("pkcs11:token=tributary;object=half").message, HasSubstr("not its public key"));
  // Another key with the id of the first, and no public key: the first's public key is taken for its own.
  token_.Import(SigningKey::Generate(), "tributary", "impostor", "01", "--no-public-key --force");
  EXPECT_THAT(Refusal("pkcs11:token=tributary;object=impostor").message, HasSubstr("not that of its private key"));
}

TEST_F(TokenSignerTest, TheModuleMayBeNamed) {
  EXPECT_EQ(Refusal("pkcs11:token=tributary;object=root-1?module-path=/nowhere/module.so").code, Code::kNotFound);
  // Where the package says that the module is.
  std::ifstream description("/usr/share/p11-kit/modules/softhsm2.module");
  std::string line;
  while (std::getline(description, line) && !line.starts_with("module:")) {
  }
  ASSERT_TRUE(line.starts_with("module:"));
  ExpectSigns(*Open("pkcs11:token=tributary;object=root-1?module-path=" + line.substr(line.find('/'))),
              key_.public_key());
}

}  // namespace
}  // namespace tributary::signer_test
