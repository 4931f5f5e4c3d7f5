#pragma once

#include <map>
#include <string_view>

#include "aggregator/records/watch_records.h"
#include "protocol/base/sql/database.h"
#include "protocol/envelope/envelope.h"

namespace tributary {

// How an upload ended, as far as this process is concerned. The numbers are in the database.
enum class Outcome : uint8_t { kDelivered = 1, kDuplicate = 2, kRefused = 3, kDropped = 4 };
constexpr bool IsOneOf(Outcome outcome) { return outcome >= Outcome::kDelivered && outcome <= Outcome::kDropped; }

// The durable part of the accounts, and named counters.
class AccountTable : Tables {
 public:
  using Tables::Tables;

  // Adds `amount` uploads. `code`: the reason of kRefused and kDropped, any one code for the others.
  Status Add(UploadKind kind, Outcome outcome, Code code, uint64_t amount);
  // offered = the sum of what ended; nothing is spooled or in flight.
  Result<std::map<UploadKind, KindAccount>> All();

  // 0 when it was never saved.
  Result<uint64_t> Counter(std::string_view name) {
    return database_.QueryNumber("SELECT amount FROM counters WHERE name = ?", name);
  }
  Status SaveCounter(std::string_view name, uint64_t amount) {
    return database_.Write(
        "INSERT INTO counters (name, amount) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET amount = excluded.amount",
        name, amount);
  }
};

}  // namespace tributary
