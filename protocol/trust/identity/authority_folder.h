#pragma once

#include <string>

#include "protocol/base/file.h"
#include "protocol/base/result.h"
#include "protocol/trust/identity/certificate_authority.h"
#include "protocol/trust/seal/secret.h"

// The folder of a CA or of an issuer:
//   ca.pem                   the fleet's CA certificate
//   ca.key                   its key, mode 0600: in the CA's own folder only, which may be offline
//   issuer.pem, issuer.key   an issuer's certificate by that CA, and its key, mode 0600: in an issuer's folder only
//   root.json                the publication's root metadata, which new members are given; absent: none
namespace tributary {

// Reads either kind. kMissingData names the file that is not there; kPermissions; kMalformed.
Result<CertificateAuthority> LoadAuthority(const Path& folder);
// Empty when the folder has none.
Result<Bytes> ReadPublicationRoot(const Path& folder);
// Writes a CA's or an issuer's folder. kAlreadyExists: it holds a key.
Status SaveAuthority(const CertificateAuthority& authority, const Path& folder, ByteView publication_root);

// ---- for identity folders too, in this room
inline constexpr const char* kCaFile = "ca.pem";
inline constexpr const char* kCertificateFile = "cert.pem";
inline constexpr const char* kPublicationRootFile = "root.json";

// kMissingData names a file that is not there.
Result<std::string> ReadPem(const Path& path);
Result<SecretBytes> ReadSecret(const Path& path);
// ca.pem, and root.json unless it is empty.
Status WriteAnchor(FileSystem& files, const Path& folder, const Certificate& ca, ByteView publication_root);

}  // namespace tributary
