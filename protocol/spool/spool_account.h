#pragma once

#include <array>
#include <cstdint>
#include <map>

#include "protocol/base/code.h"
#include "protocol/envelope/envelope.h"

namespace tributary {

// Where every upload of one kind that was ever offered has gone, since the spool's folder was made. Offering again to
// resume a partial upload is not a new offer. Value type.
struct KindAccount {
  uint64_t offered = 0;
  uint64_t delivered = 0;  // custody passed up
  uint64_t spooled = 0;    // complete, here now
  uint64_t in_flight = 0;  // partial, here now
  uint64_t duplicate = 0;  // not needed: already here, or already delivered
  std::map<Code, uint64_t> refused;
  std::map<Code, uint64_t> dropped;

  uint64_t Refused() const;
  uint64_t Dropped() const;
  // offered = delivered + spooled + in flight + duplicate + refused + dropped.
  bool Balances() const;
  bool operator==(const KindAccount&) const = default;
};

struct SpoolAccount {
  std::array<KindAccount, std::size(kUploadKinds)> kinds;  // in the order of kUploadKinds
  uint64_t bytes = 0;     // of quota in use: partial uploads count with their full size
  uint64_t barriers = 0;  // since Open: how often the disk was asked to make custody durable

  KindAccount& of(UploadKind kind) { return kinds[static_cast<size_t>(kind) - 1]; }
  const KindAccount& of(UploadKind kind) const { return kinds[static_cast<size_t>(kind) - 1]; }
  uint64_t Spooled() const;
  uint64_t Delivered() const;
  bool Balances() const;
};

}  // namespace tributary
