#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>

#include "protocol/base/code.h"
#include "protocol/base/file.h"
#include "protocol/envelope/envelope.h"

namespace tributary {

// Where every upload of one kind has gone that was ever offered, since the spool's folder was made. Offering again to
// resume a partial upload is no new offer. An offer that was refused for a passing reason (quota, disk, busy) is not
// counted: the sender keeps the upload and offers it again. Value type.
struct KindAccount {
  uint64_t offered = 0;
  uint64_t delivered = 0;            // custody passed up
  uint64_t spooled = 0;              // complete, here now
  uint64_t in_flight = 0;            // partial, here now
  uint64_t duplicate = 0;            // not needed: already here, or already delivered
  std::map<Code, uint64_t> refused;  // for good
  std::map<Code, uint64_t> dropped;

  uint64_t Refused() const;
  uint64_t Dropped() const;
  // offered = delivered + spooled + in flight + duplicate + refused + dropped.
  bool Balances() const;
  bool operator==(const KindAccount&) const = default;
};

inline constexpr size_t kPriorities = static_cast<size_t>(Priority::kSample) + 1;

struct SpoolAccount {
  std::array<KindAccount, std::size(kUploadKinds)> kinds;  // in the order of kUploadKinds
  uint64_t bytes = 0;                                      // of uploads here: partial ones count with their full size
  std::array<uint64_t, std::size(kUploadKinds)> kind_bytes{};  // the same by kind
  std::array<uint64_t, kPriorities> waiting{};                 // spooled, by priority
  uint64_t devices = 0;                                        // that have something here
  uint64_t unwritten = 0;                                      // of the bytes held: those that may come next
  uint64_t dead_letters = 0;                                   // that can be listed
  uint64_t dead_bytes = 0;                                     // of quota, payloads that are kept of them
  uint64_t barriers = 0;  // since Open: how often the disk was asked to make custody durable
  DiskSpace disk;         // as last looked at; 0 of 0: not known

  KindAccount& of(UploadKind kind) { return kinds[static_cast<size_t>(kind) - 1]; }
  const KindAccount& of(UploadKind kind) const { return kinds[static_cast<size_t>(kind) - 1]; }
  uint64_t& bytes_of(UploadKind kind) { return kind_bytes[static_cast<size_t>(kind) - 1]; }
  uint64_t bytes_of(UploadKind kind) const { return kind_bytes[static_cast<size_t>(kind) - 1]; }
  uint64_t& waiting_of(Priority priority) { return waiting[std::min(static_cast<size_t>(priority), kPriorities - 1)]; }
  // A partial upload became a complete one, or the other way round.
  void BecameComplete(UploadKind kind, Priority priority);
  void BecamePartial(UploadKind kind, Priority priority);
  uint64_t Spooled() const;
  uint64_t Delivered() const;
  bool Balances() const;
};

}  // namespace tributary
