#include "protocol/trust/seal/merkle_tree.h"

#include <bit>

namespace tributary {
namespace {

Digest Node(const Digest& left, const Digest& right) {
  Bytes bytes{0x01};
  Append(bytes, left.view());
  Append(bytes, right.view());
  return Sha256(bytes);
}

// The largest power of two below `size`, which is at least 2.
size_t LeftOf(size_t size) { return std::bit_floor(size - 1); }

}  // namespace

Digest MerkleLeaf(ByteView data) {
  Bytes bytes{0x00};
  Append(bytes, data);
  return Sha256(bytes);
}

Digest MerkleRoot(std::span<const Digest> leaves) {
  if (leaves.empty()) return Sha256({});
  if (leaves.size() == 1) return leaves.front();
  const size_t left = LeftOf(leaves.size());
  return Node(MerkleRoot(leaves.first(left)), MerkleRoot(leaves.subspan(left)));
}

std::vector<Digest> MerklePath(std::span<const Digest> leaves, uint64_t index) {
  TRIBUTARY_CHECK(index < leaves.size()) << index << " of " << leaves.size();
  if (leaves.size() == 1) return {};
  const size_t left = LeftOf(leaves.size());
  const bool is_left = index < left;
  auto path = is_left ? MerklePath(leaves.first(left), index) : MerklePath(leaves.subspan(left), index - left);
  path.push_back(MerkleRoot(is_left ? leaves.subspan(left) : leaves.first(left)));
  return path;
}

Status CheckMerklePath(const Digest& leaf, uint64_t index, uint64_t size, std::span<const Digest> path,
                       const Digest& root) {
  const auto wrong = [] { return Fail(Code::kDigestMismatch, "the path does not lead from the leaf to the root"); };
  if (index >= size) return wrong();
  uint64_t at = index, last = size - 1;
  Digest hash = leaf;
  for (const Digest& beside : path) {
    if (last == 0) return wrong();
    if (at % 2 == 1 || at == last) {
      hash = Node(beside, hash);
      while (at % 2 == 0 && at != 0) {
        at /= 2;
        last /= 2;
      }
    } else {
      hash = Node(hash, beside);
    }
    at /= 2;
    last /= 2;
  }
  return last == 0 && hash == root ? Status() : wrong();
}

}  // namespace tributary
