#include "aggregator/store/report_table.h"

namespace tributary {
namespace {

Result<DeviceReportRecord> Read(const Row& row) {
  DeviceReportRecord record;
  ASSIGN_OR_RETURN(record.device, DeviceId::Parse(row.Text(0)));
  ASSIGN_OR_RETURN(record.upload, UploadId::FromBytes(row.Blob(1)));
  record.received = {row.Int(2)};
  auto report = DecodeDeviceReport(row.Blob(3));
  if (!report) {
    return Fail(Code::kCorrupt, "the report of " + record.device.text() + ": " + report.error().ToString());
  }
  record.report = std::move(*report);
  return record;
}

}  // namespace

Status ReportTable::Save(const DeviceReportRecord& record) {
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO device_reports (device, upload, received, report) VALUES (?, ?, ?, ?) ON CONFLICT (device) DO "
      "UPDATE SET upload = excluded.upload, received = excluded.received, report = excluded.report",
      record.device, record.upload, record.received.unix_millis, EncodeDeviceReport(record.report)));
  return {};
}

Result<std::optional<DeviceReportRecord>> ReportTable::Find(const DeviceId& device) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT device, upload, received, report FROM device_reports WHERE device = ?", device));
  if (rows.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(DeviceReportRecord record, Read(rows.front()));
  return record;
}

Result<std::vector<DeviceReportRecord>> ReportTable::All() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT device, upload, received, report FROM device_reports ORDER BY device"));
  std::vector<DeviceReportRecord> records;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(DeviceReportRecord record, Read(row));
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace tributary
