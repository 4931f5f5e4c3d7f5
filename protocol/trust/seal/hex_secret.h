#pragma once

#include "protocol/base/result.h"
#include "protocol/trust/seal/secret.h"

namespace tributary {

// How raw keys stand in a file: one line of lower-case hexadecimal. Nothing of the secret stays behind in other memory.
SecretBytes ToHexLine(const SecretBytes& secret);
// `text` may end in line ends and blanks. kMalformed: not exactly `size` bytes in hexadecimal.
Result<SecretBytes> FromHexLine(const SecretBytes& text, size_t size);

}  // namespace tributary
