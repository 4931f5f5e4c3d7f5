#pragma once

#include <map>
#include <span>
#include <string>

#include "aggregator/api/json_fields.h"
#include "protocol/base/ids.h"
#include "protocol/catalogue/publication.h"

// Values that stand in more than one kind of record, for the json_*.cc of this folder only. What is not known yet is
// null; counts by reason are an object from code name to number.
namespace tributary {

Json VersionOrNull(ModelVersion version);
Json BlobToJson(const BlobRef& blob);
Json ByReason(const std::map<Code, uint64_t>& counts);

// {"items": […]}.
template <class Record>
Json List(std::span<const Record> records, Json (*one)(const Record&)) {
  Json items = Json::array();
  for (const auto& record : records) items.push_back(one(record));
  return {{"items", std::move(items)}};
}

}  // namespace tributary
