#include "protocol/catalogue/trusted_file.h"

#include "protocol/schema/canonical.h"
#include "protocol/schema/publication.capnp.h"

namespace tributary {

Bytes EncodeTrusted(const Digest& anchor, const tuf::TrustedFiles& files) {
  return wire::EncodeCanonical<schema::TrustedMetadata>([&](schema::TrustedMetadata::Builder to) {
    to.setAnchor(wire::ToData(anchor.view()));
    to.setRoot(wire::ToData(files.root));
    to.setTimestamp(wire::ToData(files.timestamp));
    to.setSnapshot(wire::ToData(files.snapshot));
  });
}

Result<tuf::TrustedFiles> DecodeTrusted(ByteView bytes, const Digest& anchor) {
  const auto read = [&](schema::TrustedMetadata::Reader from) -> Result<tuf::TrustedFiles> {
    ASSIGN_OR_RETURN(const Digest of, Digest::FromBytes(wire::View(from.getAnchor())));
    if (of != anchor) return Fail(Code::kConflict, "it begins with another root than this member's");
    return tuf::TrustedFiles{ToBytes(wire::View(from.getRoot())), ToBytes(wire::View(from.getTimestamp())),
                             ToBytes(wire::View(from.getSnapshot()))};
  };
  ASSIGN_OR_RETURN(auto files, wire::DecodeCanonical<schema::TrustedMetadata>(bytes, "trusted metadata", read));
  RETURN_IF_ERROR(tuf::TrustedMetadata::Begin(files, tuf::kAnyTime));
  return files;
}

}  // namespace tributary
