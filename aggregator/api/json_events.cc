#include "aggregator/api/json_events.h"

#include "aggregator/api/json_time.h"
#include "aggregator/api/json_values.h"

namespace tributary {

std::string ToJson(const CoordinatorEvent& event) {
  return Dump({{"name", event.name},
               {"at", Rfc3339(event.at)},
               {"task", event.task.empty() ? Json() : Json(event.task.text())},
               {"round", event.round == 0 ? Json() : Json(event.round)},
               {"reports", event.reports},
               {"version", VersionOrNull(event.version)},
               {"member", nullptr}});
}

std::string ToJson(const EnrolmentEvent& event) {
  return Dump(
      {{"name", event.name},
       {"at", Rfc3339(event.at)},
       {"task", nullptr},
       {"round", nullptr},
       {"reports", 0},
       {"version", nullptr},
       {"member", {{"id", event.id.text()}, {"role", RoleName(event.role)}, {"device_class", event.device_class}}}});
}

}  // namespace tributary
