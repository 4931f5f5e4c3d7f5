#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/trust/seal/native_key.h"
#include "protocol/trust/seal/secret.h"

// PKCS#11 (OASIS, version 3.0) through p11-kit. Included by the .cc files of this folder only.
namespace tributary {

using KeyTokenUri = Owned<P11KitUri, p11_kit_uri_free>;
Result<KeyTokenUri> ParseKeyTokenUri(const std::string& text);  // kInvalidArgument

// The modules that this machine has for its tokens, or the one that the URI names. Resource type.
class Pkcs11Modules {
 public:
  static Result<Pkcs11Modules> Load(const P11KitUri* uri);
  Pkcs11Modules(Pkcs11Modules&& other) noexcept;
  Pkcs11Modules& operator=(Pkcs11Modules&&) = delete;
  ~Pkcs11Modules();
  std::vector<CK_FUNCTION_LIST*> all() const;

 private:
  Pkcs11Modules() = default;
  CK_FUNCTION_LIST** configured_ = nullptr;
  CK_FUNCTION_LIST* single_ = nullptr;
};

// A logged-in session with the one token that a URI names. Resource type, not thread safe.
class Pkcs11Session {
 public:
  // kNotFound: no such token; kConflict: several; kUnauthorized; kUnreachable.
  static Result<std::unique_ptr<Pkcs11Session>> Open(const P11KitUri* uri, const SecretBytes& pin);
  Pkcs11Session(const Pkcs11Session&) = delete;
  Pkcs11Session& operator=(const Pkcs11Session&) = delete;
  ~Pkcs11Session();

  bool Has(CK_MECHANISM_TYPE mechanism) const;
  // Two at most: more than one is a conflict already.
  Result<std::vector<CK_OBJECT_HANDLE>> Find(std::span<CK_ATTRIBUTE> with) const;
  // Empty: the object has no such attribute.
  Result<Bytes> Read(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE attribute) const;
  Result<Bytes> Sign(CK_OBJECT_HANDLE key, CK_MECHANISM_TYPE mechanism, ByteView message, size_t size) const;

 private:
  Pkcs11Session(Pkcs11Modules modules, CK_FUNCTION_LIST* module, CK_SLOT_ID slot)
      : modules_(std::move(modules)), module_(module), slot_(slot) {}
  Status LogIn(const P11KitUri* uri, const SecretBytes& pin) const;

  Pkcs11Modules modules_;
  CK_FUNCTION_LIST* module_;
  CK_SLOT_ID slot_;
  CK_SESSION_HANDLE session_ = 0;
};

}  // namespace tributary
