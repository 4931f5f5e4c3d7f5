#include "aggregator/publish/pkcs11_session.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <p11-kit/p11-kit.h>

#include "protocol/trust/seal/signing.h"

namespace tributary {
namespace {

constexpr CK_RV kPinAnswers[] = {CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE,
                                 CKR_PIN_EXPIRED,   CKR_PIN_LOCKED,  CKR_USER_NOT_LOGGED_IN};
constexpr CK_RV kUnableAnswers[] = {CKR_MECHANISM_INVALID, CKR_FUNCTION_NOT_SUPPORTED, CKR_KEY_TYPE_INCONSISTENT,
                                    CKR_KEY_FUNCTION_NOT_PERMITTED};

// The token's answer as one of our codes.
tl::unexpected<Error> Refusal(const std::string& what, CK_RV answer) {
  const auto is_in = [answer](const auto& answers) { return std::ranges::find(answers, answer) != std::end(answers); };
  const Code code = is_in(kPinAnswers)      ? Code::kUnauthorized
                    : is_in(kUnableAnswers) ? Code::kNotSupported
                                            : Code::kUnreachable;
  return Fail(code, "{}: {}", what, p11_kit_strerror(answer));
}

Status Check(const std::string& what, CK_RV answer) {
  if (answer == CKR_OK) return {};
  return Refusal(what, answer);
}

struct Slot {
  CK_FUNCTION_LIST* module;
  CK_SLOT_ID id;
};

Result<std::vector<CK_SLOT_ID>> SlotsOf(CK_FUNCTION_LIST* module) {
  CK_ULONG count = 0;
  RETURN_IF_ERROR(Check("list the tokens", module->C_GetSlotList(CK_TRUE, nullptr, &count)));
  std::vector<CK_SLOT_ID> slots(count);
  if (count > 0) RETURN_IF_ERROR(Check("list the tokens", module->C_GetSlotList(CK_TRUE, slots.data(), &count)));
  slots.resize(count);
  return slots;
}

bool Matches(const P11KitUri* uri, const Slot& slot) {
  CK_INFO module_info{};
  CK_SLOT_INFO slot_info{};
  CK_TOKEN_INFO token_info{};
  return slot.module->C_GetInfo(&module_info) == CKR_OK && p11_kit_uri_match_module_info(uri, &module_info) == 1 &&
         slot.module->C_GetSlotInfo(slot.id, &slot_info) == CKR_OK &&
         p11_kit_uri_match_slot_info(uri, &slot_info) == 1 &&
         slot.module->C_GetTokenInfo(slot.id, &token_info) == CKR_OK &&
         (token_info.flags & CKF_TOKEN_INITIALIZED) != 0 && p11_kit_uri_match_token_info(uri, &token_info) == 1;
}

// Exactly one: a PIN is never tried on a token that was not meant, since three wrong ones lock it.
Result<Slot> FindSlot(const Pkcs11Modules& modules, const P11KitUri* uri) {
  std::vector<Slot> found;
  for (CK_FUNCTION_LIST* module : modules.all()) {
    const auto slots = SlotsOf(module);
    if (!slots) continue;  // a module of another token that is broken
    for (const CK_SLOT_ID id : *slots) {
      if (Matches(uri, {module, id})) found.push_back({module, id});
    }
  }
  if (found.empty()) return Fail(Code::kNotFound, "no token that is plugged in fits the PKCS#11 URI");
  if (found.size() > 1) {
    return Fail(Code::kConflict, "{} tokens fit the PKCS#11 URI: let it name the token's label or serial number",
                found.size());
  }
  return found.front();
}

// From the URI's pin-value or pin-source (RFC 7512 section 2.4), else what the caller was given.
Result<SecretBytes> PinOf(const P11KitUri* uri, const SecretBytes& given) {
  if (const char* value = p11_kit_uri_get_pin_value(uri)) return SecretBytes::CopyOf(AsBytes(std::string_view(value)));
  const char* source = p11_kit_uri_get_pin_source(uri);
  if (!source) return SecretBytes::CopyOf(given.RevealForUse());
  std::string_view path = source;
  if (path.starts_with("file:")) path.remove_prefix(5);
  ASSIGN_OR_RETURN(const SecretBytes text, ReadSecretFile(Path(path)));
  ByteView pin = text.RevealForUse();
  while (!pin.empty() && (pin.back() == '\n' || pin.back() == '\r')) pin = pin.first(pin.size() - 1);
  return SecretBytes::CopyOf(pin);
}

}  // namespace

Result<KeyTokenUri> ParseKeyTokenUri(const std::string& text) {
  KeyTokenUri uri(p11_kit_uri_new());
  TRIBUTARY_CHECK(uri != nullptr);
  const int parsed = p11_kit_uri_parse(text.c_str(), P11_KIT_URI_FOR_ANY, uri.get());
  if (parsed != P11_KIT_URI_OK || p11_kit_uri_any_unrecognized(uri.get())) {
    const char* why =
        parsed == P11_KIT_URI_OK ? "it has an attribute that nobody here knows" : p11_kit_uri_message(parsed);
    return Fail(Code::kInvalidArgument, "not a PKCS#11 URI (RFC 7512): {}", why);
  }
  return uri;
}

Result<Pkcs11Modules> Pkcs11Modules::Load(const P11KitUri* uri) {
  Pkcs11Modules modules;
  if (const char* path = p11_kit_uri_get_module_path(uri)) {
    modules.single_ = p11_kit_module_load(path, 0);
    if (!modules.single_) return Fail(Code::kNotFound, "cannot load the PKCS#11 module {}", path);
    if (const CK_RV answer = p11_kit_module_initialize(modules.single_); answer != CKR_OK) {
      p11_kit_module_release(std::exchange(modules.single_, nullptr));
      return Refusal(fmt::format("start the PKCS#11 module {}", path), answer);
    }
    return modules;
  }
  modules.configured_ = p11_kit_modules_load_and_initialize(0);
  if (!modules.configured_) return Fail(Code::kUnreachable, "cannot load this machine's PKCS#11 modules");
  return modules;
}

Pkcs11Modules::Pkcs11Modules(Pkcs11Modules&& other) noexcept
    : configured_(std::exchange(other.configured_, nullptr)), single_(std::exchange(other.single_, nullptr)) {}

Pkcs11Modules::~Pkcs11Modules() {
  if (configured_) p11_kit_modules_finalize_and_release(configured_);
  if (single_) {
    p11_kit_module_finalize(single_);
    p11_kit_module_release(single_);
  }
}

std::vector<CK_FUNCTION_LIST*> Pkcs11Modules::all() const {
  std::vector<CK_FUNCTION_LIST*> modules;
  if (single_) modules.push_back(single_);
  for (CK_FUNCTION_LIST** at = configured_; at && *at; ++at) modules.push_back(*at);
  return modules;
}

Result<std::unique_ptr<Pkcs11Session>> Pkcs11Session::Open(const P11KitUri* uri, const SecretBytes& pin) {
  ASSIGN_OR_RETURN(Pkcs11Modules modules, Pkcs11Modules::Load(uri));
  ASSIGN_OR_RETURN(const Slot slot, FindSlot(modules, uri));
  std::unique_ptr<Pkcs11Session> session(new Pkcs11Session(std::move(modules), slot.module, slot.id));
  RETURN_IF_ERROR(Check("open a session with the token",
                        slot.module->C_OpenSession(slot.id, CKF_SERIAL_SESSION, nullptr, nullptr, &session->session_)));
  RETURN_IF_ERROR(session->LogIn(uri, pin));
  return session;
}

Pkcs11Session::~Pkcs11Session() {
  if (session_ != 0) module_->C_CloseSession(session_);  // ends the login as well when it is the last
}

Status Pkcs11Session::LogIn(const P11KitUri* uri, const SecretBytes& given) const {
  CK_TOKEN_INFO info{};
  RETURN_IF_ERROR(Check("read the token", module_->C_GetTokenInfo(slot_, &info)));
  if ((info.flags & CKF_LOGIN_REQUIRED) == 0) return {};
  ASSIGN_OR_RETURN(const SecretBytes pin, PinOf(uri, given));
  // Tokens with a pad of their own take no PIN from here.
  if (pin.empty() && (info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) == 0)
    return Fail(Code::kUnauthorized, "the token wants a PIN, and none was given");
  const ByteView text = pin.RevealForUse();
  const CK_RV answer = module_->C_Login(session_, CKU_USER,
                                        pin.empty() ? nullptr : const_cast<CK_UTF8CHAR_PTR>(text.data()), text.size());
  if (answer == CKR_USER_ALREADY_LOGGED_IN) return {};
  return Check("log in to the token", answer);
}

bool Pkcs11Session::Has(CK_MECHANISM_TYPE mechanism) const {
  CK_MECHANISM_INFO info{};
  return module_->C_GetMechanismInfo(slot_, mechanism, &info) == CKR_OK && (info.flags & CKF_SIGN) != 0;
}

Result<std::vector<CK_OBJECT_HANDLE>> Pkcs11Session::Find(std::span<CK_ATTRIBUTE> with) const {
  std::vector<CK_OBJECT_HANDLE> found(2);
  CK_ULONG count = 0;
  RETURN_IF_ERROR(Check("search the token", module_->C_FindObjectsInit(session_, with.data(), with.size())));
  const CK_RV answer = module_->C_FindObjects(session_, found.data(), found.size(), &count);
  module_->C_FindObjectsFinal(session_);
  RETURN_IF_ERROR(Check("search the token", answer));
  found.resize(count);
  return found;
}

Result<Bytes> Pkcs11Session::Read(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE attribute) const {
  Bytes value(256);  // ids, points and curve names are far shorter
  CK_ATTRIBUTE wanted{attribute, value.data(), value.size()};
  const CK_RV answer = module_->C_GetAttributeValue(session_, object, &wanted, 1);
  if (answer == CKR_ATTRIBUTE_TYPE_INVALID || answer == CKR_ATTRIBUTE_SENSITIVE) return Bytes();
  RETURN_IF_ERROR(Check("read from the token", answer));
  value.resize(wanted.ulValueLen);
  return value;
}

Result<Bytes> Pkcs11Session::Sign(CK_OBJECT_HANDLE key, CK_MECHANISM_TYPE type, ByteView message, size_t size) const {
  CK_MECHANISM mechanism{type, nullptr, 0};
  RETURN_IF_ERROR(Check("sign with the token", module_->C_SignInit(session_, &mechanism, key)));
  Bytes signature(size);
  CK_ULONG length = size;
  RETURN_IF_ERROR(Check("sign with the token", module_->C_Sign(session_, const_cast<CK_BYTE_PTR>(message.data()),
                                                               message.size(), signature.data(), &length)));
  if (length != size) return Fail(Code::kNotSupported, "the token made a signature of {} bytes, not {}", length, size);
  return signature;
}

}  // namespace tributary
