#include "protocol/catalogue/module_archive.h"
#include "protocol/catalogue/module_code.h"
#include "protocol/catalogue/module_pickle.h"
#include "protocol/catalogue/zip_records.h"
#include "tests/fuzz/fuzz_target.h"

// A model file, and the two languages inside it. The first byte says which reader gets the rest (make_seeds.cc has the
// same list).
TRIBUTARY_FUZZ_TARGET(module_archive) {
  using namespace tributary;
  if (size == 0) return 0;
  const ByteView bytes(data + 1, size - 1);
  const std::string_view text = AsText(bytes);
  if (data[0] == 'c') {
    (void)CheckModuleCode("code", text);
  } else if (data[0] == 'p') {
    (void)CheckModulePickle("pickle", text,
                            [](std::string_view key) { return std::optional<uint64_t>(key.size() * 16); });
  } else {
    (void)ManifestTextIn(bytes);
    if (!CheckModuleArchive(bytes)) return 0;
    // Every member that is taken lies within the bytes and unpacks to what it says.
    const auto records = ReadZipRecords(bytes, size);
    TRIBUTARY_CHECK(records.has_value()) << records.error().ToString();
    for (const ZipRecord& record : *records) {
      TRIBUTARY_CHECK(record.packed.data() >= bytes.data()) << record.name;
      TRIBUTARY_CHECK(record.packed.data() + record.packed.size() <= bytes.data() + bytes.size()) << record.name;
      const auto content = Unpack(record, size * 1100);
      TRIBUTARY_CHECK(!content || content->size() == record.size) << record.name;
    }
  }
  return 0;
}
