#include "aggregator/api/attempt_limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

#include "protocol/base/bytes.h"

namespace tributary {

bool AttemptLimit::Allow(const std::string& key, Millis now) {
  const std::lock_guard lock(mutex_);
  if (!buckets_.contains(key) && buckets_.size() >= keys_) {
    buckets_.erase(std::ranges::min_element(buckets_, {}, [](const auto& bucket) { return bucket.second.used; }));
  }
  Bucket& bucket = buckets_[key];
  bucket.used = ++uses_;
  const Millis from = std::max(bucket.full_at, now);
  if (from - now > refill_ * (burst_ - 1)) return false;
  bucket.full_at = from + refill_;
  return true;
}

std::string AddressKey(const std::string& address) {
  in6_addr six{};
  if (inet_pton(AF_INET6, address.c_str(), &six) != 1) return address;
  if (IN6_IS_ADDR_V4MAPPED(&six)) return address;
  return ToHex(ByteView(six.s6_addr, 8));
}

}  // namespace tributary
