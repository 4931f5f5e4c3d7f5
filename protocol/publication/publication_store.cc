#include "protocol/publication/publication_store.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/publication/publication_form.h"

namespace tributary {

Result<PublicationStore> PublicationStore::Open(FileSystem& files, const Path& file, const TrustAnchor& anchor,
                                                WallTime now) {
  PublicationStore store(files, file, anchor);
  Result<Bytes> bytes = ReadFile(files, file, limits::kPublicationBytes);
  if (!bytes && bytes.error().code == Code::kNotFound) return store;
  if (!bytes && bytes.error().code != Code::kTooLarge) return Fail(std::move(bytes).error());

  Result<Publication> kept = bytes ? OpenKeptPublication(*bytes, anchor, now) : Fail(bytes.error());
  if (kept) {
    store.current_ = std::move(*kept);
    store.bytes_ = std::move(*bytes);
    return store;
  }
  const Path aside = file.parent_path() / "publication.bad";
  RETURN_IF_ERROR(files.Rename(file, aside));
  store.damage_ = Error{Code::kCorrupt, "the kept publication " + file.string() + " does not verify (" +
                                            kept.error().ToString() + "); it was set aside as " + aside.string()};
  return store;
}

Result<bool> PublicationStore::Take(ByteView signed_bytes, WallTime now) {
  if (current_ && std::ranges::equal(signed_bytes, bytes_)) return false;
  ASSIGN_OR_RETURN(Publication publication, OpenPublication(signed_bytes, anchor_, now));
  if (publication.number < number()) {
    return Fail(Code::kRollback,
                "publication " + std::to_string(publication.number) + " came after " + std::to_string(number()));
  }
  if (publication.number == number()) {
    return Fail(Code::kRollback, "another publication " + std::to_string(number()) + " came, with other content");
  }
  RETURN_IF_ERROR(WriteFileAtomically(*files_, file_, signed_bytes));
  current_ = std::move(publication);
  bytes_ = ToBytes(signed_bytes);
  return true;
}

}  // namespace tributary
