#include "aggregator/publish/key_token_signer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "aggregator/publish/pkcs11_session.h"

namespace tributary {
namespace {

using Object = CK_OBJECT_HANDLE;

class KeyTokenSigner final : public Signer {
 public:
  KeyTokenSigner(std::unique_ptr<Pkcs11Session> session, Object key, Bytes public_key)
      : session_(std::move(session)), key_(key), public_key_(std::move(public_key)) {}
  const Bytes& public_key() const override { return public_key_; }
  // Pure Ed25519: the mechanism without parameters (PKCS#11 3.0, section 2.3.14).
  Result<Bytes> Sign(ByteView message) const override {
    return session_->Sign(key_, CKM_EDDSA, message, kSignatureBytes);
  }

 private:
  std::unique_ptr<Pkcs11Session> session_;
  Object key_;
  Bytes public_key_;
};

CK_ATTRIBUTE Attribute(CK_ATTRIBUTE_TYPE type, auto& value) { return {type, &value, sizeof(value)}; }
CK_ATTRIBUTE Attribute(CK_ATTRIBUTE_TYPE type, Bytes& value) { return {type, value.data(), value.size()}; }

// The object of a class that the rest of `with` names; none is nullopt, several are a conflict.
Result<std::optional<Object>> FindOne(const Pkcs11Session& session, CK_OBJECT_CLASS kind,
                                      std::vector<CK_ATTRIBUTE> with) {
  with.push_back(Attribute(CKA_CLASS, kind));
  ASSIGN_OR_RETURN(const auto found, session.Find(with));
  if (found.size() > 1)
    return Fail(Code::kConflict, "several keys of the token fit the PKCS#11 URI: let it name the object or its id");
  if (found.empty()) return std::nullopt;
  return found.front();
}

Result<Object> FindPrivateKey(const Pkcs11Session& session, P11KitUri* uri) {
  std::vector<CK_ATTRIBUTE> with;
  for (const CK_ATTRIBUTE_TYPE type : {CKA_LABEL, CKA_ID}) {
    if (const CK_ATTRIBUTE* named = p11_kit_uri_get_attribute(uri, type)) with.push_back(*named);
  }
  ASSIGN_OR_RETURN(const auto key, FindOne(session, CKO_PRIVATE_KEY, with));
  if (!key) return Fail(Code::kNotFound, "the token has no private key that fits the PKCS#11 URI");
  ASSIGN_OR_RETURN(Bytes type, session.Read(*key, CKA_KEY_TYPE));
  CK_KEY_TYPE edwards = CKK_EC_EDWARDS;
  if (!std::ranges::equal(type, AsBytes({reinterpret_cast<const char*>(&edwards), sizeof(edwards)})))
    return Fail(Code::kMalformed, "the token's key is not an Ed25519 key");
  return *key;
}

// The point stands as it is or, in most tokens, as a DER OCTET STRING.
Result<Bytes> PointFrom(ByteView point) {
  if (point.size() == kSigningPublicKeyBytes + 2 && point[0] == 0x04 && point[1] == kSigningPublicKeyBytes)
    point = point.subspan(2);
  if (point.size() != kSigningPublicKeyBytes)
    return Fail(Code::kMalformed, "the token's public key is not an Ed25519 key");
  return ToBytes(point);
}

// Tokens keep it in an object of its own, with the same id or, when that is empty, the same label.
Result<Bytes> PublicKeyOf(const Pkcs11Session& session, Object private_key) {
  for (const CK_ATTRIBUTE_TYPE type : {CKA_ID, CKA_LABEL}) {
    ASSIGN_OR_RETURN(Bytes name, session.Read(private_key, type));
    if (name.empty()) continue;
    ASSIGN_OR_RETURN(const auto key, FindOne(session, CKO_PUBLIC_KEY, {Attribute(type, name)}));
    if (!key) continue;
    ASSIGN_OR_RETURN(const Bytes point, session.Read(*key, CKA_EC_POINT));
    return PointFrom(point);
  }
  return Fail(Code::kMalformed, "the token has the private key but not its public key: import that as well");
}

// A key that cannot sign, or a public key of another, is found now and not when a publication is due.
Status TryOut(const Signer& signer) {
  constexpr std::string_view kMessage = "tributary: does this token sign?";
  ASSIGN_OR_RETURN(const Bytes signature, signer.Sign(AsBytes(kMessage)));
  if (!VerifySignature(signer.public_key(), AsBytes(kMessage), signature))
    return Fail(Code::kMalformed, "the token's public key is not that of its private key");
  return {};
}

// A key that a PKCS#11 token keeps to itself.
Result<std::unique_ptr<Signer>> OpenKeyTokenSigner(const std::string& text, const SecretBytes& pin) {
  ASSIGN_OR_RETURN(const KeyTokenUri uri, ParseKeyTokenUri(text));
  ASSIGN_OR_RETURN(std::unique_ptr<Pkcs11Session> session, Pkcs11Session::Open(uri.get(), pin));
  if (!session->Has(CKM_EDDSA)) return Fail(Code::kNotSupported, "the token cannot sign with Ed25519 (CKM_EDDSA)");
  ASSIGN_OR_RETURN(const Object key, FindPrivateKey(*session, uri.get()));
  ASSIGN_OR_RETURN(Bytes public_key, PublicKeyOf(*session, key));
  auto signer = std::make_unique<KeyTokenSigner>(std::move(session), key, std::move(public_key));
  RETURN_IF_ERROR(TryOut(*signer));
  return signer;
}

}  // namespace

Result<std::unique_ptr<Signer>> OpenSigner(const std::string& where, const SecretBytes& passphrase) {
  return where.starts_with("pkcs11:") ? OpenKeyTokenSigner(where, passphrase) : OpenSignerFile(where, passphrase);
}

}  // namespace tributary
