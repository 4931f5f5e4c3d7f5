#pragma once

#include <memory>
#include <vector>

#include "aggregator/publish/publication_folder.h"
#include "aggregator/publish/root_ceremony.h"
#include "protocol/trust/identity/trust_anchor.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_signer.h"
#include "tests/support/temporary_folder.h"

namespace tributary {

inline constexpr Millis kTestFolderLifetime{365ll * 24 * 3600 * 1000};

// A publication folder as `tributary root init` makes it, and the offline keys of those who sign for it.
class TestPublicationFolder {
 public:
  explicit TestPublicationFolder(size_t root_keys = 1, uint32_t threshold = 1, WallTime now = kTestStart);

  const Path& path() const { return folder_.path(); }
  // The first root, as every member is given it.
  Bytes root() const;
  // Opened anew.
  PublicationFolder Open() const;
  // A verifier of the fleet believes these: its CA, and this repository's root.
  TrustAnchor AnchorFor(const Certificate& ca) const;

  WallTime expires;
  std::vector<std::unique_ptr<MemorySigner>> root_keys;
  MemorySigner targets;
  MemorySigner releases;

 private:
  TemporaryFolder folder_;
};

}  // namespace tributary
