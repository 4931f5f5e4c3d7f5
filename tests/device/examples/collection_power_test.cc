#include <gtest/gtest.h>

#include "device/import/csv_reader.h"
#include "tests/device/examples/collection_fixture.h"
#include "tests/support/power_disk.h"
#include "tests/support/temporary_folder.h"

namespace tributary::collection_power_test {
namespace {

// The labels that are in the store after each step of its life.
using States = std::vector<std::pair<uint64_t, std::vector<int64_t>>>;  // disk operations when it had returned

std::vector<int64_t> LabelsIn(CollectionStore& store) {
  const std::vector<std::string> fields = {"y"};
  const auto examples = store.Load("readings", fields, kCollectionStart);
  if (!examples && examples.error().code == Code::kNotFound) return {-1};
  return ValuesOf<int64_t>(Must(examples), "y");
}

// Power fails after every write of creating, adding, importing, retention and deletion. The store opens again, and holds
// what it held after a step that was promised by then, or after the step that was under way: nothing half there.
TEST(CollectionPowerTest, EveryStepIsWholeOrNotThere) {
  const TemporaryFolder folder;
  const PowerDisk disk(folder.path());
  const TemporaryFolder files;
  Must(WriteFileAtomically(RealFileSystem(), files / "t.csv", AsBytes("a,b,y\n1,2,30\n3,4,31\n5,6,32\n")));
  States states;
  {
    const auto store = Must(CollectionStore::Open(folder.path()));
    const auto did = [&](const std::string&) { states.emplace_back(disk.operations(), LabelsIn(*store)); };
    did("open");
    Must(store->Create(Readings(), kCollectionStart));
    did("create");
    for (int64_t first : {0, 10}) {
      std::vector<NewExample> batch;
      for (int64_t i = first; i < first + 6; ++i)
        batch.push_back(Reading(1, 2, i, fmt::format("i{}", i), fmt::format("g{}", i % 3)));
      Must(store->Add("readings", batch, kCollectionStart));
      did("add");
    }
    TableOptions table{.fields = {Must(FieldRequest::Parse("x=a,b")), Must(FieldRequest::Parse("y=y:INT64"))},
                       .targets = {},
                       .categories = {},
                       .id = {},
                       .group = {}};
    const auto reader = Must(OpenCsv(files / "t.csv", {}, table));
    auto writer = Must(store->Write("readings", kCollectionStart, 1));  // in a batch for each row
    ExampleSink sink(writer, false);
    Must(reader->Read(sink));
    Must(writer.Commit());
    did("import");
    Must(store->Create(Readings("readings", {.max_count = 9}), kCollectionStart));
    did("settings");
    Must(store->Add("readings", {{Reading(0, 0, 40)}}, kCollectionStart));
    did("retention");
    Must(store->Remove("readings", "i12"));
    did("remove");
    Must(store->RemoveGroup("readings", "g0"));
    did("remove group");
    Must(store->Clear("readings"));
    did("clear");
    Must(store->Add("readings", {{Reading(0, 0, 50)}}, kCollectionStart));
    did("add again");
    Must(store->Drop("readings"));
    did("drop");
  }
  size_t differed = 0;
  for (uint64_t point = states.front().first; point <= disk.operations(); ++point) {
    size_t promised = 0;
    while (promised + 1 < states.size() && states[promised + 1].first <= point) ++promised;
    for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, 2 + point}) {
      const TemporaryFolder cut;
      disk.PowerCut(point, seed, cut.path());
      const auto store = Must(CollectionStore::Open(cut.path()));
      const auto labels = LabelsIn(*store);
      const size_t next = std::min(promised + 1, states.size() - 1);
      EXPECT_TRUE(labels == states[promised].second || labels == states[next].second)
          << "point " << point << ", seed " << seed << ", after step " << promised;
      if (labels != states[promised].second) ++differed;
      const auto info = store->Find("readings");
      if (info) {
        EXPECT_EQ(info->examples, labels.size()) << "the counts are of the same moment";
        // The rest of a cut import is not in the way of the next one, nor does that bring it to light.
        Must(store->Add("readings", {{Reading(0, 0, 60)}}, kCollectionStart));
        EXPECT_LE(LabelsIn(*store).size(), labels.size() + 1) << "point " << point << ", seed " << seed;
        EXPECT_EQ(LabelsIn(*store).back(), 60);
      }
    }
  }
  EXPECT_GT(differed, 3u) << "no cut fell between a write and its promise";
}

}  // namespace
}  // namespace tributary::collection_power_test
