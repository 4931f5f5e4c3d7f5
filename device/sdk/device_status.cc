#include "device/sdk/device_status.h"

#include <nlohmann/json.hpp>

#include "device/agent/agent_state.h"
#include "device/sdk/include/tributary/tributary.h"
#include "protocol/spool/spool_reader.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

Result<std::string> StatusJson(const KnownOfDevice& known, WallTime now) {
  nlohmann::ordered_json json = {{"version", tributary_version()}, {"runs", known.runs}};
  const auto identity = LoadIdentity(known.identity_dir, now);
  json["enrolled"] = identity.has_value();
  if (identity) {
    json["id"] = identity->subject.id.text();
    json["role"] = RoleName(identity->subject.role);
  }
  ASSIGN_OR_RETURN(const AgentState state, AgentState::Load(RealFileSystem(), known.data_dir / "state"));
  json["tasks"] = nlohmann::ordered_json::array();
  for (const auto& [id, progress] : state.tasks()) {
    nlohmann::ordered_json task = {{"task", id.text()},
                                   {"phase", TaskPhaseName(progress.phase)},
                                   {"version", Number(progress.version)},
                                   {"round", progress.round}};
    if (const auto failed = state.failures().find(id); failed != state.failures().end()) {
      const TaskFailure& failure = failed->second;
      task["failure"] = {{"code", static_cast<int>(failure.code)},
                         {"name", Name(failure.code)},
                         {"text", failure.sentence},
                         {"count", failure.count},
                         {"version", Number(failure.version)}};
    }
    json["tasks"].push_back(std::move(task));
  }
  SpoolAccount account;
  const auto outbox = SpoolReader::Open(known.data_dir / "outbox", RealFileSystem());
  if (!outbox && outbox.error().code != Code::kNotFound) return Fail(outbox.error());
  if (outbox) {
    ASSIGN_OR_RETURN(account, (*outbox)->Account());
  }
  json["outbox"] = {{"waiting", account.Spooled()}, {"bytes", account.bytes}};
  json["collections"] = nlohmann::ordered_json::array();
  for (const CollectionInfo& info : known.collections) {
    json["collections"].push_back({{"name", info.settings.name},
                                   {"examples", info.examples},
                                   {"bytes", info.bytes},
                                   {"purpose", info.settings.purpose}});
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace tributary
