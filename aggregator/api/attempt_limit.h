#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "protocol/base/clock.h"

namespace tributary {

// How often each of many strangers may try something: a bucket of attempts per key that fills up again with time.
// Memory is bounded: when there are too many keys, the one that was used longest ago is forgotten. Thread safe.
class AttemptLimit {
 public:
  // `burst` attempts at once, and one more every `refill`.
  AttemptLimit(uint32_t burst, Millis refill, size_t keys = 4096) : burst_(burst), refill_(refill), keys_(keys) {}

  // Counts an attempt at `now` (monotonic). False: it is one too many.
  bool Allow(const std::string& key, Millis now);

 private:
  struct Bucket {
    Millis full_at{0};  // when all attempts are back
    uint64_t used = 0;  // order of use
  };
  const uint32_t burst_;
  const Millis refill_;
  const size_t keys_;
  std::mutex mutex_;
  uint64_t uses_ = 0;
  std::map<std::string, Bucket> buckets_;
};

// What attempts from an address count under: an IPv4 address, or the /64 of an IPv6 address, which one person has
// whole.
std::string AddressKey(const std::string& address);

}  // namespace tributary
