#include "aggregator/api/json_api_tokens.h"

#include <nlohmann/json.hpp>

#include "aggregator/api/json_time.h"

namespace tributary {

std::string ToJson(const ApiTokenRecord& token) {
  using Json = nlohmann::ordered_json;
  const Json json = {{"name", token.name},
                     {"role", AccessName(token.role)},
                     {"created", Rfc3339(token.created)},
                     {"expires", token.expires.unix_millis == 0 ? Json() : Json(Rfc3339(token.expires))}};
  return json.dump();
}

}  // namespace tributary
