#include "device/learn/personal_model.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/test_fleet.h"

namespace tributary::personal_model_test {
namespace {

PersonalModel Some() {
  PersonalModel model;
  model.task = TestTask("digits");
  model.base = ModelVersion{7};
  model.strategy = "apfl";
  model.choice = "mixed";
  model.examples = 60;
  model.global = {{"accuracy", {48, 60}}, {"loss", {30.1, 60}}};
  model.personal = {{"accuracy", {57, 60}}, {"loss", {0.1, 60}}};
  model.alpha = 0.1;
  model.generation = 3;
  model.lineage = {{ModelVersion{5}, "global", 0.5, 0.5}, {ModelVersion{6}, "mixed", 0.5, 0.625}};
  model.tensors = {{"fc.weight", {2, 2}, true, false, {1, -2.5f, 3, 1e-30f}}, {"fc.weight", {2, 2}, false, true, {0, 0, 0, 0}},
                   {"fc.bias", {}, true, true, {4}}};
  return model;
}

TEST(PersonalModelTest, ComesBackAsItWas) {
  EXPECT_EQ(DecodePersonalModel(EncodePersonalModel(Some())), Some());
  PersonalModel empty;
  empty.task = TestTask("digits");
  EXPECT_EQ(DecodePersonalModel(EncodePersonalModel(empty)), empty);
  EXPECT_TRUE(empty.uses_global());
  EXPECT_FALSE(Some().uses_global());
  EXPECT_EQ(Some().value_bytes(), 9 * 4);
}

TEST(PersonalModelTest, IsWrittenAsTheHeaderSays) {
  PersonalModel model;
  model.task = TestTask("digits");
  model.base = ModelVersion{3};
  model.strategy = "fedper";
  model.choice = "kept";
  model.tensors = {{"b", {1}, true, true, {1}}};
  EXPECT_EQ(AsText(EncodePersonalModel(model)),
            std::string("{\"format\":\"tributary-personal-1\",\"task\":\"digits\",\"base\":3,\"strategy\":\"fedper\","
                        "\"choice\":\"kept\",\"examples\":0,\"global\":{},\"personal\":{},\"alpha\":0.5,\"generation\":0,"
                        "\"lineage\":[],\"tensors\":[{\"name\":\"b\",\"shape\":[1],\"model\":true,\"state\":true}]}\n") +
                std::string("\0\0\x80\x3f", 4));
}

TEST(PersonalModelTest, EveryCutIsCorrupt) {
  const Bytes whole = EncodePersonalModel(Some());
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto cut = DecodePersonalModel(ByteView(whole).first(size));
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().code, Code::kCorrupt) << size;
  }
  Bytes longer = whole;
  longer.push_back(0);
  EXPECT_FALSE(DecodePersonalModel(longer));
}

TEST(PersonalModelTest, ValuesThatMeanNothingAreCorrupt) {
  const auto refused = [](const std::function<void(PersonalModel&)>& change) {
    PersonalModel model = Some();
    change(model);
    const auto read = DecodePersonalModel(EncodePersonalModel(model));
    return !read && read.error().code == Code::kCorrupt;
  };
  EXPECT_TRUE(refused([](PersonalModel& model) { model.alpha = 1.5; }));
  EXPECT_TRUE(refused([](PersonalModel& model) { model.tensors[2].values[0] = std::numeric_limits<float>::infinity(); }));
  EXPECT_TRUE(refused([](PersonalModel& model) { model.tensors[2].name = ""; }));
  EXPECT_TRUE(refused([](PersonalModel& model) { model.tensors[1].in_model = true; }));
  EXPECT_TRUE(refused([](PersonalModel& model) { model.global["accuracy"].weight = -1; }));
  EXPECT_TRUE(refused([](PersonalModel& model) { model.tensors[2].shape = {1 << 20, 1 << 20}; }));
  EXPECT_TRUE(refused([](PersonalModel& model) { model.lineage.resize(PersonalModel::kAncestors + 1); }));
  EXPECT_FALSE(refused([](PersonalModel&) {}));
}

TEST(PersonalModelTest, TheBetterModelHasTheLargerAccuracyThenTheSmallerLoss) {
  const auto metrics = [](double accuracy, double loss) {
    return TaskMetrics{{"accuracy", {accuracy, 1}}, {"loss", {loss, 1}}};
  };
  EXPECT_TRUE(IsBetter(metrics(0.9, 2), metrics(0.8, 1)));
  EXPECT_FALSE(IsBetter(metrics(0.8, 1), metrics(0.9, 2)));
  EXPECT_TRUE(IsBetter(metrics(0.9, 1), metrics(0.9, 2)));
  EXPECT_FALSE(IsBetter(metrics(0.9, 1), metrics(0.9, 1)));
  EXPECT_TRUE(IsBetter({{"loss", {1, 1}}}, {{"loss", {2, 1}}}));
  EXPECT_FALSE(IsBetter({}, {{"loss", {2, 1}}}));
}

// Against the exact test: the probability of at most so many heads in as many throws as there are wrong answers in all.
TEST(PersonalModelTest, TheClearlyBetterModelIsSoByMoreThanChance) {
  const auto clearly = [](int wrong, int than, int of = 200) {
    const auto metrics = [&](int errors) {
      return TaskMetrics{{"accuracy", {static_cast<double>(of - errors), static_cast<double>(of)}}};
    };
    return IsClearlyBetter(metrics(wrong), metrics(than));
  };
  EXPECT_TRUE(clearly(0, 5));
  EXPECT_FALSE(clearly(0, 4));
  EXPECT_TRUE(clearly(2, 9));
  EXPECT_FALSE(clearly(2, 8));
  EXPECT_FALSE(clearly(5, 0));
  EXPECT_FALSE(clearly(0, 0));
  for (int total = 1; total < 100; ++total) {
    double throws = std::ldexp(1.0, -total), heads = 0;
    for (int wrong = 0; 2 * wrong < total; ++wrong) {
      heads += throws;
      throws *= static_cast<double>(total - wrong) / (wrong + 1);
      if (heads > 0.049 && heads < 0.051) continue;  // the correction is that good
      EXPECT_EQ(clearly(wrong, total - wrong), heads <= 0.05) << wrong << " to " << total - wrong;
    }
  }
  EXPECT_TRUE(IsClearlyBetter({{"loss", {1, 1}}}, {{"loss", {1.01, 1}}})) << "no chance is known";
  EXPECT_FALSE(IsClearlyBetter({{"loss", {1, 1}}}, {{"loss", {1, 1}}}));
}

TEST(PersonalModelTest, AnotherShapeIsOfAnotherModel) {
  TensorTable table;
  table.tensors = {{"fc.weight", {2, 2}, 0, 4}};
  EXPECT_TRUE(CheckPersonalModel(Some(), table));
  table.tensors = {{"fc.weight", {4}, 0, 4}};
  EXPECT_FALSE(CheckPersonalModel(Some(), table));
}

}  // namespace
}  // namespace tributary::personal_model_test
