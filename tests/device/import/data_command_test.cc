#include "device/import/data_command.h"

#include <array>
#include <set>

#include <gmock/gmock.h>

#include "tests/device/import/import_fixture.h"

namespace tributary::data_command_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class DataCommandTest : public ImportFixture {
 protected:
  // The output, after its exit code.
  std::string Run(std::vector<std::string> arguments) {
    return RunAt({"tributary-device", "device.toml", false,
                  [&](const Path&) {
                    return Result<std::map<std::string, Path>>({{"", folder.path()}});
                  }},
                 std::move(arguments));
  }
  std::string RunAt(const DataCommandPlace& place, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {place.program, "data"});
    arguments.insert(arguments.end(), {"--config", place.config});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = RunDataCommand(static_cast<int>(argv.size()), argv.data(), place);
    return fmt::format("{}: {}{}", code, testing::internal::GetCapturedStdout(),
                       testing::internal::GetCapturedStderr());
  }
};

TEST_F(DataCommandTest, AFleetsDevicesHaveCollectionsOfTheirOwn) {
  const DataCommandPlace place = {
      "tributary-fleet", "fleet.toml", true, [&](const Path&) {
        return Result<std::map<std::string, Path>>({{"ann", folder.path() / "ann"}, {"bob", folder.path() / "bob"}});
      }};
  const std::string ann = Write("ann.csv", "temp\n1\n2\n").string(), bob = Write("bob.csv", "temp\n3\n").string();
  EXPECT_EQ(RunAt(place, {"import", "--collection", "w", ann, bob}),
            "0: " + ann + ": 2 examples\n" + bob + ": 1 examples\n");
  EXPECT_THAT(RunAt(place, {"import", "--collection", "w", "--device", "bob", ann}), HasSubstr("2 examples"));
  EXPECT_EQ(Must(Must(CollectionStore::Open(folder.path() / "ann"))->Find("w")).examples, 2u);
  EXPECT_EQ(Must(Must(CollectionStore::Open(folder.path() / "bob"))->Find("w")).examples, 3u);

  const std::string cat = Write("cat.csv", "temp\n1\n").string();
  EXPECT_THAT(RunAt(place, {"import", "--collection", "w", ann, cat}),
              HasSubstr("cat.csv: the fleet has no device 'cat'; name another with --device. Nothing was imported"));
  EXPECT_EQ(Must(Must(CollectionStore::Open(folder.path() / "ann"))->Find("w")).examples, 2u);
  EXPECT_THAT(RunAt(place, {"list", "--device", "cat"}),
              HasSubstr("the fleet has no device 'cat'; it has 2, from ann to bob"));
  EXPECT_THAT(RunAt(place, {"list"}), HasSubstr("--device is required"));
  EXPECT_THAT(RunAt(place, {"import", "--collection", "w", "a-images-idx3-ubyte", "b"}),
              HasSubstr("name it with --device"));
}

// Ten of each of three species, in two files.
TEST_F(DataCommandTest, AFileIsDealtOutToAllDevices) {
  const auto fleet_in = [&](const std::string& name) {
    return DataCommandPlace{"tributary-fleet", "fleet.toml", true, [&, name](const Path&) {
                              std::map<std::string, Path> folders;
                              for (const char* device : {"a", "b", "c"})
                                folders[device] = folder.path() / name / device;
                              return Result<std::map<std::string, Path>>(folders);
                            }};
  };
  std::string one = "size,species\n", two = one;
  for (int i = 0; i < 30; ++i)
    (i < 15 ? one : two) += fmt::format("{},{}\n", i, std::array{"setosa", "virginica", "versicolor"}[i % 3]);
  const std::vector<std::string> files = {Write("one.csv", one).string(), Write("two.csv", two).string()};
  const auto deal = [&](const std::string& name, std::vector<std::string> more) {
    more.insert(more.begin(),
                {"import", "--collection", "w", "--category", "species", "--held-out-share", "0", "--deal"});
    more.insert(more.end(), files.begin(), files.end());
    return RunAt(fleet_in(name), more);
  };
  // The examples of each device, as "size:species".
  const auto dealt = [&](const std::string& name) {
    std::vector<std::vector<std::string>> all;
    for (const char* device : {"a", "b", "c"}) {
      const auto of_device = Must(CollectionStore::Open(folder.path() / name / device));
      const std::vector<std::string> fields = {"size", "species"};
      const TextNumbers numbers = {{"species", {"setosa", "virginica", "versicolor"}}};
      const TaskExamples loaded = Must(of_device->Load("w", fields, SystemClock().Now(), numbers));
      const auto sizes = ValuesOf<float>(loaded, "size");
      const auto species = ValuesOf<int64_t>(loaded, "species");
      auto& texts = all.emplace_back();
      for (size_t i = 0; i < sizes.size(); ++i) texts.push_back(fmt::format("{}:{}", sizes[i], species[i]));
    }
    return all;
  };
  EXPECT_EQ(deal("iid", {"iid"}), "0: dealt 30 examples to 3 devices, 10 to 10 each\n");
  std::set<std::string> seen;
  for (const auto& device : dealt("iid")) {
    for (const std::string& example : device) {
      EXPECT_TRUE(seen.insert(example).second) << example;
      EXPECT_EQ(std::stoi(example) % 3, example.back() - '0') << example;
    }
  }
  EXPECT_EQ(seen.size(), 30u);

  const std::vector<std::string> unequal = {"dirichlet", "--label", "species", "--alpha", "0.1", "--seed", "7"};
  EXPECT_THAT(deal("first", unequal), StartsWith("0: dealt 30 examples to 3 devices, "));
  EXPECT_THAT(deal("again", unequal), StartsWith("0: dealt"));
  EXPECT_EQ(dealt("first"), dealt("again"));
  EXPECT_NE(dealt("first"), dealt("iid"));
  EXPECT_THAT(deal("sorted", {"shards", "--label", "species", "--shards", "1"}), HasSubstr("10 to 10 each"));
  for (const auto& device : dealt("sorted")) {
    for (const std::string& example : device) EXPECT_EQ(example.back(), device.front().back());
  }
  EXPECT_EQ(deal("few", {"iid", "--total", "6"}), "0: dealt 6 examples to 3 devices, 2 to 2 each\n");
  EXPECT_THAT(deal("size", {"dirichlet", "--label", "size", "--total", "40"}),
              HasSubstr("total is 40, the data set has 30"));
  EXPECT_THAT(deal("none", {"dirichlet", "--label", "colour"}), HasSubstr("colour"));
  EXPECT_THAT(deal("one", {"iid", "--device", "a"}), HasSubstr("--device names one"));
}

