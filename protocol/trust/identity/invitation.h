#pragma once

#include <string>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/trust/identity/certificate.h"
#include "protocol/trust/identity/enrolment_request.h"

namespace tributary {

// What an operator hands to whoever sets up a member, as one JSON file: the token (secret), and what the member has to
// believe from the start. Form:
//   {"tributary_invitation": 1, "fleet": "<common name of the CA>", "role": "device", "token": "tri_…",
//    "ca_pem": "…", "root_json": "…the publication's root.json, byte for byte…", "sealing_key": "<64 hex digits>",
//    "aead": 2}
// Unknown fields are refused: a newer form has a higher number.
struct Invitation {
  std::string fleet;
  Role role = Role::kDevice;
  SecretBytes token;
  std::string ca_pem;
  Bytes root;  // the publication's root metadata, as published; may be empty
  SealingTarget target;
};

Bytes EncodeInvitation(const Invitation& invitation);
// kMalformed names the field; kVersionUnsupported; kTooLarge (over limits::kInvitationBytes).
Result<Invitation> DecodeInvitation(ByteView bytes);

// Makes an identity folder of it, but for the certificate: ca.pem, root.json, key.pem, curve.key, and `request` (the
// sealed enrolment, so that the very same bytes are sent after a restart). Continues one that was begun, with its keys;
// another invitation or id makes another request. `id`: the id it would like; empty: the fleet chooses. Returns the
// sealed request. kAlreadyExists: the folder holds a whole identity.
Result<Bytes> BeginIdentity(FileSystem& files, const Path& folder, const Invitation& invitation, const std::string& id,
                            WallTime now);
// The certificate came: checks that it is for these keys and of this fleet, writes cert.pem, removes `request`.
// kMissingData: nothing was begun here. kConflict: it is for other keys. The errors of TrustAnchor::Verify.
Status CompleteIdentity(FileSystem& files, const Path& folder, const std::vector<Bytes>& chain, WallTime now);

}  // namespace tributary
