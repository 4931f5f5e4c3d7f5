#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/seal/certificate.h"

// How a Subject stands in a certificate: one subjectAltName URI per field. Private to this folder.
namespace tributary {

inline constexpr size_t kCurveKeyBytes = 32;

// kInvalidArgument: a field that a certificate cannot say.
Result<std::vector<std::string>> SubjectToUris(const Subject& subject);
// Each field at most once, none unknown, none missing that the role needs; kMalformed otherwise.
Result<Subject> SubjectFromUris(const std::vector<std::string_view>& uris);

}  // namespace tributary
