#include "protocol/trust/identity/invitation.h"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr int kForm = 1;
constexpr const char* kFormField = "tributary_invitation";

tl::unexpected<Error> FailField(const std::string& field, const std::string& problem) {
  return Fail(Code::kMalformed, "the invitation's field {} {}", field, problem);
}

Result<std::string> Text(const json& object, const std::string& field) {
  const auto found = object.find(field);
  if (found == object.end()) return FailField(field, "is missing");
  if (!found->is_string()) return FailField(field, "is not a text");
  return found->get<std::string>();
}

Status CheckFields(const json& object) {
  static const std::set<std::string> kKnown = {kFormField, "fleet",     "role",        "token",
                                               "ca_pem",   "root_json", "sealing_key", "aead"};
  for (const auto& [field, value] : object.items()) {
    if (!kKnown.contains(field)) return FailField("'" + field + "'", "is not known to this version");
  }
  return {};
}

Status CheckForm(const json& object) {
  const auto form = object.find(kFormField);
  if (form == object.end() || !form->is_number_integer()) return FailField(kFormField, "is missing");
  if (*form == kForm) return {};
  return Fail(
      Code::kVersionUnsupported,
      "this program reads invitations of form 1; this one is of form {}: use a program as new as the aggregator",
      form->dump());
}

Result<SealingTarget> ReadTarget(const json& object) {
  SealingTarget target;
  ASSIGN_OR_RETURN(const std::string hex, Text(object, "sealing_key"));
  auto key = FromHex(hex);
  if (!key || key->size() != 32) return FailField("sealing_key", "is not 64 hexadecimal digits");
  target.public_key = std::move(*key);
  const auto aead = object.find("aead");
  if (aead == object.end() || !aead->is_number_integer()) return FailField("aead", "is missing");
  if (!(*aead >= 1 && *aead <= 3)) return FailField("aead", "is " + aead->dump() + "; 1, 2 and 3 are known");
  target.aead = static_cast<HpkeAead>(aead->get<uint16_t>());
  return target;
}

// ---- the folder of identity.h while it has no certificate yet. `request` is written last, so that a folder which has
// one has the keys that it speaks of:
//   request = SHA-256 of the bytes that it was made from (32 bytes) || sealed enrolment
constexpr const char* kRequestFile = "request";

// The token is in it, so a new invitation makes another request.
Digest OriginOf(const Invitation& invitation, const std::string& id) {
  Sha256Stream digest;
  digest.Update(EncodeInvitation(invitation));
  digest.Update(AsBytes(id));
  return std::move(digest).Finish();
}

// The request that was made from the same before; empty when there is none.
Result<Bytes> KeptRequest(FileSystem& files, const Path& folder, const Digest& origin) {
  constexpr size_t kMostBytes = Digest::kSize + limits::kEnrolmentBytes;
  ASSIGN_OR_RETURN(const Bytes kept, OrIfAbsent(ReadFile(files, folder / kRequestFile, kMostBytes), {}));
  ByteView request = kept;
  const auto made_from = TakeBytes(request, Digest::kSize);
  if (!made_from || !std::ranges::equal(*made_from, origin.view())) return Bytes();
  return ToBytes(request);
}

Result<Bytes> MakeRequest(const MemberKeys& keys, const Invitation& invitation, const std::string& id, WallTime now) {
  std::optional<DeviceId> wanted;
  if (!id.empty()) {
    ASSIGN_OR_RETURN(wanted, DeviceId::Parse(id));
  }
  EnrolmentRequest request;
  ASSIGN_OR_RETURN(request.certificate_request, MakeCertificateRequest(keys.key, wanted, keys.curve.public_key));
  request.created = now;
  request.authority = SecretBytes::CopyOf(invitation.token.RevealForUse());
  return SealEnrolment(request, invitation.target);
}

}  // namespace

