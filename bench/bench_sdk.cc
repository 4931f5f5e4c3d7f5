// Claim: examples that an application adds through the C interface, or through C++ over it, a thousand in a call, become
// durable at 0.8 of the rate of CollectionStore itself, in processor time of the one thread. An example has 11 numbers.

#include <cstring>
#include <vector>

#include "bench/claim.h"
#include "bench/scratch_folder.h"
#include "device/examples/collection_store.h"
#include "device/sdk/include/tributary/tributary.hpp"

namespace tributary::bench {
namespace {

constexpr size_t kRows = 20'000, kEach = 1'000, kColumns = 10;
constexpr int64_t kShape[] = {kColumns};

struct Row {
  float x[kColumns];
  float y;
};

std::vector<Row> Rows() {
  std::vector<Row> rows(kRows);
  for (size_t i = 0; i < kRows; ++i) {
    for (size_t k = 0; k < kColumns; ++k) rows[i].x[k] = static_cast<float>((i * 7919 + k * 104729) % 1000003);
    rows[i].y = static_cast<float>(i);
  }
  return rows;
}

v0::Device OpenWithRows(const Path& folder) {
  v0::Options options;
  options.folder = folder.string();
  auto device = v0::Device::Open(options);
  TRIBUTARY_CHECK(device) << device.error().message;
  const auto created = device->Create({"rows", {{"x", v0::DType::kFp32, {kColumns}}, {"y", v0::DType::kFp32}}});
  TRIBUTARY_CHECK(created) << created.error().message;
  return *std::move(device);
}

void AddInC(tributary_device* device, const std::vector<Row>& rows) {
  std::vector<tributary_tensor> tensors(2 * kEach);
  std::vector<tributary_example> examples(kEach);
  for (size_t first = 0; first < kRows; first += kEach) {
    for (size_t i = 0; i < kEach; ++i) {
      const Row& row = rows[first + i];
      tensors[2 * i] = {"x", TRIBUTARY_FP32, 1, kShape, row.x, sizeof(row.x)};
      tensors[2 * i + 1] = {"y", TRIBUTARY_FP32, 0, nullptr, &row.y, sizeof(row.y)};
      examples[i] = {sizeof(tributary_example), 2, &tensors[2 * i], nullptr, nullptr};
    }
    TRIBUTARY_CHECK(tributary_add(device, "rows", examples.data(), kEach, nullptr) == TRIBUTARY_OK) << first;
  }
}

void AddInCxx(v0::Device& device, const std::vector<Row>& rows) {
  for (size_t first = 0; first < kRows; first += kEach) {
    std::vector<v0::Example> examples(kEach);
    for (size_t i = 0; i < kEach; ++i) {
      const Row& row = rows[first + i];
      examples[i].tensors = {v0::Tensor::Of("x", {kColumns}, row.x, kColumns), v0::Tensor::Of("y", row.y)};
    }
    TRIBUTARY_CHECK(device.AddAll("rows", examples)) << first;
  }
}

Bytes BytesOf(const Row& row) {
  Bytes values(sizeof(row));
  std::memcpy(values.data(), &row, sizeof(row));
  return values;
}

// The limit.
void AddPlainly(CollectionStore& store, const std::vector<Row>& rows) {
  for (size_t first = 0; first < kRows; first += kEach) {
    std::vector<NewExample> examples(kEach);
    for (size_t i = 0; i < kEach; ++i) examples[i].values = BytesOf(rows[first + i]);
    Must(store.Add("rows", examples, SystemClock().Now()));
  }
}

void Measure() {
  const ScratchFolder folder;
  const std::vector<Row> rows = Rows();
  Must(RealFileSystem().CreateFolders(folder / "plain"));
  const auto plain = Must(CollectionStore::Open(folder / "plain"));
  Must(plain->Create({.name = "rows", .fields = {{.name = "x", .shape = {kColumns}}, {.name = "y", .shape = {}}}},
                     SystemClock().Now()));
  v0::Device device = OpenWithRows(folder / "device");
  const auto empty = [&] {
    Must(plain->Clear("rows"));
    TRIBUTARY_CHECK(device.Clear("rows")) << "clear";
  };
  const auto compare = [&](const std::string& claim, const std::function<void()>& add) {
    const Rates rates = Compare(Measured::kThreadTime, 5, kRows, add, [&] { AddPlainly(*plain, rows); }, empty);
    Print({claim, rates.ours, "examples/s", rates.limit, 0.8});
  };
  compare("examples added in C, of CollectionStore", [&] { AddInC(device.get(), rows); });
  compare("examples added in C++, of CollectionStore", [&] { AddInCxx(device, rows); });
}

}  // namespace
}  // namespace tributary::bench

int main() { tributary::bench::Measure(); }
