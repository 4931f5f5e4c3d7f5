#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string_view>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

// fuzz_targets.inc is written by CMake: one line TARGET(name) for each target.
#define TARGET(name) TRIBUTARY_FUZZ_TARGET(name);
#include "fuzz_targets.inc"
#undef TARGET

// Stands in for libFuzzer: every seed as it is, cut short, with bits flipped and with bytes set to the extremes. The
// input lies in a block of exactly its size, so that the sanitizers see a read behind it.
namespace {

struct Target {
  std::string_view name;
  int (*run)(const uint8_t* data, size_t size);
};
#define TARGET(name) {#name, Fuzz_##name},
constexpr Target kTargets[] = {
#include "fuzz_targets.inc"
};
#undef TARGET

constexpr size_t kCuts = 200;
constexpr size_t kFlips = 800;

void RunOn(const Target& target, const std::vector<uint8_t>& input) {
  const auto block = std::make_unique<uint8_t[]>(input.size());
  std::copy(input.begin(), input.end(), block.get());
  target.run(block.get(), input.size());
}

// `count` positions at most, evenly over [0, size).
std::vector<size_t> Spread(size_t size, size_t count) {
  std::vector<size_t> positions;
  const size_t step = std::max<size_t>(1, size / count);
  for (size_t at = 0; at < size; at += step) positions.push_back(at);
  return positions;
}

size_t RunSeed(const Target& target, const std::vector<uint8_t>& seed) {
  RunOn(target, seed);
  size_t runs = 1;
  for (const size_t cut : Spread(seed.size(), kCuts)) {
    RunOn(target, {seed.begin(), seed.begin() + static_cast<std::ptrdiff_t>(cut)});
    ++runs;
  }
  for (const size_t at : Spread(seed.size(), kFlips)) {
    std::vector<uint8_t> changed = seed;
    changed[at] ^= static_cast<uint8_t>(1u << (at % 8));
    RunOn(target, changed);
    changed[at] = at % 2 == 0 ? 0xff : 0x00;
    RunOn(target, changed);
    runs += 2;
  }
  std::vector<uint8_t> longer = seed;
  longer.resize(seed.size() + 64, 0xff);
  RunOn(target, longer);
  return runs + 1;
}

}  // namespace

// Every folder of seeds has the name of its target.
int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER_OF_ALL_SEEDS\n", argv[0]);
    return 2;
  }
  for (const Target& target : kTargets) {
    size_t seeds = 0, runs = 0;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(argv[1]) / target.name)) {
      std::ifstream file(entry.path(), std::ios::binary);
      runs += RunSeed(target, {std::istreambuf_iterator<char>(file), {}});
      ++seeds;
    }
    std::printf("%s: %zu seeds, %zu inputs\n", target.name.data(), seeds, runs);
    if (seeds == 0) return 1;
  }
  return 0;
}
