#pragma once

#include <string>
#include <string_view>

#include "protocol/base/file.h"
#include "protocol/base/result.h"
#include "protocol/trust/identity/certificate.h"
#include "protocol/trust/seal/secret.h"

// The files of identity and authority folders. Private to this folder.
namespace tributary {

inline constexpr const char* kCaFile = "ca.pem";
inline constexpr const char* kPublicationRootFile = "root.json";

// kMissingData names a file that is not there.
Result<std::string> ReadPem(const Path& path);
Result<SecretBytes> ReadSecret(const Path& path);
// ca.pem, and root.json unless it is empty.
Status WriteAnchor(FileSystem& files, const Path& folder, const Certificate& ca, ByteView publication_root);

}  // namespace tributary
