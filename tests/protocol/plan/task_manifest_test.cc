#include "protocol/plan/task_manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary::task_manifest_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kForecast = R"({"format": "tributary-task-1", "collection": "weather", "min_examples": 48,
  "inputs": [{"name": "window", "dtype": "FP32", "shape": [-1, 24], "scale": {"kind": "constant", "mean": 10, "std": 8}},
             {"name": "future", "shape": [-1, 4], "role": "target", "field": "next", "pad": -1},
             {"name": "sky", "dtype": "INT64", "categories": ["rain", "sun"]}],
  "outputs": [{"name": "output", "shape": [-1, 4]}], "classes": ["cold", "warm"],
  "tensors": {"frozen": ["base.*"], "personal": ["head.*"]}, "metrics": {"mae": "smaller", "inside": "larger"},
  "golden": {"inputs": {"window": [[1, 2]]}, "tolerance": 0.5}, "description": "two\nlines", "license": "MIT"})";

// A manifest of one input, with these members in it.
std::string OneInput(const std::string& members) {
  return R"({"format": "tributary-task-1", "inputs": [{"name": "x", )" + members + "}]}";
}
std::string FaultOf(const std::string& text) {
  const auto manifest = ParseTaskManifest(text);
  return manifest ? "none" : manifest.error().message;
}

TEST(TaskManifest, EveryKeyIsRead) {
  const TaskManifest manifest = ParseTaskManifest(kForecast).value();
  EXPECT_EQ(manifest.collection, "weather");
  EXPECT_EQ(manifest.min_examples, 48u);
  ASSERT_EQ(manifest.inputs.size(), 3u);
  EXPECT_THAT(manifest.inputs[0].shape, ElementsAre(-1, 24));
  EXPECT_EQ(manifest.inputs[0].field, "window");
  EXPECT_EQ(manifest.inputs[0].scaling, (Scaling{Scaling::Kind::kConstant, 10, 8}));
  EXPECT_EQ(manifest.Find("future")->role, TaskInput::Role::kTarget);
  EXPECT_EQ(manifest.Find("future")->field, "next");
  EXPECT_EQ(manifest.Find("future")->pad, -1);
  EXPECT_THAT(manifest.Find("sky")->categories, ElementsAre("rain", "sun"));
  EXPECT_EQ(manifest.outputs[0].name, "output");
  EXPECT_THAT(manifest.frozen, ElementsAre("base.*"));
  EXPECT_EQ(manifest.metrics.at("inside"), MetricDirection::kLarger);
  EXPECT_THAT(manifest.golden, HasSubstr("tolerance"));
}

TEST(TaskManifest, ItsTextComesBackAsItWas) {
  const TaskManifest manifest = ParseTaskManifest(kForecast).value();
  EXPECT_EQ(ParseTaskManifest(TaskManifestText(manifest)).value(), manifest);
  EXPECT_EQ(CarriedText(ManifestOfImages()), "");
  const std::string without = R"({"format":"tributary-task-1","module":"none","inputs":[{"name":"x","dtype":"FP32"}]})";
  EXPECT_EQ(ParseTaskManifest(without).value().module, ModuleFormat::kNone);
  EXPECT_EQ(TaskManifestText(ParseTaskManifest(without).value()), without);
  EXPECT_EQ(FromCarriedText("").value(), ManifestOfImages());
  EXPECT_EQ(FromCarriedText(CarriedText(manifest)).value(), manifest);
}

TEST(TaskManifest, AFaultNamesItsPlace) {
  const std::pair<std::string, const char*> kFaults[] = {
      {"{", "the text is not JSON"},
      {"[]", "must be an object"},
      {std::string(60'000, '['), "it is nested too deeply"},
      {R"({"format": "tributary-task-9"})", "format must be \"tributary-task-1\", not \"tributary-task-9\""},
      {R"({"format": "tributary-task-1"})", "inputs must name at least one tensor"},
      {R"({"format": "tributary-task-1", "format": "tributary-task-1"})", "a name stands twice"},
      {OneInput(R"("shap": [-1])"), "inputs[0].shap is not a key that is known here; there are categories, dtype, field"},
      {OneInput(R"("dtype": "FP16")"), "inputs[0].dtype 'FP16' is no element type"},
      {OneInput(R"("shape": [3])"), "inputs[0].shape must begin with -1"},
      {OneInput(R"("shape": [-1, -1, -1])"), "one length that varies"},
      {OneInput(R"("shape": [-1, 0])"), "whole numbers from 1 to 2^31, or -1"},
      {OneInput(R"("field": "a\u001b[31m")"), "holds a control character"},
      {OneInput(R"("field": "a\nb")"), "may have letters, digits"},
      {OneInput(R"("scale": {"kind": "constant", "std": 5e-324})"), "inputs[0].scale.std and mean must be numbers of 32 bits"},
      {OneInput(R"("scale": {"kind": "constant", "mean": 1e308})"), "numbers of 32 bits"},
      {OneInput(R"("scale": {"std": 2})"), "must be constant, where mean or std stand"},
      {OneInput(R"("dtype": "INT64", "pad": 1e300)"), "pad must be"},
      {OneInput(R"("dtype": "INT64", "pad": 0.5)"), "whole number"},
      {R"({"format": "tributary-task-1", "inputs": [{"name": "x"}, {"name": "x"}]})", "inputs[1].name stands twice"},
      {OneInput(R"("categories": ["a", "b", "a"])"), "inputs[0].categories holds a text twice"},
      {R"({"format": "tributary-task-1", "inputs": [{"name": "x", "field": "k", "categories": ["a"]}, {"name": "k"}]})",
       "must give the field k the same categories at every input"},
      {R"({"format": "tributary-task-1", "inputs": [{"name": "x"}], "metrics": {"m": "best"}})", "smaller, larger"},
      {R"({"format": "tributary-task-1", "inputs": [{"name": "x"}], "min_examples": 0.5})", "min_examples must be"},
  };
  for (const auto& [text, fault] : kFaults) {
    EXPECT_THAT(FaultOf(text), HasSubstr(fault)) << text;
    EXPECT_THAT(FaultOf(text), HasSubstr("tributary.json")) << text;
  }
  EXPECT_EQ(ParseTaskManifest(std::string(kManifestBytes + 1, ' ')).error().code, Code::kTooLarge);
}

TEST(TaskManifest, PatternsMatchWithStars) {
  EXPECT_TRUE(MatchesPattern("head.*", "head.weight"));
  EXPECT_TRUE(MatchesPattern("*", ""));
  EXPECT_TRUE(MatchesPattern("*.bias", "a.b.bias"));
  EXPECT_TRUE(MatchesPattern("a*b*c", "aXbYbc"));
  EXPECT_FALSE(MatchesPattern("head", "head.weight"));
  EXPECT_FALSE(MatchesPattern("head.*", "heat.weight"));
  EXPECT_FALSE(MatchesPattern("", "a"));
}

TEST(DType, NamesAndSizes) {
  EXPECT_EQ(DTypeByName("INT64").value(), DType::kInt64);
  EXPECT_EQ(SizeOf(DType::kFp32), 4u);
  EXPECT_EQ(DTypeName(DType::kBool), "BOOL");
  EXPECT_THAT(DTypeByName("int64").error().message, HasSubstr("INT64"));
}

}  // namespace
}  // namespace tributary::task_manifest_test
