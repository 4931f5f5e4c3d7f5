#include "protocol/hop/gateway_state_wire.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"

namespace tributary::hop {
namespace {

uint64_t Bounded(uint64_t number) { return std::min(number, limits::kCounter); }

void WriteCodes(capnp::List<schema::CodeCount>::Builder list, const std::map<Code, uint64_t>& counts) {
  unsigned i = 0;
  for (const auto& [code, count] : counts) {
    list[i].setCode(static_cast<uint16_t>(code));
    list[i++].setCount(Bounded(count));
  }
}

void WriteAccount(schema::KindAccount::Builder to, UploadKind kind, const KindAccount& account) {
  to.setKind(static_cast<uint8_t>(kind));
  to.setOffered(Bounded(account.offered));
  to.setDelivered(Bounded(account.delivered));
  to.setSpooled(Bounded(account.spooled));
  to.setInFlight(Bounded(account.in_flight));
  to.setDuplicate(Bounded(account.duplicate));
  WriteCodes(to.initRefused(static_cast<unsigned>(account.refused.size())), account.refused);
  WriteCodes(to.initDropped(static_cast<unsigned>(account.dropped.size())), account.dropped);
}

void WriteLink(schema::LinkBytes::Builder to, LinkPurpose purpose, const LinkBytes& bytes) {
  to.setPurpose(static_cast<schema::LinkPurpose>(purpose));
  to.setUp(Bounded(bytes.up));
  to.setDown(Bounded(bytes.down));
  to.setResent(Bounded(bytes.resent));
}

// ---- reading

// Takes the numbers of one report and remembers the first that is over its limit.
class Numbers {
 public:
  uint64_t Take(uint64_t number) {
    fine_ = fine_ && number <= limits::kCounter;
    return number;
  }
  Status status() const { return fine_ ? Status{} : Fail(Code::kMalformed, "a report with a number over 2^53"); }

 private:
  bool fine_ = true;
};

Result<std::map<Code, uint64_t>> ReadCodes(capnp::List<schema::CodeCount>::Reader list, Numbers& numbers) {
  std::map<Code, uint64_t> counts;
  for (const auto entry : list) {
    const auto code = CodeByNumber(entry.getCode());
    if (!code || !counts.emplace(*code, numbers.Take(entry.getCount())).second) {
      return Fail(Code::kMalformed, "a report with code " + std::to_string(entry.getCode()) + " unknown or twice");
    }
  }
  return counts;
}

Status ReadAccounts(capnp::List<schema::KindAccount>::Reader list, GatewayState& report, Numbers& numbers) {
  std::array<bool, std::size(kUploadKinds)> seen{};
  for (const auto from : list) {
    const size_t place = static_cast<size_t>(from.getKind()) - 1;
    if (place >= seen.size() || seen[place]) return Fail(Code::kMalformed, "a report with a kind unknown or twice");
    seen[place] = true;
    KindAccount& account = report.accounts[place];
    account.offered = numbers.Take(from.getOffered());
    account.delivered = numbers.Take(from.getDelivered());
    account.spooled = numbers.Take(from.getSpooled());
    account.in_flight = numbers.Take(from.getInFlight());
    account.duplicate = numbers.Take(from.getDuplicate());
    ASSIGN_OR_RETURN(account.refused, ReadCodes(from.getRefused(), numbers));
    ASSIGN_OR_RETURN(account.dropped, ReadCodes(from.getDropped(), numbers));
  }
  return {};
}

Status ReadUplink(capnp::List<schema::LinkBytes>::Reader list, GatewayState& report, Numbers& numbers) {
  for (const auto from : list) {
    const LinkBytes bytes{numbers.Take(from.getUp()), numbers.Take(from.getDown()), numbers.Take(from.getResent())};
    const auto* purpose = std::ranges::find_if(kLinkPurposes, [&](LinkPurpose one) {
      return static_cast<uint16_t>(one) == static_cast<uint16_t>(from.getPurpose());
    });
    if (purpose == kLinkPurposes.end() || !report.uplink.emplace(*purpose, bytes).second) {
      return Fail(Code::kMalformed, "a report with a purpose unknown or twice");
    }
  }
  return {};
}

}  // namespace

void WriteGatewayState(schema::GatewayState::Builder to, const GatewayState& report) {
  to.setGateway(wire::ToText(report.gateway.text()));
  to.setParent(wire::ToText(report.parent.text()));
  to.setPublicationNumber(Bounded(report.publication_number));
  to.setSpoolBytes(Bounded(report.spool_bytes));
  to.setSpoolLimitBytes(Bounded(report.spool_limit_bytes));
  to.setDiskFreeBytes(Bounded(report.disk_free_bytes));
  to.setDiskTotalBytes(Bounded(report.disk_total_bytes));
  to.setDeadLetters(Bounded(report.dead_letters));
  to.setOldestSpooledMillis(Bounded(static_cast<uint64_t>(std::max<int64_t>(0, report.oldest_spooled_millis))));
  to.setConnectedClients(report.connected_clients);
  to.setTrouble(wire::ToText(report.trouble.substr(0, limits::kTroubleBytes)));
  to.setAgeMillis(Bounded(report.age_millis));
  auto uplink = to.initUplink(static_cast<unsigned>(report.uplink.size()));
  unsigned i = 0;
  for (const auto& [purpose, bytes] : report.uplink) WriteLink(uplink[i++], purpose, bytes);
  auto accounts = to.initAccounts(static_cast<unsigned>(report.accounts.size()));
  for (i = 0; i < accounts.size(); ++i) WriteAccount(accounts[i], kUploadKinds[i], report.accounts[i]);
}

Result<GatewayState> ReadGatewayState(schema::GatewayState::Reader from) {
  Numbers numbers;
  GatewayState report;
  ASSIGN_OR_RETURN(report.gateway, DeviceId::Parse(wire::View(from.getGateway())));
  if (from.getParent().size() > 0) {
    ASSIGN_OR_RETURN(report.parent, DeviceId::Parse(wire::View(from.getParent())));
  }
  report.publication_number = numbers.Take(from.getPublicationNumber());
  report.spool_bytes = numbers.Take(from.getSpoolBytes());
  report.spool_limit_bytes = numbers.Take(from.getSpoolLimitBytes());
  report.disk_free_bytes = numbers.Take(from.getDiskFreeBytes());
  report.disk_total_bytes = numbers.Take(from.getDiskTotalBytes());
  report.dead_letters = numbers.Take(from.getDeadLetters());
  report.oldest_spooled_millis = static_cast<int64_t>(numbers.Take(from.getOldestSpooledMillis()));
  report.connected_clients = from.getConnectedClients();
  report.age_millis = numbers.Take(from.getAgeMillis());
  if (from.getTrouble().size() > limits::kTroubleBytes) {
    return Fail(Code::kTooLarge, "a report's trouble over " + std::to_string(limits::kTroubleBytes) + " bytes");
  }
  report.trouble = std::string(from.getTrouble().cStr(), from.getTrouble().size());
  RETURN_IF_ERROR(ReadUplink(from.getUplink(), report, numbers));
  RETURN_IF_ERROR(ReadAccounts(from.getAccounts(), report, numbers));
  RETURN_IF_ERROR(numbers.status());
  return report;
}

}  // namespace tributary::hop
