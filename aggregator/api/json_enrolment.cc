#include "aggregator/api/json_enrolment.h"

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "aggregator/api/json_fleet.h"
#include "aggregator/api/json_time.h"

namespace tributary {
namespace {

constexpr uint64_t kDay = 24ull * 3600;
constexpr size_t kLabels = 16;
constexpr size_t kReasonBytes = 256;

Json TimeOrNull(WallTime time) { return time.unix_millis == 0 ? Json() : Json(Rfc3339(time)); }
Json TextOrNull(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json Token(const EnrolmentTokenRecord& token) {
  return {{"id", token.id},
          {"role", RoleName(token.role)},
          {"device_class", token.device_class},
          {"labels", token.labels},
          {"created", Rfc3339(token.created)},
          {"created_by", token.created_by},
          {"expires", Rfc3339(token.expires)},
          {"uses", token.uses},
          {"used", token.used},
          {"approved", token.approved}};
}

Json Enrolled(const EnrolledMember& member) {
  return {{"state", EnrolmentStateName(member.state)},
          {"role", RoleName(member.role)},
          {"device_class", member.device_class},
          {"labels", member.labels},
          {"token", TextOrNull(member.token)},
          {"public_key", ToHex(member.public_key)},
          {"serial", TextOrNull(member.serial)},
          {"requested", TimeOrNull(member.requested)},
          {"issued", TimeOrNull(member.issued)},
          {"not_after", TimeOrNull(member.not_after)},
          {"renewals", member.renewals},
          {"reason", TextOrNull(member.reason)}};
}

Json Report(const DeviceStateRecord& record) {
  const DeviceState& report = record.report;
  Json installed = Json::array();
  for (const auto& [task, version] : report.installed) {
    installed.push_back(
        {{"task", task.text()}, {"version", Number(version.version)}, {"weights", version.weights.hex()}});
  }
  Json counters = Json::object();
  for (const auto& [name, count] : report.counters) counters[name] = count;
  Json rejections = Json::array();
  for (const auto& [code, rejected] : report.rejections) {
    rejections.push_back({{"code", Name(code)},
                          {"count", rejected.count},
                          {"last", Rfc3339(rejected.last)},
                          {"last_sentence", rejected.last_sentence}});
  }
  return {{"received", Rfc3339(record.received)},
          {"sequence", report.sequence},
          {"boots", report.boots},
          {"publication", report.publication_number},
          {"root_version", report.root_version},
          {"time_floor", TimeOrNull(report.time_floor)},
          {"withheld", TextOrNull(report.withheld)},
          {"installed", std::move(installed)},
          {"counters", std::move(counters)},
          {"rejections", std::move(rejections)}};
}

// Who was only enrolled has no use of the aggregator yet; who was only seen has a certificate made by hand.
Json Member(const MemberView& view) {
  MemberRecord seen = view.seen.value_or(MemberRecord{});
  if (!view.seen) {
    seen.id = view.id;
    seen.role = view.enrolment ? RoleName(view.enrolment->role) : RoleName(Role::kDevice);
    seen.device_class = view.enrolment ? view.enrolment->device_class : "";
  }
  Json member = Json::parse(ToJson(std::span<const MemberRecord>(&seen, 1))).at("items").at(0);
  if (!view.seen) member["first_seen"] = member["last_seen"] = Json();
  member["enrolment"] = view.enrolment ? Enrolled(*view.enrolment) : Json();
  member["report"] = view.report ? Report(*view.report) : Json();
  return member;
}

Result<Role> EnrolmentRole(std::string_view name) {
  for (const Role role : {Role::kDevice, Role::kEvaluator, Role::kGateway}) {
    if (RoleName(role) == name) return role;
  }
  return Fail(Code::kInvalidArgument, "must be device, evaluator or gateway");
}

void TakeLabels(Fields& fields, std::vector<std::string>& labels) {
  const Json* list = fields.Find("labels");
  if (!list) return;
  const bool fits = list->is_array() && list->size() <= kLabels &&
                    std::ranges::all_of(*list, [](const Json& label) { return label.is_string(); });
  if (!fits) return fields.Keep("labels", "must be a list of at most " + std::to_string(kLabels) + " names");
  for (const Json& label : *list) {
    labels.push_back(label.get<std::string>());
    if (const Status name = CheckName(labels.back(), "label"); !name) fields.Keep("labels:", name.error().message);
  }
}

void TakeFlag(Fields& fields, const std::string& key, bool& out) {
  const Json* value = fields.Find(key);
  if (!value) return;
  if (!value->is_boolean()) return fields.Keep(key, "must be true or false");
  out = value->get<bool>();
}

}  // namespace

Result<EnrolmentTokenRecord> EnrolmentTokenFromJson(std::string_view body, WallTime now) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  EnrolmentTokenRecord token;
  Fields fields(json, "");
  uint64_t seconds = 7 * kDay;
  fields.Text("id", token.id, true);
  if (const Status name = CheckName(token.id, "id"); !name) fields.Keep("id:", name.error().message);
  fields.Parsed("role", token.role, &EnrolmentRole);
  fields.Text("device_class", token.device_class);
  if (token.role == Role::kGateway && !token.device_class.empty()) fields.Keep("device_class", "is not for gateways");
  TakeLabels(fields, token.labels);
  fields.Whole("expires_seconds", seconds, 60, 365 * kDay);
  fields.Whole("uses", token.uses, 1, 1'000'000);
  TakeFlag(fields, "approved", token.approved);
  RETURN_IF_ERROR(fields.Finish());
  token.created = now;
  token.expires = now + std::chrono::seconds(seconds);
  return token;
}

std::string ToJson(const EnrolmentTokenRecord& token) { return Dump(Token(token)); }

std::string ToJson(std::span<const EnrolmentTokenRecord> tokens) {
  Json items = Json::array();
  for (const auto& token : tokens) items.push_back(Token(token));
  return Dump({{"items", std::move(items)}});
}

std::string NewTokenToJson(const EnrolmentTokenRecord& token, std::string_view invitation) {
  return Dump({{"token", Token(token)}, {"invitation", Json::parse(invitation, nullptr, false)}});
}

Result<std::string> ReasonFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  std::string reason;
  Fields fields(json, "");
  fields.Text("reason", reason, true);
  if (reason.empty() || reason.size() > kReasonBytes) {
    fields.Keep("reason", "must be of 1 to " + std::to_string(kReasonBytes) + " bytes");
  }
  RETURN_IF_ERROR(fields.Finish());
  return reason;
}

std::string ToJson(const MemberView& member) { return Dump(Member(member)); }

std::string ToJson(std::span<const MemberView> members, const std::optional<std::string>& next_cursor) {
  Json items = Json::array();
  for (const auto& member : members) items.push_back(Member(member));
  return Dump({{"items", std::move(items)}, {"next_cursor", next_cursor ? Json(*next_cursor) : Json()}});
}

std::string ToJson(const EnrolledMember& member) { return Dump(Enrolled(member)); }

Result<Millis> RotationFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  uint64_t days = 14;
  Fields fields(json, "");
  fields.Whole("overlap_days", days, 0, 365);
  RETURN_IF_ERROR(fields.Finish());
  return std::chrono::hours(24 * days);
}

std::string ToJson(const SealingKeyList& keys) {
  Json items = Json::array({{{"id", keys.current.hex()}, {"state", "current"}, {"until", Json()}}});
  for (const auto& key : keys.former) {
    items.push_back({{"id", key.id.hex()}, {"state", "former"}, {"until", Rfc3339(key.until)}});
  }
  return Dump({{"items", std::move(items)}});
}

}  // namespace tributary
