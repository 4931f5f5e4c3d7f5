#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/trust/seal/merkle_tree.h"
#include "protocol/trust/seal/signing.h"
#include "protocol/trust/tuf/roles.h"

// What a version was made of, as canonical JSON that the key of the role "rounds" signs; and the proof that an update is
// among it.
namespace tributary {

struct VersionManifest {
  TaskId task;
  ModelVersion version{};
  ModelVersion parent{};                  // the version that the round began at
  std::optional<Digest> parent_manifest;  // of its text; absent: it has none
  Digest weights;
  uint64_t round = 0;
  Digest plan;                // of the training plan, as JSON text
  Digest aggregate;           // of the round's sum in its serialised form
  Digest contributions_root;  // the Merkle root over the uploads' leaves, which are sorted
  uint64_t contributions = 0;
  uint64_t total_weight = 0;
  uint64_t scaled = 0;
  uint64_t capped = 0;
  std::map<std::string, uint64_t> refused = {};    // by the code's name
  std::map<std::string, uint64_t> staleness = {};  // by how many versions behind: "0", "1" …
  std::map<std::string, uint64_t> gateways = {};   // by the direct peer that brought the update
  std::map<std::string, std::string> facts =
      {};  // of optimiser, robust rule, privacy: "optimizer", "optimizer.state" …
  uint64_t created_millis = 0;
  bool operator==(const VersionManifest&) const = default;
};

// The text that is signed and whose digest names the manifest.
std::string ManifestText(const VersionManifest& manifest);
// kMalformed; kTooLarge.
Result<VersionManifest> ReadVersionManifest(std::string_view text);

// The leaf of an upload: only who knows its id, a random one, can tell that it is in a tree.
Digest LeafOf(const UploadId& upload);

// {"signatures": …, "signed": …}, as TUF's metadata. The errors of Signer::Sign.
Result<std::string> SignManifest(std::string_view text, const Signer& rounds);
// The text of a file that SignManifest made. kBadSignature; kMalformed; kTooLarge.
Result<std::string> OpenManifest(std::string_view file, const tuf::Keys& keys, const tuf::RoleKeys& rounds);

// That a leaf is in the tree of a version's manifest.
struct ContributionProof {
  std::string manifest;  // signed
  Digest leaf;
  uint64_t index = 0;
  std::vector<Digest> path = {};
};
std::string ProofText(const ContributionProof& proof);
// Believes nothing: form and limits only. kMalformed; kTooLarge.
Result<ContributionProof> ReadProof(std::string_view text);
// The manifest in which it is, when the signature and the path are right. Those of OpenManifest; kDigestMismatch.
Result<VersionManifest> CheckProof(const ContributionProof& proof, const tuf::Keys& keys, const tuf::RoleKeys& rounds);

}  // namespace tributary
