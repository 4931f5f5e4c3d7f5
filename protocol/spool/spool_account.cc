#include "protocol/spool/spool_account.h"

#include <functional>

namespace tributary {
namespace {

using ByCode = std::map<Code, uint64_t>;

uint64_t Sum(const auto& from, auto part) {
  uint64_t sum = 0;
  for (const auto& each : from) sum += std::invoke(part, each);
  return sum;
}

}  // namespace

uint64_t KindAccount::Refused() const { return Sum(refused, &ByCode::value_type::second); }
uint64_t KindAccount::Dropped() const { return Sum(dropped, &ByCode::value_type::second); }

bool KindAccount::Balances() const {
  return offered == delivered + spooled + in_flight + duplicate + Refused() + Dropped();
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

uint64_t SpoolAccount::Spooled() const { return Sum(kinds, &KindAccount::spooled); }
uint64_t SpoolAccount::Delivered() const { return Sum(kinds, &KindAccount::delivered); }

bool SpoolAccount::Balances() const {
  return std::ranges::all_of(kinds, [](const KindAccount& kind) { return kind.Balances(); });
}

}  // namespace tributary
