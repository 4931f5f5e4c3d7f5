#include "aggregator/api/json_codes.h"

#include "aggregator/api/json_fields.h"

namespace tributary {

std::string CodesToJson() {
  Json items = Json::array();
  for (const auto& entry : AllCodes()) {
    items.push_back({{"code", entry.name},
                     {"number", static_cast<int>(entry.code)},
                     {"kind", CodeKindName(entry.kind)},
                     {"sentence", entry.sentence},
                     {"remedy", entry.remedy},
                     {"transient", entry.transient}});
  }
  return Dump({{"items", std::move(items)}});
}

}  // namespace tributary
