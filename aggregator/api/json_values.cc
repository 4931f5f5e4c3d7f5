#include "aggregator/api/json_values.h"

namespace tributary {

Json VersionOrNull(ModelVersion version) { return Number(version) == 0 ? Json() : Json(Number(version)); }

Json BlobToJson(const BlobRef& blob) { return {{"digest", blob.digest.hex()}, {"size", blob.size}}; }

Json ByReason(const std::map<Code, uint64_t>& counts) {
  Json object = Json::object();
  for (const auto& [code, count] : counts) object[std::string(Name(code))] = count;
  return object;
}

}  // namespace tributary
