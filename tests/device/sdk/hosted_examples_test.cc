#include "device/sdk/hosted_examples.h"

#include <gmock/gmock.h>

#include "tests/support/fixed_examples.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::hosted_examples_test {
namespace {

using testing::HasSubstr;

// Answers 20 numbers, or what goes wrong half way.
class Numbers final : public HostedExamples::Iterator {
 public:
  explicit Numbers(std::function<Status()> half_way) : half_way_(std::move(half_way)) {}
  Result<bool> Next(NewExample& example) override {
    if (next_ == 10 && half_way_) RETURN_IF_ERROR(half_way_());
    if (next_ == 20) return false;
    example.id = "n" + std::to_string(next_);
    example.values = Bytes{next_++};
    return true;
  }

 private:
  std::function<Status()> half_way_;
  uint8_t next_ = 0;
};

class HostedExamplesTest : public testing::Test {
 protected:
  void SetUp() override {
    manifest_.collection = "numbers";
    manifest_.inputs = {
        {.name = "x", .dtype = DType::kUint8, .shape = {-1}, .field = "x", .scaling = {}, .categories = {}}};
  }
  Status Host(const std::string& name, double share = 0.3) {
    return hosted_.Host({{.name = name, .fields = {{"x", DType::kUint8, {}}}, .held_out_share = share},
                         [this]() -> Result<std::unique_ptr<HostedExamples::Iterator>> {
                           return std::make_unique<Numbers>(half_way_);
                         }});
  }
  Result<TaskExamples> Load() { return hosted_.Over(of_folder_, false)->Load(manifest_); }

  const TemporaryFolder folder_;
  SharedStore store_{folder_.path()};
  HostedExamples hosted_{store_};
  FixedExamples of_folder_{{}};
  TaskManifest manifest_;
  std::function<Status()> half_way_;
};

TEST_F(HostedExamplesTest, AreHeldOutAsTheStoreWouldInTheirOrder) {
  ASSERT_TRUE(Host("numbers"));
  const TaskExamples hosted = Must(Load());
  std::vector<NewExample> examples;
  for (uint8_t i = 0; i < 20; ++i)
    examples.push_back({.id = "n" + std::to_string(i), .values = Bytes{i}, .lengths = {}});
  const auto stored = Must(CollectionStore::Open(":memory:"));
  Must(stored->Create({.name = "numbers", .fields = {{"x", DType::kUint8, {}}}, .held_out_share = 0.3}, {}));
  Must(stored->Add("numbers", examples, {}));
  const TaskExamples expected = Must(stored->Load("numbers", std::vector<std::string>{"x"}, {}));
  EXPECT_EQ(hosted.training.indices, expected.training.indices);
  EXPECT_EQ(hosted.held_out.indices, expected.held_out.indices);
  EXPECT_EQ(hosted.training.set->columns[0].values, expected.training.set->columns[0].values);
  EXPECT_GT(hosted.held_out.size(), 0u);
  // An evaluator evaluates all.
  const TaskExamples evaluated = Must(hosted_.Over(of_folder_, true)->Load(manifest_));
  EXPECT_EQ(evaluated.held_out.size(), 20u);
  EXPECT_EQ(evaluated.training.size(), 0u);
}

TEST_F(HostedExamplesTest, ErrorsPassThroughAndAStopEndsALoad) {
  ASSERT_TRUE(Host("numbers"));
  half_way_ = [] { return Fail(Code::kBusy, "later"); };
  EXPECT_EQ(Load().error().code, Code::kBusy);
  half_way_ = [this]() -> Status {
    hosted_.Interrupt();
    return {};
  };
  EXPECT_EQ(Load().error().code, Code::kShuttingDown);
  half_way_ = {};
  EXPECT_EQ(Load().error().code, Code::kShuttingDown);
  hosted_.Resume();
  EXPECT_TRUE(Load());
  manifest_.inputs[0].field = "z";
  EXPECT_EQ(Load().error().code, Code::kMissingField);
  EXPECT_THAT(Load().error().message, HasSubstr("'z'"));
  manifest_.inputs[0].field = "x";
  manifest_.min_examples = 100;
  EXPECT_EQ(Load().error().code, Code::kFewExamples);
  manifest_.collection = "another";
  EXPECT_EQ(Load().error().code, of_folder_.Load(manifest_).error().code) << "which is not hosted";
}

TEST_F(HostedExamplesTest, ChangesShowInTheStampAndErasuresInTheDurableGeneration) {
  EXPECT_EQ(hosted_.NoteErasure("numbers").error().code, Code::kNotFound);
  EXPECT_EQ(Host("no name").error().code, Code::kInvalidArgument);
  EXPECT_EQ(Host("numbers", 2).error().code, Code::kInvalidArgument);
  ASSERT_TRUE(Host("numbers"));
  const auto source = hosted_.Over(of_folder_, false);
  const std::string before = source->Stamp();
  ASSERT_TRUE(hosted_.NoteChange("numbers"));
  const std::string after = source->Stamp();
  EXPECT_NE(after, before);
  ASSERT_TRUE(hosted_.NoteErasure("numbers"));
  EXPECT_NE(source->Stamp(), after);
  EXPECT_EQ(Must(Must(CollectionStore::Open(folder_.path()))->Generation("numbers")), 1u);
}

}  // namespace
}  // namespace tributary::hosted_examples_test
