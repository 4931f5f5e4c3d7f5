#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/trust/seal/digest.h"

// Merkle trees of RFC 6962, section 2.1: who has the root can be shown that one leaf is in the tree, without the others.
namespace tributary {

// The hash of a leaf: SHA-256 of a 0 byte and the data.
Digest MerkleLeaf(ByteView data);
// Of all leaves, by their hashes in the tree's order. Of none, SHA-256 of nothing.
Digest MerkleRoot(std::span<const Digest> leaves);
// The audit path of a leaf: the hashes beside the way from it to the root, lowest first. Dies of an index behind the end.
std::vector<Digest> MerklePath(std::span<const Digest> leaves, uint64_t index);
// Whether the path leads from the leaf to the root of a tree of `size` leaves (RFC 9162, section 2.1.3.2).
// kDigestMismatch.
Status CheckMerklePath(const Digest& leaf, uint64_t index, uint64_t size, std::span<const Digest> path,
                       const Digest& root);

}  // namespace tributary
