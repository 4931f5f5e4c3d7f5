#include "aggregator/store/watch_tables.h"

#include "protocol/hop/messages.h"

namespace tributary {
namespace {

// A state is stored as it travels: a check-in with nothing else in it.
Bytes StoredState(const GatewayState& report) {
  hop::CheckIn check_in;
  check_in.reports = {report};
  return hop::Encode(check_in);
}

GatewayState ReadState(const DeviceId& gateway, ByteView bytes) {
  const auto message = hop::Decode(bytes);
  const auto* check_in = message ? std::get_if<hop::CheckIn>(&*message) : nullptr;
  if (check_in != nullptr && check_in->reports.size() == 1) return check_in->reports.front();
  GatewayState unknown;
  unknown.gateway = gateway;
  return unknown;
}

Result<DeviceStateRecord> ReadDeviceState(const Row& row) {
  DeviceStateRecord record;
  Bytes bytes;
  RETURN_IF_ERROR(row.Into(record.device, record.upload, record.received, bytes));
  auto report = DecodeDeviceState(bytes);
  if (!report) return Fail(Code::kCorrupt, "the state of {}: {}", record.device.text(), report.error().ToString());
  record.report = std::move(*report);
  return record;
}

#define TRIBUTARY_WATCHED_MEMBER_COLUMNS                                                                             \
  "id, role, device_class, first_seen, last_seen, via, uploads, spooled_uploads, spooled_bytes, delivered_uploads, " \
  "connected_clients"

Result<MemberRecord> ReadMemberRecord(const Row& row) {
  MemberRecord member;
  RETURN_IF_ERROR(row.Into(member.id, member.role, member.device_class, member.first_seen, member.last_seen, member.via,
                           member.uploads, member.spooled_uploads, member.spooled_bytes, member.delivered_uploads,
                           member.connected_clients));
  return member;
}

Result<GatewayRecord> ReadGateway(const Row& row) {
  GatewayRecord gateway;
  DeviceId id;
  Bytes state;
  RETURN_IF_ERROR(row.Into(id, gateway.via, gateway.made, gateway.first_seen, gateway.last_seen, state));
  gateway.report = ReadState(id, state);
  return gateway;
}

Result<EvaluationTotal> ReadTotal(const Row& row) {
  EvaluationTotal total;
  RETURN_IF_ERROR(row.Into(total.reports, total.examples, total.correct));
  return total;
}

}  // namespace

Status MemberTable::Save(const MemberRecord& member) {
  return database_.Write(
      "INSERT INTO members (" TRIBUTARY_WATCHED_MEMBER_COLUMNS
      ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET role = excluded.role, device_class = "
      "excluded.device_class, first_seen = excluded.first_seen, last_seen = excluded.last_seen, via = excluded.via, "
      "uploads = excluded.uploads, spooled_uploads = excluded.spooled_uploads, spooled_bytes = excluded.spooled_bytes, "
      "delivered_uploads = excluded.delivered_uploads, connected_clients = excluded.connected_clients",
      member.id, member.role, member.device_class, member.first_seen, member.last_seen, member.via, member.uploads,
      member.spooled_uploads, member.spooled_bytes, member.delivered_uploads, member.connected_clients);
}

Result<std::vector<MemberRecord>> MemberTable::All() {
  return database_.QueryAs(ReadMemberRecord, "SELECT " TRIBUTARY_WATCHED_MEMBER_COLUMNS " FROM members ORDER BY id");
}

Status GatewayTable::Save(const GatewayRecord& gateway) {
  return database_.Write(
      "INSERT INTO gateways (id, via, made, first_seen, last_seen, report) VALUES (?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (id) DO UPDATE SET via = excluded.via, made = excluded.made, first_seen = excluded.first_seen, "
      "last_seen = excluded.last_seen, report = excluded.report",
      gateway.report.gateway, gateway.via, gateway.made, gateway.first_seen, gateway.last_seen,
      StoredState(gateway.report));
}

Result<std::vector<GatewayRecord>> GatewayTable::All() {
  return database_.QueryAs(ReadGateway,
                           "SELECT id, via, made, first_seen, last_seen, report FROM gateways ORDER BY id");
}

Status DeviceStateTable::Save(const DeviceStateRecord& record) {
  return database_.Write(
      "INSERT INTO device_reports (device, upload, received, report) VALUES (?, ?, ?, ?) ON CONFLICT (device) DO "
      "UPDATE SET upload = excluded.upload, received = excluded.received, report = excluded.report",
      record.device, record.upload, record.received, EncodeDeviceState(record.report));
}

Result<std::optional<DeviceStateRecord>> DeviceStateTable::Find(const DeviceId& device) {
  return database_.QueryFirst(ReadDeviceState,
                              "SELECT device, upload, received, report FROM device_reports WHERE device = ?", device);
}

Result<std::vector<DeviceStateRecord>> DeviceStateTable::All() {
  return database_.QueryAs(ReadDeviceState,
                           "SELECT device, upload, received, report FROM device_reports ORDER BY device");
}

Status EvaluationTable::Insert(const EvaluationRecord& evaluation) {
  const EvaluationResult& result = evaluation.result;
  const auto mean = [&](const char* name) {
    const auto found = result.metrics.find(name);
    return found == result.metrics.end() || !(found->second.weight > 0) ? 0 : found->second.mean();
  };
  RETURN_IF_ERROR(database_.Write(
      "INSERT INTO evaluations (task, version, device, model, role, upload, examples, loss, accuracy, millis, "
      "received) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      evaluation.task, evaluation.version, evaluation.device, result.model, evaluation.role, evaluation.upload,
      result.examples, mean("loss"), mean("accuracy"), result.millis, evaluation.received));
  return database_.Write(
      "INSERT INTO evaluation_totals (task, version, role, model, reports, examples, correct) VALUES (?, ?, ?, ?, 1, "
      "?, ?) ON CONFLICT (task, version, role, model) DO UPDATE SET reports = evaluation_totals.reports + 1, "
      "examples = evaluation_totals.examples + excluded.examples, correct = evaluation_totals.correct + "
      "excluded.correct",
      evaluation.task, evaluation.version, evaluation.role, result.model, result.examples,
      mean("accuracy") * static_cast<double>(result.examples));
}

Result<EvaluationTotal> EvaluationTable::Total(const TaskId& task, ModelVersion version, const std::string& role,
                                               EvaluatedModel model) {
  ASSIGN_OR_RETURN(const auto total, database_.QueryFirst(ReadTotal,
                                                          "SELECT reports, examples, correct FROM evaluation_totals "
                                                          "WHERE task = ? AND version = ? AND role = ? AND model = ?",
                                                          task, version, role, model));
  return total.value_or(EvaluationTotal{});
}

}  // namespace tributary
