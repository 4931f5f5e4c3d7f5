#include "protocol/trust/tuf/metadata.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "protocol/trust/seal/digest.h"
#include "protocol/trust/tuf/canonical_json.h"
#include "protocol/trust/tuf/roles_json.h"

namespace tributary::tuf {

std::string KeyIdOf(const Key& key) { return Sha256(AsBytes(CanonicalText(ToJson(key)))).hex(); }

std::string AddKey(ByteView public_key, Keys& keys, RoleKeys& role) {
  Key key = Key::FromPublicKey(public_key);
  std::string id = KeyIdOf(key);
  keys.insert_or_assign(id, std::move(key));
  if (std::ranges::find(role.key_ids, id) == role.key_ids.end()) role.key_ids.push_back(id);
  return id;
}

template <class Body>
Metadata<Body> MakeMetadata(Body body) {
  std::string text = CanonicalText(ToJson(body));
  return {std::move(body), std::move(text), {}};
}

template <class Body>
Result<Metadata<Body>> ParseMetadata(ByteView file) {
  if (file.size() > Body::kMostBytes) {
    return Fail(Code::kTooLarge, "{} metadata of {} bytes is over the limit of {}", Body::kType, file.size(),
                Body::kMostBytes);
  }
  ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(file));
  const auto body = json.find("signed");
  if (body == json.end()) return Fail(Code::kMalformed, "{} metadata has nothing signed", Body::kType);
  Metadata<Body> metadata;
  if (Status read = FromJson(*body, metadata.body); !read) {
    return Fail(read.error().code, "{} metadata: {}", Body::kType, read.error().message);
  }
  metadata.signed_text = CanonicalText(*body);
  RETURN_IF_ERROR(FromJson(json, metadata.signatures));
  return metadata;
}

template <class Body>
Bytes EncodeMetadata(const Metadata<Body>& metadata) {
  Bytes file = ToBytes(AsBytes(R"({"signatures":)" + CanonicalText(ToJson(metadata.signatures))));
  Append(file, AsBytes(std::string_view(R"(,"signed":)")));
  Append(file, AsBytes(metadata.signed_text));
  file.push_back('}');
  return file;
}

template Metadata<Root> MakeMetadata(Root);
template Metadata<Timestamp> MakeMetadata(Timestamp);
template Metadata<Snapshot> MakeMetadata(Snapshot);
template Metadata<Targets> MakeMetadata(Targets);
template Result<Metadata<Root>> ParseMetadata(ByteView);
template Result<Metadata<Timestamp>> ParseMetadata(ByteView);
template Result<Metadata<Snapshot>> ParseMetadata(ByteView);
template Result<Metadata<Targets>> ParseMetadata(ByteView);
template Bytes EncodeMetadata(const Metadata<Root>&);
template Bytes EncodeMetadata(const Metadata<Timestamp>&);
template Bytes EncodeMetadata(const Metadata<Snapshot>&);
template Bytes EncodeMetadata(const Metadata<Targets>&);

Status AddSignature(std::string_view signed_text, const Signer& signer, std::vector<Signature>& signatures) {
  ASSIGN_OR_RETURN(const Bytes signature, signer.Sign(AsBytes(signed_text)));
  const std::string id = KeyIdOf(Key::FromPublicKey(signer.public_key()));
  std::erase_if(signatures, [&](const Signature& earlier) { return earlier.key_id == id; });
  signatures.push_back({id, ToHex(signature)});
  return {};
}

std::set<std::string> SignersOf(std::string_view signed_text, std::span<const Signature> signatures, const Keys& keys,
                                const RoleKeys& role) {
  std::set<std::string> ids;
  std::set<Bytes> counted;
  for (const Signature& signature : signatures) {
    const auto key = keys.find(signature.key_id);
    if (key == keys.end() || std::ranges::find(role.key_ids, signature.key_id) == role.key_ids.end()) continue;
    const std::optional<Bytes> public_key = key->second.Ed25519();
    if (!public_key || counted.contains(*public_key)) continue;
    const Result<Bytes> bytes = FromHex(signature.hex);
    if (!bytes || !VerifySignature(*public_key, AsBytes(signed_text), *bytes)) continue;
    counted.insert(*public_key);
    ids.insert(signature.key_id);
  }
  return ids;
}

Status VerifyThreshold(std::string_view role_name, std::string_view signed_text, std::span<const Signature> signatures,
                       const Keys& keys, const RoleKeys& role) {
  const size_t count = SignersOf(signed_text, signatures, keys, role).size();
  if (role.threshold > 0 && count >= role.threshold) return {};
  return Fail(Code::kBadSignature, "{} metadata is signed by {} of {} keys that the role needs", role_name, count,
              role.threshold);
}

}  // namespace tributary::tuf
