#include "tests/aggregator/publish/test_publication_folder.h"

#include "tests/support/must.h"

namespace tributary {

TestPublicationFolder::TestPublicationFolder(size_t root_key_count, uint32_t threshold, WallTime now)
    : expires(now + kTestFolderLifetime) {
  RepositoryPlan plan{.root_threshold = threshold, .targets = &targets, .releases = &releases, .expires = expires};
  for (size_t i = 0; i < root_key_count; ++i) {
    root_keys.push_back(std::make_unique<MemorySigner>());
    plan.root_keys.push_back(root_keys.back()->public_key());
    plan.root_signers.push_back(root_keys.back().get());
  }
  Must(CreateRepository(RealFileSystem(), path(), plan));
}

Bytes TestPublicationFolder::root() const {
  return Must(ReadFile(RealFileSystem(), MetadataFile(path(), 1, tuf::kRootRole), limits::kRootBytes));
}

PublicationFolder TestPublicationFolder::Open() const {
  return Must(PublicationFolder::Open(RealFileSystem(), path()));
}

TrustAnchor TestPublicationFolder::AnchorFor(const Certificate& ca) const {
  return Must(TrustAnchor::FromCertificate(ca, root()));
}

}  // namespace tributary
