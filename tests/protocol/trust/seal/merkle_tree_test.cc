#include "protocol/trust/seal/merkle_tree.h"

#include <gtest/gtest.h>

namespace tributary::merkle_tree_test {
namespace {

Bytes FromHex(std::string_view hex) {
  Bytes bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

// The eight inputs and the roots of their trees that the tests of Certificate Transparency's log use.
std::vector<Digest> KnownLeaves() {
  std::vector<Digest> leaves;
  for (const char* data :
       {"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"})
    leaves.push_back(MerkleLeaf(FromHex(data)));
  return leaves;
}
constexpr const char* kKnownRoots[] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                       "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                       "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                       "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                       "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                       "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                       "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                       "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                       "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

TEST(MerkleTree, RootsAreTheKnownOnes) {
  const auto leaves = KnownLeaves();
  for (size_t size = 0; size <= leaves.size(); ++size)
    EXPECT_EQ(MerkleRoot(std::span(leaves).first(size)).hex(), kKnownRoots[size]) << size;
}

TEST(MerkleTree, EachLeafHasAPathThatLeadsToTheRootAndToNoOther) {
  std::vector<Digest> leaves;
  for (uint8_t size = 1; size <= 40; ++size) {
    leaves.push_back(MerkleLeaf(Bytes{size}));
    const Digest root = MerkleRoot(leaves);
    for (uint64_t index = 0; index < size; ++index) {
      const auto path = MerklePath(leaves, index);
      EXPECT_TRUE(CheckMerklePath(leaves[index], index, size, path, root)) << index << " of " << int{size};
      EXPECT_FALSE(CheckMerklePath(leaves[index], index, size, path, MerkleLeaf({})));
      EXPECT_FALSE(CheckMerklePath(MerkleLeaf({}), index, size, path, root));
      EXPECT_FALSE(CheckMerklePath(leaves[index], size, size, path, root));
      if (size > 1) {
        EXPECT_FALSE(CheckMerklePath(leaves[index], (index + 1) % size, size, path, root));
      }
      auto longer = path;
      longer.push_back(root);
      EXPECT_FALSE(CheckMerklePath(leaves[index], index, size, longer, root));
      if (path.empty()) continue;
      EXPECT_FALSE(CheckMerklePath(leaves[index], index, size, std::span(path).first(path.size() - 1), root));
      auto altered = path;
      altered[path.size() / 2] = root;
      EXPECT_FALSE(CheckMerklePath(leaves[index], index, size, altered, root));
    }
  }
}

// A node is no leaf: the bytes before them differ.
TEST(MerkleTree, ANodeIsNotTakenForALeaf) {
  const std::vector<Digest> leaves{MerkleLeaf(Bytes{1}), MerkleLeaf(Bytes{2})};
  Bytes both;
  for (const Digest& leaf : leaves) Append(both, leaf.view());
  EXPECT_NE(MerkleRoot(leaves), MerkleLeaf(both));
}

}  // namespace
}  // namespace tributary::merkle_tree_test
