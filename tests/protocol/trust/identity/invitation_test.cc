#include "protocol/trust/identity/invitation.h"

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "tests/support/must.h"
#include "tests/support/test_fleet.h"

namespace tributary::invitation_test {
namespace {

Invitation Example(const TestFleet& fleet) {
  Invitation invitation;
  invitation.fleet = "test fleet";
  invitation.role = Role::kGateway;
  invitation.token = SecretBytes::CopyOf(AsBytes("tri_00ff"));
  invitation.ca_pem = CertificateToPem(fleet.authority().certificate());
  invitation.root = ToBytes(AsBytes("{\"signed\": {\"b\":1,  \"a\":2}}\n"));
  invitation.target = {HpkeAead::kChaCha20Poly1305, fleet.sealing_key().public_key};
  return invitation;
}

std::string Replaced(std::string text, const std::string& what, const std::string& by) {
  const size_t at = text.find(what);
  TRIBUTARY_CHECK(at != std::string::npos) << what << " is not in " << text;
  return text.replace(at, what.size(), by);
}

TEST(Invitation, ComesBackAsItWas) {
  const TestFleet fleet;
  const Invitation invitation = Example(fleet);
  const auto read = DecodeInvitation(EncodeInvitation(invitation));
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->fleet, invitation.fleet);
  EXPECT_EQ(read->role, Role::kGateway);
  EXPECT_EQ(AsText(read->token.RevealForUse()), "tri_00ff");
  EXPECT_EQ(read->ca_pem, invitation.ca_pem);
  EXPECT_EQ(read->root, invitation.root) << "signatures are over these very bytes";
  EXPECT_EQ(read->target.aead, HpkeAead::kChaCha20Poly1305);
  EXPECT_EQ(read->target.public_key, fleet.sealing_key().public_key);
}

TEST(Invitation, ErrorsNameTheField) {
  const TestFleet fleet;
  const std::string good(AsText(EncodeInvitation(Example(fleet))));
  const struct {
    std::string what, by, named;
  } cases[] = {
      {"\"gateway\"", "\"emperor\"", "role"},
      {"\"tri_00ff\"", "\"\"", "token"},
      {"\"tri_00ff\"", "7", "token"},
      {"BEGIN CERT", "BEGIN DIRT", "ca_pem"},
      {"\"aead\": 3", "\"aead\": 4", "aead"},
      {"\"aead\": 3", "\"aead\": \"3\"", "aead"},
      {"\"sealing_key\": \"", "\"sealing_key\": \"0", "sealing_key"},
      {"\"root_json\"", "\"root_yaml\"", "root_yaml"},
      {"\"fleet\"", "\"fleeting\"", "fleeting"},
  };
  for (const auto& bad : cases) {
    const auto read = DecodeInvitation(AsBytes(Replaced(good, bad.what, bad.by)));
    ASSERT_FALSE(read) << bad.by;
    EXPECT_EQ(read.error().code, Code::kMalformed) << bad.by;
    EXPECT_NE(read.error().message.find(bad.named), std::string::npos) << read.error().message;
    EXPECT_EQ(read.error().message.find("tri_00ff"), std::string::npos) << "a secret in an error: " << bad.by;
  }
}

TEST(Invitation, OtherFormsAndSizesAreRefused) {
  const TestFleet fleet;
  const std::string good(AsText(EncodeInvitation(Example(fleet))));
  const auto next =
      DecodeInvitation(AsBytes(Replaced(good, "\"tributary_invitation\": 1", "\"tributary_invitation\": 2")));
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, Code::kVersionUnsupported);
  EXPECT_EQ(DecodeInvitation(Bytes(limits::kInvitationBytes + 1, ' ')).error().code, Code::kTooLarge);
  for (const std::string& text : {std::string(), std::string("[]"), std::string("{"), std::string(1'000, '['),
                                  std::string("{}"), good.substr(0, good.size() / 2)}) {
    const auto read = DecodeInvitation(AsBytes(text));
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Code::kMalformed) << text;
  }
}

}  // namespace
}  // namespace tributary::invitation_test
