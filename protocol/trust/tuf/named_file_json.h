#pragma once

#include "protocol/trust/tuf/canonical_json.h"
#include "protocol/trust/tuf/metadata.h"

// What metadata says of other files, as JSON and back. For the .cc files of this folder. Of hashes only SHA-256 is
// read. kMalformed.
namespace tributary::tuf {

Json::Object FileToJson(const FileMeta& file);
Result<FileMeta> FileFromJson(const Json& from);

Json::Object FileToJson(const TargetFile& file);
Result<TargetFile> TargetFromJson(const Json& from);

}  // namespace tributary::tuf
