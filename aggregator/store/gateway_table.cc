#include "aggregator/store/gateway_table.h"

#include "protocol/hop/messages.h"

namespace tributary {
namespace {

// A report is stored as it travels: a check-in with nothing else in it.
Bytes Stored(const GatewayState& report) {
  hop::CheckIn check_in;
  check_in.reports = {report};
  return hop::Encode(check_in);
}

GatewayState Read(const DeviceId& gateway, ByteView bytes) {
  const auto message = hop::Decode(bytes);
  const auto* check_in = message ? std::get_if<hop::CheckIn>(&*message) : nullptr;
  if (check_in != nullptr && check_in->reports.size() == 1) return check_in->reports.front();
  GatewayState unknown;
  unknown.gateway = gateway;
  return unknown;
}

}  // namespace

Status GatewayTable::Save(const GatewayRecord& gateway) {
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO gateways (id, via, made, first_seen, last_seen, report) VALUES (?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (id) DO UPDATE SET via = excluded.via, made = excluded.made, first_seen = excluded.first_seen, "
      "last_seen = excluded.last_seen, report = excluded.report",
      gateway.report.gateway, gateway.via, gateway.made.unix_millis, gateway.first_seen.unix_millis,
      gateway.last_seen.unix_millis, Stored(gateway.report)));
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
    gateway.report = Read(id, row.Blob(5));
    gateways.push_back(std::move(gateway));
  }
  return gateways;
}

Status GatewayTable::ForgetBefore(WallTime since) {
  RETURN_IF_ERROR(database_.Execute("DELETE FROM gateways WHERE last_seen < ?", since.unix_millis));
  return {};
}

}  // namespace tributary
