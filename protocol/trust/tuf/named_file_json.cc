#include "protocol/trust/tuf/named_file_json.h"

#include "protocol/trust/tuf/json_members.h"

namespace tributary::tuf {
namespace {

Json::Object HashesOf(const Digest& sha256) { return {{"sha256", sha256.hex()}}; }

Result<Digest> HashIn(const Json& from) {
  ASSIGN_OR_RETURN(const std::string hex, Text(from, "sha256"));
  return Digest::FromHex(hex);
}

}  // namespace

Json::Object FileToJson(const FileMeta& file) {
  Json::Object to{{"version", file.version}};
  if (file.length) to.emplace("length", *file.length);
  if (file.sha256) to.emplace("hashes", HashesOf(*file.sha256));
  return to;
}

Result<FileMeta> FileFromJson(const Json& from) {
  FileMeta to;
  ASSIGN_OR_RETURN(to.version, Version(from));
  if (from.Find("length") != nullptr) {
    ASSIGN_OR_RETURN(to.length, Count(from, "length"));
  }
  if (const Json* hashes = from.Find("hashes")) {
    ASSIGN_OR_RETURN(to.sha256, HashIn(*hashes));
  }
  return to;
}

Json::Object FileToJson(const TargetFile& file) { return {{"length", file.length}, {"hashes", HashesOf(file.sha256)}}; }

Result<TargetFile> TargetFromJson(const Json& from) {
  TargetFile to;
  ASSIGN_OR_RETURN(to.length, Count(from, "length"));
  const Json* hashes = from.Find("hashes");
  ASSIGN_OR_RETURN(to.sha256, HashIn(hashes == nullptr ? Json() : *hashes));
  return to;
}

}  // namespace tributary::tuf