Bytes EncodeInvitation(const Invitation& invitation) {
  const json object = {{kFormField, kForm},
                       {"fleet", invitation.fleet},
                       {"role", RoleName(invitation.role)},
                       {"token", AsText(invitation.token.RevealForUse())},
                       {"ca_pem", invitation.ca_pem},
                       {"root_json", AsText(invitation.root)},
                       {"sealing_key", ToHex(invitation.target.public_key)},
                       {"aead", static_cast<uint16_t>(invitation.target.aead)}};
  // Text that is not UTF-8 would throw; root metadata and names are UTF-8.
  return ToBytes(AsBytes(object.dump(2, ' ', false, json::error_handler_t::replace) + "\n"));
}

Result<Invitation> DecodeInvitation(ByteView bytes) {
  if (bytes.size() > limits::kInvitationBytes) {
    return Fail(Code::kTooLarge, "an invitation of {} bytes; the limit is {}", bytes.size(), limits::kInvitationBytes);
  }
  const json object = json::parse(bytes.begin(), bytes.end(), nullptr, false);
  if (!object.is_object()) return Fail(Code::kMalformed, "the invitation is not a JSON object");
  RETURN_IF_ERROR(CheckForm(object));
  RETURN_IF_ERROR(CheckFields(object));
  Invitation invitation;
  ASSIGN_OR_RETURN(invitation.fleet, Text(object, "fleet"));
  ASSIGN_OR_RETURN(const std::string role_name, Text(object, "role"));
  const auto role = RoleByName(role_name);
  if (!role) return FailField("role", "is '" + role_name + "', which is none");
  invitation.role = *role;
  ASSIGN_OR_RETURN(const std::string token, Text(object, "token"));
  if (token.empty()) return FailField("token", "is empty");
  invitation.token = SecretBytes::CopyOf(AsBytes(token));
  ASSIGN_OR_RETURN(invitation.ca_pem, Text(object, "ca_pem"));
  if (!CertificateFromPem(invitation.ca_pem)) return FailField("ca_pem", "is not one certificate in PEM");
  ASSIGN_OR_RETURN(const std::string root, Text(object, "root_json"));
  if (root.size() > limits::kRootBytes) return FailField("root_json", "is longer than root metadata may be");
  invitation.root = ToBytes(AsBytes(root));
  ASSIGN_OR_RETURN(invitation.target, ReadTarget(object));
  return invitation;
}

Result<Bytes> BeginIdentity(FileSystem& files, const Path& folder, const Invitation& invitation, const std::string& id,
                            WallTime now) {
  if (files.Size(folder / kCertificateFile)) {
    return Fail(Code::kAlreadyExists, "{} holds an identity already; it was left as it is", folder.string());
  }
  const Digest origin = OriginOf(invitation, id);
  ASSIGN_OR_RETURN(Bytes kept, KeptRequest(files, folder, origin));
  if (!kept.empty()) return kept;

  ASSIGN_OR_RETURN(const Certificate ca, CertificateFromPem(invitation.ca_pem));
  RETURN_IF_ERROR(TrustAnchor::FromCertificate(ca));
  ASSIGN_OR_RETURN(const MemberKeys keys, PrepareIdentity(folder, ca, invitation.root));
  ASSIGN_OR_RETURN(Bytes request, MakeRequest(keys, invitation, id, now));
  Bytes noted = ToBytes(origin.view());
  Append(noted, request);
  RETURN_IF_ERROR(WriteFileAtomically(files, folder / kRequestFile, noted));
  return request;
}

Status CompleteIdentity(FileSystem& files, const Path& folder, const std::vector<Bytes>& chain, WallTime now) {
  if (!files.Size(folder / kRequestFile)) {
    return Fail(Code::kMissingData, "{} has no request: begin with `enrol --invitation FILE`", folder.string());
  }
  RETURN_IF_ERROR(SaveCertificate(files, folder, chain, now));
  return files.Remove(folder / kRequestFile);
}

}  // namespace tributary
