// Claim: `data import` of a CSV file, into a collection on a disk, reaches 0.02 of the rows per second of a plain loop
// that reads the same file line by line and its numbers into memory. Both in the processor time of their one thread.

#include <charconv>
#include <fstream>

#include <fmt/format.h>

#include "bench/claim.h"
#include "bench/scratch_folder.h"
#include "device/import/csv_reader.h"

namespace tributary::bench {
namespace {

constexpr uint64_t kRows = 50'000;
constexpr int kColumns = 11;  // a table of ten features and a target

void WriteTable(const Path& file) {
  std::ofstream table(file);
  table << "c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,y\n";
  for (uint64_t row = 0; row < kRows; ++row) {
    for (uint64_t column = 0; column < kColumns; ++column)
      table << fmt::format("{}{:.4f}", column == 0 ? "" : ",",
                           static_cast<double>((row * 7919 + column * 104729) % 1000003) / 1000);
    table << "\n";
  }
}

// The limit.
void ReadPlainly(const Path& file) {
  std::ifstream table(file);
  std::string line;
  std::getline(table, line);
  std::vector<float> values;
  while (std::getline(table, line)) {
    const char* at = line.data();
    const char* const end = at + line.size();
    while (at < end) {
      at = std::from_chars(at, end, values.emplace_back()).ptr;
      if (at < end) ++at;
    }
  }
  TRIBUTARY_CHECK(values.size() == kRows * kColumns) << values.size();
}

void Import(const Path& file, const Path& folder) {
  bench::Must(RealFileSystem().CreateFolders(folder));
  const auto store = bench::Must(CollectionStore::Open(folder));
  TableOptions table;
  table.fields = {bench::Must(FieldRequest::Parse("x=c1,c2,c3,c4,c5,c6,c7,c8,c9,c10")),
                  bench::Must(FieldRequest::Parse("y"))};
  const auto reader = bench::Must(OpenCsv(file, {}, table));
  const WallTime now = SystemClock().Now();
  bench::Must(store->Create({.name = "rows", .fields = reader->fields()}, now));
  ExampleWriter writer = bench::Must(store->Write("rows", now));
  ExampleSink sink(writer, false);
  bench::Must(reader->Read(sink));
  bench::Must(writer.Commit());
  TRIBUTARY_CHECK(writer.count() == kRows) << writer.count();
}

void Measure() {
  const ScratchFolder folder;
  WriteTable(folder / "rows.csv");
  const Rates rates = Compare(
      Measured::kThreadTime, 5, kRows, [&] { Import(folder / "rows.csv", folder / "store"); },
      [&] { ReadPlainly(folder / "rows.csv"); }, [&] { std::filesystem::remove_all(folder / "store"); });
  Print({"import of a CSV, of a plain read of it", rates.ours, "rows/s", rates.limit, 0.02});
}

}  // namespace
}  // namespace tributary::bench

int main() { tributary::bench::Measure(); }
