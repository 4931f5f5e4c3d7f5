#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "device/import/csv_reader.h"
#include "tests/fuzz/fuzz_target.h"

// A CSV file into a collection in memory; the first byte says how. What came in is of the collection's fields.
TRIBUTARY_FUZZ_TARGET(csv) {
  using namespace tributary;
  if (size == 0) return 0;
  const uint8_t how = data[0];
  const int file = memfd_create("csv", MFD_CLOEXEC);
  TRIBUTARY_CHECK(file >= 0 && write(file, data + 1, size - 1) == static_cast<ssize_t>(size - 1))
      << "no file in memory";
  TableOptions table;
  table.missing = static_cast<MissingValue>(how % 3);
  if (how & 4) {
    table.rows = 2;
    table.stride = 1 + how / 64;
  }
  if (how & 8) table.fields = {FieldRequest::Parse("list=a:INT16[-1]").value()};
  if (how & 16) table.categories = {"b"};
  auto reader = OpenCsv("/proc/self/fd/" + std::to_string(file), {.has_header = (how & 32) == 0}, table);
  if (reader) {
    const auto store = CollectionStore::Open(":memory:").value();
    const WallTime now{1};
    if (store->Create({.name = "c", .fields = (*reader)->fields()}, now)) {
      auto writer = store->Write("c", now).value();
      ExampleSink sink(writer, true);
      if ((*reader)->Read(sink)) {
        TRIBUTARY_CHECK(writer.Commit().has_value()) << "not stored";
        const std::vector<std::string> fields = {(*reader)->fields()[0].name};
        const auto loaded = store->Load("c", fields, now);
        TRIBUTARY_CHECK(loaded.has_value() && CheckExampleSet(*loaded->training.set)) << "not of its fields";
      }
    }
  }
  close(file);
  return 0;
}
