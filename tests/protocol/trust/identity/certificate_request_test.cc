#include <rapidcheck.h>

#include <gmock/gmock.h>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/certificate.h"
#include "tests/protocol/trust/identity/openssl_command.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::certificate_request_test {
namespace {

using testing::HasSubstr;

class CertificateRequestTest : public testing::Test {
 protected:
  Bytes Request(const std::optional<DeviceId>& id = TestDevice("dev-1")) const {
    return Must(MakeCertificateRequest(key_, id, curve_));
  }
  static Code Refusal(ByteView der) {
    const auto read = ReadCertificateRequest(der);
    EXPECT_FALSE(read.has_value());
    return read ? Code{} : read.error().code;
  }
  // The request that `openssl req` makes of `extension` (a line of its configuration), as DER.
  Bytes FromOpenssl(const std::string& extension, const std::string& algorithm = "ed25519") const {
    const std::string out = (folder_ / "req.der").string();
    const auto made = Openssl("req -new -nodes -newkey " + algorithm + " -keyout " + (folder_ / "k.pem").string() +
                              " -subj /CN=anything -outform DER -out " + out + " -addext '" + extension + "'");
    TRIBUTARY_CHECK(made.succeeded) << made.text;
    return Must(ReadFile(RealFileSystem(), out, limits::kCertificateBytes));
  }

  const SigningKey key_ = SigningKey::Generate();
  const Bytes curve_ = Bytes(32, 0x11);
  const std::string curve_uri_ = "URI:urn:tributary:curve:" + ToHex(curve_);
  const TemporaryFolder folder_;
};

TEST_F(CertificateRequestTest, SaysWhatItWasMadeWith) {
  const auto read = ReadCertificateRequest(Request());
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_EQ(read->id, TestDevice("dev-1"));
  EXPECT_EQ(read->curve_public_key, curve_);
  EXPECT_EQ(read->public_key, key_.public_key());
}

TEST_F(CertificateRequestTest, TheIdMayBeLeftToTheFleet) {
  const auto read = ReadCertificateRequest(Request(std::nullopt));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_EQ(read->id, std::nullopt);
}

TEST_F(CertificateRequestTest, NeedsACurveKeyOf32Bytes) {
  EXPECT_EQ(MakeCertificateRequest(key_, std::nullopt, Bytes(31)).error().code, Code::kInvalidArgument);
  EXPECT_EQ(MakeCertificateRequest(key_, std::nullopt, {}).error().code, Code::kInvalidArgument);
}

TEST_F(CertificateRequestTest, NoAlterationOfAByteIsAccepted) {
  const Bytes good = Request();
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes altered = good;
    altered[i] ^= 1;
    EXPECT_THAT(Refusal(altered), testing::AnyOf(Code::kMalformed, Code::kBadSignature)) << "byte " << i;
  }
}

TEST_F(CertificateRequestTest, OnlyTheWholeDerIsARequest) {
  Bytes good = Request();
  for (size_t size = 0; size < good.size(); ++size) EXPECT_EQ(Refusal(ByteView(good).first(size)), Code::kMalformed);
  good.push_back(0);
  EXPECT_EQ(Refusal(good), Code::kMalformed);
  EXPECT_EQ(Refusal(Bytes(limits::kCertificateBytes + 1)), Code::kTooLarge);
  EXPECT_EQ(Refusal(TestFleet().authority().certificate().der), Code::kMalformed);
}

TEST_F(CertificateRequestTest, GarbageIsRefused) {
  EXPECT_TRUE(rc::check([](const Bytes& garbage) { RC_ASSERT(!ReadCertificateRequest(garbage).has_value()); }));
}

// The other way round: what another program makes is read as well.
TEST_F(CertificateRequestTest, OpensslsOwnRequestIsRead) {
  const auto read = ReadCertificateRequest(FromOpenssl("subjectAltName=URI:urn:tributary:id:dev-7," + curve_uri_));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_EQ(read->id, TestDevice("dev-7"));
  EXPECT_EQ(read->curve_public_key, curve_);
}

TEST_F(CertificateRequestTest, RoleAndClassAreNotTheApplicantsToSay) {
  for (const std::string more : {"URI:urn:tributary:role:aggregator", "URI:urn:tributary:class:phone",
                                 "URI:urn:tributary:colour:red", "URI:https://example.org", "DNS:example.org",
                                 "URI:urn:tributary:id:Dev/1", "URI:urn:tributary:id:a,URI:urn:tributary:id:b"}) {
    EXPECT_EQ(Refusal(FromOpenssl("subjectAltName=" + curve_uri_ + "," + more)), Code::kMalformed) << more;
  }
  EXPECT_EQ(Refusal(FromOpenssl("subjectAltName=URI:urn:tributary:id:dev-1")), Code::kMalformed) << "no CURVE key";
  EXPECT_EQ(Refusal(FromOpenssl("subjectAltName=URI:urn:tributary:curve:1111")), Code::kMalformed);
  EXPECT_EQ(Refusal(FromOpenssl("basicConstraints=critical,CA:TRUE")), Code::kMalformed);
}

TEST_F(CertificateRequestTest, OtherKindsOfKeyAreMalformed) {
  EXPECT_EQ(Refusal(FromOpenssl("subjectAltName=" + curve_uri_, "rsa:2048")), Code::kMalformed);
}

TEST_F(CertificateRequestTest, OpensslCommandLineVerifiesAndShowsIt) {
  const Path path = folder_ / "request.der";
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), path, Request()).has_value());
  const auto shown = Openssl("req -verify -noout -text -inform DER -in " + path.string());
  ASSERT_TRUE(shown.succeeded) << shown.text;
  EXPECT_THAT(shown.text, HasSubstr("verify OK"));
  EXPECT_THAT(shown.text, HasSubstr("URI:urn:tributary:id:dev-1, " + curve_uri_));
  EXPECT_THAT(shown.text, HasSubstr("Subject: CN = dev-1"));
}

}  // namespace
}  // namespace tributary::certificate_request_test
