#include "protocol/spool/spool_account.h"

#include <algorithm>

namespace tributary {
namespace {

uint64_t Sum(const std::map<Code, uint64_t>& by_code) {
  uint64_t sum = 0;
  for (const auto& [code, count] : by_code) sum += count;
  return sum;
}

}  // namespace

uint64_t KindAccount::Refused() const { return Sum(refused); }
uint64_t KindAccount::Dropped() const { return Sum(dropped); }

bool KindAccount::Balances() const {
  return offered == delivered + spooled + in_flight + duplicate + Refused() + Dropped();
}

void SpoolAccount::CountBytes(UploadKind kind, uint64_t size, int sign) {
  if (sign > 0) {
    bytes += size;
    bytes_of(kind) += size;
  } else {
    bytes -= size;
    bytes_of(kind) -= size;
  }
}

void SpoolAccount::BecameComplete(UploadKind kind, Priority priority) {
  --of(kind).in_flight;
  ++of(kind).spooled;
  ++waiting_of(priority);
}

void SpoolAccount::BecamePartial(UploadKind kind, Priority priority) {
  --of(kind).spooled;
  --waiting_of(priority);
  ++of(kind).in_flight;
}

uint64_t SpoolAccount::Spooled() const {
  uint64_t sum = 0;
  for (const auto& kind : kinds) sum += kind.spooled;
  return sum;
}

uint64_t SpoolAccount::Delivered() const {
  uint64_t sum = 0;
  for (const auto& kind : kinds) sum += kind.delivered;
  return sum;
}

bool SpoolAccount::Balances() const {
  return std::ranges::all_of(kinds, [](const KindAccount& kind) { return kind.Balances(); });
}

}  // namespace tributary
