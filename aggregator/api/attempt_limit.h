#pragma once

#include <mutex>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/recent.h"
#include "protocol/base/token_bucket.h"

namespace tributary {

// How often each of many strangers may try something: a bucket of attempts per key that fills up again with time.
// Memory is bounded: beyond `keys`, the key that was used longest ago is forgotten. Thread safe.
class AttemptLimit {
 public:
  // `burst` attempts at once, and one more every `refill`.
  AttemptLimit(uint32_t burst, Millis refill, size_t keys = 4096)
      : rate_{1000.0 / static_cast<double>(refill.count()), static_cast<double>(burst)}, buckets_(keys) {}

  // Counts an attempt at `now` (monotonic). False: it is one too many.
  bool Allow(const std::string& key, Millis now) {
    const std::lock_guard lock(mutex_);
    return buckets_.FindOrMake(key, TokenBucket(rate_, now)).Take(rate_, now);
  }

 private:
  const Rate rate_;
  std::mutex mutex_;
  Recent<TokenBucket> buckets_;
};

// What attempts from an address count under: an IPv4 address, or the /64 of an IPv6 address, which one person has
// whole.
std::string AddressKey(const std::string& address);

}  // namespace tributary
