#include "aggregator/store/device_state_table.h"

namespace tributary {
namespace {

Result<DeviceStateRecord> Read(const Row& row) {
  DeviceStateRecord record;
  ASSIGN_OR_RETURN(record.device, DeviceId::Parse(row.Text(0)));
  ASSIGN_OR_RETURN(record.upload, UploadId::FromBytes(row.Blob(1)));
  record.received = {row.Int(2)};
  auto report = DecodeDeviceState(row.Blob(3));
  if (!report) {
    return Fail(Code::kCorrupt, "the report of " + record.device.text() + ": " + report.error().ToString());
  }
  record.report = std::move(*report);
  return record;
}

}  // namespace

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
  ASSIGN_OR_RETURN(DeviceStateRecord record, Read(rows.front()));
  return record;
}

Result<std::vector<DeviceStateRecord>> DeviceStateTable::All() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT device, upload, received, report FROM device_reports ORDER BY device"));
  std::vector<DeviceStateRecord> records;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(DeviceStateRecord record, Read(row));
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace tributary
