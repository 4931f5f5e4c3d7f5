#pragma once

#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace tributary {

// A file inside a zip archive; views of the archive's bytes.
struct ZipRecord {
  std::string name;  // behind the top folder, in lower case: "code/__torch__.py"
  ByteView packed;
  uint64_t size = 0;  // unpacked
  bool deflated = false;
};

// The records of a zip archive whose files all lie below one top folder, read as LibTorch's reader (miniz) reads it.
// Two readers of one zip archive can see different files: a second directory, a name in an extra field, two names that
// differ in case. So this one takes only the plain form that torch.jit.save and ordinary zip programs write, in which
// there is nothing to see differently. Bounds: `most` records; every record within the archive; nothing is unpacked
// yet. kMalformed: not a zip archive. kModelRefused: a zip archive of another form; the message names the record.
Result<std::vector<ZipRecord>> ReadZipRecords(ByteView archive, size_t most);

// The record's bytes. kTooLarge: over `limit`, before anything is allocated. kModelRefused: not what its size says.
Result<std::string> Unpack(const ZipRecord& record, uint64_t limit);

}  // namespace tributary
