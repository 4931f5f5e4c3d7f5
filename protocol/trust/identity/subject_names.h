#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/trust/identity/certificate.h"

// How a Subject stands in a certificate: one subjectAltName URI per field. Private to this folder.
namespace tributary {

inline constexpr size_t kCurveKeyBytes = 32;

// kInvalidArgument: a field that a certificate cannot say.
Result<std::vector<std::string>> SubjectToUris(const Subject& subject);
// Each field at most once, none unknown, none missing that the role needs; kMalformed otherwise.
Result<Subject> SubjectFromUris(const std::vector<std::string_view>& uris);

// The same for a certificate request, which may name an id and names no role or class.
struct RequestedSubject {
  std::optional<DeviceId> id;
  Bytes curve_public_key;  // 32 bytes
};
Result<std::vector<std::string>> RequestedSubjectToUris(const RequestedSubject& subject);
Result<RequestedSubject> RequestedSubjectFromUris(const std::vector<std::string_view>& uris);

}  // namespace tributary