TEST_F(DataCommandTest, ImportsShowsAndRemoves) {
  const std::string file = Write("w.csv", "who,temp,sky\nann,1,sun\nbob,2,rain\nann,3,sun\n").string();
  const std::string bad = Write("bad.csv", "who,temp,sky\nann,x,sun\nbob,2,rain\n").string();
  const std::vector<std::string> import = {
      "import", "--collection", "weather", "--group",     "who", "--field",          "temp=temp", "--category",
      "sky",    "--field",      "sky=sky", "--max-count", "100", "--held-out-share", "0"};
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> all = import;
    all.insert(all.end(), more.begin(), more.end());
    return Run(all);
  };
  EXPECT_EQ(with({file}), "0: " + file + ": 3 examples\n");
  EXPECT_THAT(with({bad}), HasSubstr("bad.csv: row 2: column temp: 'x' is not a number; if it is a column of texts, "
                                     "name it with --category. Nothing of this file"));
  EXPECT_THAT(with({bad, "--keep-good"}),
              HasSubstr("1 examples, 1 of which were there before, value for value, 1 bad rows left out; the first: "));
  EXPECT_THAT(Run({"list"}), HasSubstr("weather                       4"));
  const std::string shown = Run({"show", "--collection", "weather"});
  EXPECT_THAT(shown, HasSubstr("4 to train on, 0 held out"));
  EXPECT_THAT(shown, HasSubstr("temp:FP32, from 1 to 3"));
  EXPECT_THAT(shown, HasSubstr("0  2  sun"));
  EXPECT_THAT(shown, HasSubstr("at most 100 examples"));
  EXPECT_EQ(Run({"remove", "--collection", "weather", "--group", "ann"}), "0: removed 2 examples\n");
  EXPECT_THAT(Run({"remove", "--collection", "weather"}), HasSubstr("give one of --id, --group and --all"));
  EXPECT_EQ(Run({"clear", "--collection", "weather"}), "0: removed 2 examples\n");
  EXPECT_EQ(Run({"remove", "--collection", "weather", "--all"}), "0: removed 0 examples\n");
  EXPECT_THAT(Run({"show", "--collection", "weather"}), HasSubstr("not-found"));
}

TEST_F(DataCommandTest, AFileThatIsThereAlreadyIsSeen) {
  const std::string file = Write("w.csv", "temp\n1\n2\n2\n").string();
  const std::string more = Write("more.csv", "temp\n2\n3\n").string();
  EXPECT_EQ(Run({"import", "--collection", "w", file}), "0: " + file + ": 3 examples\n") << "two of its own are alike";
  EXPECT_THAT(Run({"import", "--collection", "w", more}), HasSubstr("2 examples, 1 of which were there before"));
  EXPECT_THAT(
      Run({"import", "--collection", "w", file}),
      AllOf(StartsWith("0: "), HasSubstr("3 of which were there before, value for value (the same file again?")));
  EXPECT_EQ(Must(store->Find("w")).examples, 8u);
}

