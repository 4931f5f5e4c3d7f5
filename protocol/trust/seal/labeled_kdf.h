#pragma once

#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/trust/seal/secret.h"

// HKDF-SHA256 (RFC 5869) under the labels of RFC 9180 section 4. Private to this folder.
namespace tributary {

inline constexpr size_t kHashBytes = 32;

// "KEM" || I2OSP(0x0020, 2): DHKEM(X25519, HKDF-SHA256).
Bytes KemSuite();

// A pseudorandom key of 32 bytes.
SecretBytes LabeledExtract(ByteView suite, ByteView salt, std::string_view label, ByteView keying_material);
// `length`: at most 255 * 32 bytes.
SecretBytes LabeledExpand(ByteView suite, const SecretBytes& key, std::string_view label, ByteView info, size_t length);

}  // namespace tributary
