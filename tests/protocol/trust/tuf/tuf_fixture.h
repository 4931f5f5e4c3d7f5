#pragma once

#include <gtest/gtest.h>

#include "protocol/catalogue/publication_store.h"
#include "protocol/trust/identity/certificate_authority.h"
#include "protocol/trust/identity/trust_anchor.h"
#include "tests/protocol/trust/tuf/forge.h"
#include "tests/support/temporary_folder.h"

namespace tributary {

// A member that was given the forge's first root, and the verdicts it comes to.
class TufTest : public testing::Test {
 protected:
  TrustAnchor NewAnchor() const {
    return Must(TrustAnchor::FromCertificate(authority_.certificate(), forge_.roots.front()));
  }
  // As the member is after a restart: nothing is left but its files.
  void Restart() {
    anchor_ = NewAnchor();
    store_.emplace(Must(PublicationStore::Open(RealFileSystem(), folder_ / "publication", *anchor_)));
  }
  // "ok": it is the current one now; "no news"; or the code.
  std::string Taken(ByteView bytes, WallTime now = kTestStart) {
    if (!store_) Restart();
    const auto taken = store_->Take(bytes, now);
    return !taken ? std::string(Name(taken.error().code)) : *taken ? "ok" : "no news";
  }
  std::string Taken(const PublicationSet& set) { return Taken(EncodePublicationSet(set)); }
  // The verdict of somebody who sees it first and knows only the root.
  std::string Opened(const PublicationSet& set, WallTime now = kTestStart) const {
    return Outcome(OpenPublication(EncodePublicationSet(set), NewAnchor(), now));
  }

  const TemporaryFolder folder_;
  const CertificateAuthority authority_ = CertificateAuthority::Create("fleet", kTestStart, kTestLifetime);
  Forge forge_;
  std::optional<TrustAnchor> anchor_;
  std::optional<PublicationStore> store_;
};

}  // namespace tributary
