#pragma once

#include <memory>
#include <unordered_map>
#include <utility>

#include "protocol/base/ids.h"
#include "protocol/trust/identity/certificate.h"

// Chains that verified, by the digest of their bytes. Private to this folder.
namespace tributary {

struct VerifiedChain {
  VerifiedIdentity identity;
  WallTime not_before;  // the latest of the chain; the identity has the earliest end
};

// Two generations: what is used moves to the young one; when that is full it becomes the old one, and what was not used
// since is forgotten. Value type, not thread safe.
class ChainCache {
 public:
  // An entry has about 1 KiB; twice this many are kept at most.
  static constexpr size_t kGeneration = 4096;

  std::shared_ptr<const VerifiedChain> Find(const Digest& chain) {
    if (const auto found = young_.find(chain); found != young_.end()) return found->second;
    const auto found = old_.find(chain);
    if (found == old_.end()) return nullptr;
    auto verified = found->second;
    Keep(chain, verified);
    return verified;
  }

  void Keep(const Digest& chain, std::shared_ptr<const VerifiedChain> verified) {
    if (young_.size() >= kGeneration) old_ = std::exchange(young_, {});
    young_.emplace(chain, std::move(verified));
  }

  size_t size() const { return young_.size() + old_.size(); }

 private:
  using Generation = std::unordered_map<Digest, std::shared_ptr<const VerifiedChain>, IdHash>;
  Generation young_, old_;
};

}  // namespace tributary