TEST_F(DataCommandTest, EqualExamplesAreOnOneSide) {
  std::string text = "temp\n";
  for (int i = 0; i < 60; ++i) text += fmt::format("{}\n", i);
  const std::string file = Write("w.csv", text).string();
  EXPECT_THAT(Run({"import", "--collection", "w", "--held-out-share", "0.5", file}), StartsWith("0: "));
  EXPECT_THAT(Run({"import", "--collection", "w", file}), StartsWith("0: "));
  const std::vector<std::string> fields = {"temp"};
  const TaskExamples examples = Must(store->Load("w", fields, kCollectionStart));
  std::set<float> training, held_out;
  const auto values = ValuesOf<float>(examples, "temp");
  for (const uint32_t index : examples.training.indices) training.insert(values[index]);
  for (const uint32_t index : examples.held_out.indices) held_out.insert(values[index]);
  EXPECT_EQ(training.size() + held_out.size(), 60u);
  EXPECT_GT(held_out.size(), 10u);
  EXPECT_EQ(examples.held_out.indices.size(), 2 * held_out.size());
}

TEST_F(DataCommandTest, ASettingThatIsNotGivenStays) {
  const std::string one = Write("1.csv", "temp\n1\n").string(), two = Write("2.csv", "temp\n2\n").string();
  EXPECT_THAT(Run({"import", "--collection", "w", "--max-count", "3", "--max-age", "99", one}), StartsWith("0: "));
  EXPECT_THAT(Run({"import", "--collection", "w", "--purpose", "tests", two}), StartsWith("0: "));
  const CollectionSettings settings = Must(store->Find("w")).settings;
  EXPECT_EQ(settings.retention.max_count, 3u);
  EXPECT_EQ(settings.retention.max_age_seconds, 99u);
  EXPECT_EQ(settings.purpose, "tests");
}

TEST_F(DataCommandTest, AnOptionOfAnotherKindOfFileIsRefused) {
  const std::string file = WriteWithPython("a.npz", "np.savez(out, x=np.ones(3, dtype=np.float32))").string();
  EXPECT_THAT(Run({"import", "--collection", "w", "--missing", "skip", file}),
              HasSubstr("--missing is for CSV and SQLite"));
  EXPECT_THAT(Run({"import", "--collection", "w", "--field", "x=x", folder.path().string()}),
              HasSubstr("--field is for CSV, SQLite and NumPy"));
  EXPECT_THAT(Run({"import", "--collection", "w", "--field", "y=x", file}), HasSubstr("3 examples"));
}

TEST_F(DataCommandTest, RowsThatAreSkippedAreCounted) {
  const std::string file = Write("w.csv", "temp,wind\n1,1\n,2\nNA,3\n4,4\n").string();
  EXPECT_THAT(Run({"import", "--collection", "w", "--missing", "skip", file}),
              HasSubstr("2 examples, 2 rows without a value skipped"));
}

TEST_F(DataCommandTest, AFirstFileThatIsRefusedLeavesNoCollectionBehind) {
  const std::string file = Write("w.csv", "day,temp\nmon,1\ntue,2\n").string();
  EXPECT_THAT(Run({"import", "--collection", "weather", file}), HasSubstr("'mon' is not a number"));
  EXPECT_THAT(Run({"show", "--collection", "weather"}), HasSubstr("not-found"));
  EXPECT_EQ(Run({"import", "--collection", "weather", "--field", "temp=temp", file}), "0: " + file + ": 2 examples\n");
}

TEST_F(DataCommandTest, OtherFieldsAreRefusedWithTheWayOutAndTheWayOutWorks) {
  const std::string one = Write("one.csv", "temp\n1\n2\n").string(),
                    two = Write("two.csv", "wind,rain\n1,2\n").string();
  EXPECT_THAT(Run({"import", "--collection", "weather", one}), StartsWith("0: "));
  EXPECT_THAT(Run({"clear", "--collection", "weather"}), StartsWith("0: "));
  EXPECT_THAT(Run({"import", "--collection", "weather", two}),
              AllOf(StartsWith("1: "), HasSubstr("has the fields temp:FP32 and"),
                    HasSubstr("the fields wind:FP32 rain:FP32 and"),
                    HasSubstr("data remove --config FILE --collection weather --all")));
  EXPECT_THAT(Run({"remove", "--collection", "weather", "--all"}), StartsWith("0: "));
  EXPECT_THAT(Run({"import", "--collection", "weather", two}), StartsWith("0: "));
}

TEST_F(DataCommandTest, AChoiceThatThereIsNotListsThoseThatThereAre) {
  const std::string refused = Run({"import", "--format", "excel", "w.csv"});
  EXPECT_THAT(refused, HasSubstr("--format: 'excel' is none of csv, idx, images, numpy, sql, text"));
  EXPECT_THAT(refused, StartsWith("2: "));
}

}  // namespace
}  // namespace tributary::data_command_test
