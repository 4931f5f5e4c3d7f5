#include "device/learn/array_file.h"

#include <limits>

#include <gmock/gmock.h>

#include "protocol/catalogue/module_archive.h"
#include "tests/support/must.h"

namespace tributary::array_file_test {
namespace {

using testing::HasSubstr;

constexpr std::string_view kManifest = R"({"format": "tributary-task-1", "module": "none", "inputs": [{"name": "x"}]})";
constexpr std::string_view kTensors = R"([{"name": "coef", "shape": [1, 2]}, {"name": "b", "shape": []}])";

Bytes FileOf(std::string_view manifest, std::string_view tensors, const std::vector<float>& values) {
  const std::string head = fmt::format("tributary-arrays-1\n{}\n{}\n", manifest, tensors);
  Bytes file = ToBytes(AsBytes(head));
  Append(file, AsBytes(values));
  return file;
}

TEST(ArrayFile, BecomesAPackageWithoutAModule) {
  const Bytes file = FileOf(kManifest, kTensors, {1, -2, 0.5});
  ASSERT_TRUE(IsArrayFile(file));
  const ModelPackage package = Must(ReadArrayFile(file));
  EXPECT_EQ(AsText(package.module), kNoModule);
  EXPECT_EQ(package.manifest.module, ModuleFormat::kNone);
  EXPECT_EQ(package.weights, (std::vector<float>{1, -2, 0.5}));
  ASSERT_EQ(package.table.tensors.size(), 2u);
  EXPECT_EQ(package.table.tensors[1], (TensorEntry{"b", {}, 2, 1}));
  EXPECT_TRUE(CheckModuleOf(package.manifest, package.module));
  const ModelPackage back = Must(DecodeModelPackage(EncodeModelPackage(package)));
  EXPECT_EQ(back.manifest, package.manifest);
  EXPECT_EQ(back.weights, package.weights);
}

TEST(ArrayFile, RefusesWhatDoesNotFit) {
  const std::vector<float> values = {1, -2, 0.5};
  const auto fault = [](const Bytes& file) { return ReadArrayFile(file).error().ToString(); };
  EXPECT_THAT(fault(FileOf(R"({"format": "tributary-task-1", "inputs": [{"name": "x"}]})", kTensors, values)),
              HasSubstr(R"(must say "module": "none")"));
  EXPECT_THAT(fault(FileOf(R"({"format": "tributary-task-1", "module": "none", "inputs": [{"name": "x"}], "tensors": {"frozen": ["b"]}})",
                           kTensors, values)),
              HasSubstr("no module for them to lie in"));
  EXPECT_THAT(fault(FileOf("{}", kTensors, values)), HasSubstr("invalid-argument"));
  EXPECT_THAT(fault(FileOf(kManifest, "{}", values)), HasSubstr("the tensors are no list"));
  EXPECT_THAT(fault(FileOf(kManifest, kTensors, {1, 2})), HasSubstr("8 bytes of values for 3 parameters"));
  EXPECT_THAT(fault(FileOf(kManifest, kTensors, {1, 2, std::numeric_limits<float>::infinity()})),
              HasSubstr("not-finite: the array b has values that are not finite"));
  const Bytes whole = FileOf(kManifest, kTensors, values);
  for (size_t length = 0; length < whole.size(); ++length) EXPECT_FALSE(ReadArrayFile(Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length))));
}

}  // namespace
}  // namespace tributary::array_file_test
