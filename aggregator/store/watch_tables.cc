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
  ASSIGN_OR_RETURN(record.device, DeviceId::Parse(row.Text(0)));
  ASSIGN_OR_RETURN(record.upload, UploadId::FromBytes(row.Blob(1)));
  record.received = {row.Int(2)};
  auto report = DecodeDeviceState(row.Blob(3));
  if (!report) {
    return Fail(Code::kCorrupt, "the state of {}: {}", record.device.text(), report.error().ToString());
  }
  record.report = std::move(*report);
  return record;
}

}  // namespace

Status MemberTable::Save(const MemberRecord& member) {
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO members (id, role, device_class, first_seen, last_seen, via, uploads, spooled_uploads, "
      "spooled_bytes, "
      "delivered_uploads, connected_clients) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (id) DO UPDATE SET role = excluded.role, device_class = excluded.device_class, "
      "first_seen = excluded.first_seen, last_seen = excluded.last_seen, via = excluded.via, uploads = "
      "excluded.uploads, "
      "spooled_uploads = excluded.spooled_uploads, spooled_bytes = excluded.spooled_bytes, "
      "delivered_uploads = excluded.delivered_uploads, connected_clients = excluded.connected_clients",
      member.id, member.role, member.device_class, member.first_seen.unix_millis, member.last_seen.unix_millis,
      member.via, member.uploads, member.spooled_uploads, member.spooled_bytes, member.delivered_uploads,
      member.connected_clients));
  return {};
}

Result<std::vector<MemberRecord>> MemberTable::All() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT id, role, device_class, first_seen, last_seen, via, uploads, "
                                   "spooled_uploads, spooled_bytes, delivered_uploads, connected_clients FROM members "
                                   "ORDER BY id"));
  std::vector<MemberRecord> members;
  for (const Row& row : rows) {
    MemberRecord member;
    ASSIGN_OR_RETURN(member.id, DeviceId::Parse(row.Text(0)));
    member.role = row.Text(1);
    member.device_class = row.Text(2);
    member.first_seen = {row.Int(3)};
    member.last_seen = {row.Int(4)};
    ASSIGN_OR_RETURN(member.via, DeviceId::Parse(row.Text(5)));
    member.uploads = static_cast<uint64_t>(row.Int(6));
    member.spooled_uploads = static_cast<uint64_t>(row.Int(7));
    member.spooled_bytes = static_cast<uint64_t>(row.Int(8));
    member.delivered_uploads = static_cast<uint64_t>(row.Int(9));
    member.connected_clients = static_cast<uint64_t>(row.Int(10));
    members.push_back(std::move(member));
  }
  return members;
}

Status GatewayTable::Save(const GatewayRecord& gateway) {
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO gateways (id, via, made, first_seen, last_seen, report) VALUES (?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (id) DO UPDATE SET via = excluded.via, made = excluded.made, first_seen = excluded.first_seen, "
      "last_seen = excluded.last_seen, report = excluded.report",
      gateway.report.gateway, gateway.via, gateway.made.unix_millis, gateway.first_seen.unix_millis,
      gateway.last_seen.unix_millis, StoredState(gateway.report)));
  return {};
}

Result<std::vector<GatewayRecord>> GatewayTable::All() {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT id, via, made, first_seen, last_seen, report FROM gateways "
                                                    "ORDER BY id"));
  std::vector<GatewayRecord> gateways;
  for (const Row& row : rows) {
    GatewayRecord gateway;
    ASSIGN_OR_RETURN(const DeviceId id, DeviceId::Parse(row.Text(0)));
    ASSIGN_OR_RETURN(gateway.via, DeviceId::Parse(row.Text(1)));
    gateway.made = {row.Int(2)};
    gateway.first_seen = {row.Int(3)};
    gateway.last_seen = {row.Int(4)};
    gateway.report = ReadState(id, row.Blob(5));
    gateways.push_back(std::move(gateway));
  }
  return gateways;
}

Status GatewayTable::ForgetBefore(WallTime since) {
  RETURN_IF_ERROR(database_.Execute("DELETE FROM gateways WHERE last_seen < ?", since.unix_millis));
  return {};
}

Status DeviceStateTable::Save(const DeviceStateRecord& record) {
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO device_reports (device, upload, received, report) VALUES (?, ?, ?, ?) ON CONFLICT (device) DO "
      "UPDATE SET upload = excluded.upload, received = excluded.received, report = excluded.report",
      record.device, record.upload, record.received.unix_millis, EncodeDeviceState(record.report)));
  return {};
}

Result<std::optional<DeviceStateRecord>> DeviceStateTable::Find(const DeviceId& device) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT device, upload, received, report FROM device_reports WHERE device = ?", device));
  if (rows.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(DeviceStateRecord record, ReadDeviceState(rows.front()));
  return record;
}

Result<std::vector<DeviceStateRecord>> DeviceStateTable::All() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT device, upload, received, report FROM device_reports ORDER BY device"));
  std::vector<DeviceStateRecord> records;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(DeviceStateRecord record, ReadDeviceState(row));
    records.push_back(std::move(record));
  }
  return records;
}

Status EvaluationTable::Insert(const EvaluationRecord& evaluation) {
  const EvaluationResult& result = evaluation.result;
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO evaluations (task, version, device, model, role, upload, examples, loss, accuracy, millis, "
      "received) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      evaluation.task, evaluation.version, evaluation.device, result.model, evaluation.role, evaluation.upload,
      result.examples, result.loss, result.accuracy, result.millis, evaluation.received.unix_millis));
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO evaluation_totals (task, version, role, model, reports, examples, correct) VALUES (?, ?, ?, ?, 1, "
      "?, ?) "
      "ON CONFLICT (task, version, role, model) DO UPDATE SET reports = evaluation_totals.reports + 1, "
      "examples = evaluation_totals.examples + excluded.examples, correct = evaluation_totals.correct + "
      "excluded.correct",
      evaluation.task, evaluation.version, evaluation.role, result.model, result.examples,
      result.accuracy * static_cast<double>(result.examples)));
  return {};
}

Result<bool> EvaluationTable::Has(const EvaluationRecord& evaluation) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT 1 FROM evaluations WHERE task = ? AND version = ? AND device = ? AND model = ?",
                      evaluation.task, evaluation.version, evaluation.device, evaluation.result.model));
  return !rows.empty();
}

Result<bool> EvaluationTable::HasUpload(const DeviceId& device, const UploadId& upload) {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT 1 FROM evaluations WHERE upload = ? AND device = ? LIMIT 1",
                                                    upload, device));
  return !rows.empty();
}

Result<EvaluationTotal> EvaluationTable::Total(const TaskId& task, ModelVersion version, const std::string& role,
                                               EvaluatedModel model) {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT reports, examples, correct FROM evaluation_totals "
                                                    "WHERE task = ? AND version = ? AND role = ? AND model = ?",
                                                    task, version, role, model));
  if (rows.empty()) return EvaluationTotal{};
  return EvaluationTotal{.reports = static_cast<uint64_t>(rows.front().Int(0)),
                         .examples = static_cast<uint64_t>(rows.front().Int(1)),
                         .correct = rows.front().Real(2)};
}

}  // namespace tributary
