#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

// Stands in for libFuzzer: every seed as it is, cut short, with bits flipped and with bytes set to the extremes. The
// input lies in a block of exactly its size, so that the sanitizers see a read behind it.
namespace {

constexpr size_t kCuts = 200;
constexpr size_t kFlips = 800;

void RunOn(const std::vector<uint8_t>& input) {
  const auto block = std::make_unique<uint8_t[]>(input.size());
  std::copy(input.begin(), input.end(), block.get());
  LLVMFuzzerTestOneInput(block.get(), input.size());
}

// `count` positions at most, evenly over [0, size).
std::vector<size_t> Spread(size_t size, size_t count) {
  std::vector<size_t> positions;
  const size_t step = std::max<size_t>(1, size / count);
  for (size_t at = 0; at < size; at += step) positions.push_back(at);
  return positions;
}

size_t RunSeed(const std::vector<uint8_t>& seed) {
  RunOn(seed);
  size_t runs = 1;
  for (const size_t cut : Spread(seed.size(), kCuts)) {
    RunOn({seed.begin(), seed.begin() + static_cast<std::ptrdiff_t>(cut)});
    ++runs;
  }
  for (const size_t at : Spread(seed.size(), kFlips)) {
    std::vector<uint8_t> changed = seed;
    changed[at] ^= static_cast<uint8_t>(1u << (at % 8));
    RunOn(changed);
    changed[at] = at % 2 == 0 ? 0xff : 0x00;
    RunOn(changed);
    runs += 2;
  }
  std::vector<uint8_t> longer = seed;
  longer.resize(seed.size() + 64, 0xff);
  RunOn(longer);
  return runs + 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER_OF_SEEDS\n", argv[0]);
    return 2;
  }
  size_t seeds = 0, runs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    std::ifstream file(entry.path(), std::ios::binary);
    runs += RunSeed({std::istreambuf_iterator<char>(file), {}});
    ++seeds;
  }
  std::printf("%zu seeds, %zu inputs\n", seeds, runs);
  return seeds > 0 ? 0 : 1;
}
