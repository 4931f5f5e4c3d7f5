#include "protocol/trust/identity/invitation.h"

#include <set>

#include <nlohmann/json.hpp>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr int kForm = 1;
constexpr const char* kFormField = "tributary_invitation";

tl::unexpected<Error> FailField(const std::string& field, const std::string& problem) {
  return Fail(Code::kMalformed, "the invitation's field " + field + " " + problem);
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
  return Fail(Code::kVersionUnsupported, "this program reads invitations of form 1; this one is of form " +
                                             form->dump() + ": use a program as new as the aggregator");
}

Result<EnrolmentTarget> ReadTarget(const json& object) {
  EnrolmentTarget target;
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

Result<Role> ReadRole(const json& object) {
  ASSIGN_OR_RETURN(const std::string name, Text(object, "role"));
  const auto role = RoleByName(name);
  if (!role) return FailField("role", "is '" + name + "', which is none");
  return *role;
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
  // What is not UTF-8 would throw; root metadata and names are.
  return ToBytes(AsBytes(object.dump(2, ' ', false, json::error_handler_t::replace) + "\n"));
}

Result<Invitation> DecodeInvitation(ByteView bytes) {
  if (bytes.size() > limits::kInvitationBytes) {
    return Fail(Code::kTooLarge, "an invitation of " + std::to_string(bytes.size()) + " bytes; the limit is " +
                                     std::to_string(limits::kInvitationBytes));
  }
  const json object = json::parse(bytes.begin(), bytes.end(), nullptr, false);
  if (!object.is_object()) return Fail(Code::kMalformed, "the invitation is not a JSON object");
  RETURN_IF_ERROR(CheckForm(object));
  RETURN_IF_ERROR(CheckFields(object));
  Invitation invitation;
  ASSIGN_OR_RETURN(invitation.fleet, Text(object, "fleet"));
  ASSIGN_OR_RETURN(invitation.role, ReadRole(object));
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

}  // namespace tributary
