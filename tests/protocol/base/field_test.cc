#include "protocol/base/field.h"

#include <cmath>

#include <gmock/gmock.h>

namespace tributary::field_test {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;

enum class Colour : uint8_t { kRed, kGreen };
constexpr std::string_view kColours[] = {"red", "green"};

// One field of every kind.
struct Sample {
  bool flag = true;
  Colour colour = Colour::kGreen;
  uint16_t port = 7000;
  uint32_t small = 3;
  uint64_t large = ~uint64_t{0};
  int64_t whole = -1;
  double share = 0.25;
  std::string text = "here";
  Path path = "/tmp/x";
  std::vector<std::string> list = {"a", "b"};

  std::vector<Field> Fields() {
    return {{.name = "flag", .place = &flag, .help = "on or off"},
            {.name = "colour", .place = ChoiceIn(colour), .help = "of the lamp", .names = kColours},
            {.name = "port", .place = &port, .help = "to listen on"},
            {.name = "small", .place = &small, .help = "how many", .bounds = Between(1, 10), .unit = "MiB"},
            {.name = "large", .place = &large, .help = "a seed"},
            {.name = "whole", .place = &whole, .help = "may be negative", .bounds = {.least = -1}},
            {.name = "share", .place = &share, .help = "of the whole", .bounds = AboveUpTo(0, 0.5)},
            {.name = "text", .place = &text, .help = "any words"},
            {.name = "path", .place = &path, .help = "a folder", .required = true},
            {.name = "list", .place = &list, .help = "some words"},
            {.name = "old", .place = &small, .help = ""}};
  }
};

std::string SetAt(Sample& sample, std::string_view name, const FieldValue& value) {
  for (const Field& field : sample.Fields()) {
    if (field.name != name) continue;
    const Status set = field.Set(value);
    return set ? "ok" : set.error().message;
  }
  return "no such field";
}

TEST(FieldTest, EveryKindComesBackAsItWasSet) {
  Sample from, to;
  from = {false, Colour::kRed, 1, 2, 3, 4, 0.5, "there", "/x", {"c"}};
  const auto source = from.Fields(), target = to.Fields();
  for (size_t i = 0; i < source.size(); ++i) {
    EXPECT_TRUE(target[i].Set(source[i].Value())) << source[i].name;
    EXPECT_EQ(target[i].Value(), source[i].Value()) << source[i].name;
  }
  EXPECT_EQ(to.colour, Colour::kRed);
  EXPECT_EQ(to.large, 3u);
  EXPECT_EQ(to.path, "/x");
}

TEST(FieldTest, AValueOfTheWrongKindIsRefusedAndNothingChanges) {
  Sample sample;
  EXPECT_EQ(SetAt(sample, "flag", std::string("true")), "must be true or false");
  EXPECT_EQ(SetAt(sample, "small", 1.0), "must be an integer");
  EXPECT_EQ(SetAt(sample, "share", std::string("0.1")), "must be a number");
  EXPECT_EQ(SetAt(sample, "text", true), "must be a string");
  EXPECT_EQ(SetAt(sample, "list", std::monostate()), "must be a list of strings");
  EXPECT_EQ(SetAt(sample, "colour", std::string("blue")), "must be one of red, green, not 'blue'");
  EXPECT_EQ(sample.colour, Colour::kGreen);
}

TEST(FieldTest, BoundsAreThoseOfTheTableAndOfTheType) {
  Sample sample;
  EXPECT_EQ(SetAt(sample, "small", uint64_t{11}), "must be between 1 and 10, not 11");
  EXPECT_EQ(SetAt(sample, "small", int64_t{-1}), "must be between 1 and 10, not -1");
  EXPECT_EQ(SetAt(sample, "port", int64_t{65'536}), "must be between 0 and 65535, not 65536");
  EXPECT_EQ(SetAt(sample, "large", int64_t{-1}), "must be at least 0, not -1");
  EXPECT_EQ(SetAt(sample, "large", ~uint64_t{0}), "ok");
  EXPECT_NE(SetAt(sample, "whole", ~uint64_t{0}), "ok");
  EXPECT_EQ(SetAt(sample, "share", 0.0), "must be above 0 and at most 0.5, not 0");
  EXPECT_EQ(SetAt(sample, "share", NAN), "must be above 0 and at most 0.5, not nan");
  EXPECT_EQ(SetAt(sample, "share", 0.5), "ok");
  EXPECT_EQ(sample.small, 3u);
}

TEST(FieldTest, OneFieldMayBoundAnother) {
  uint32_t goal = 5, minimum = 3;
  const Field field{.name = "minimum", .place = &minimum, .help = "", .bounds = Between(1, 9), .at_most = &goal};
  EXPECT_FALSE(field.Set(uint64_t{6}));
  goal = 7;
  EXPECT_TRUE(field.Set(uint64_t{6}));
}

TEST(FieldTest, TheCheckNamesTheFieldTheValueAndTheBounds) {
  Sample sample;
  EXPECT_TRUE(CheckFields(sample.Fields()));
  sample.share = NAN;
  EXPECT_EQ(CheckFields(sample.Fields()).error().message, "share must be above 0 and at most 0.5, not nan");
  sample = {};
  sample.colour = Colour{7};
  EXPECT_EQ(CheckFields(sample.Fields()).error().message, "colour must be one of red, green, not '7'");
}

TEST(FieldTest, TheManualSaysDefaultUnitAndBounds) {
  const std::string manual = FieldsManual(Sample().Fields(), "lamp");
  EXPECT_THAT(manual, HasSubstr("  lamp.small                  how many [3 MiB; between 1 and 10]\n"));
  EXPECT_THAT(manual, HasSubstr("of the lamp [green; one of red, green]\n"));
  EXPECT_THAT(manual, HasSubstr("a folder (required)\n"));
  EXPECT_THAT(manual, HasSubstr("some words [a, b]\n"));
  EXPECT_THAT(manual, testing::Not(HasSubstr("lamp.old"))) << "a former name";
  for (size_t at = 0; at < manual.size(); at = manual.find('\n', at) + 1) {
    EXPECT_LE(manual.find('\n', at) - at, 110u);
  }
}

TEST(FieldTest, LongHelpGoesOnInTheNextLine) {
  bool flag = false;
  std::string help;
  for (int i = 0; i < 40; ++i) help += "word ";
  help += "end";
  const Field field{.name = "a_name_that_is_longer_than_its_column", .place = &flag, .help = help};
  const std::string manual = FieldsManual({&field, 1});
  EXPECT_THAT(manual, AllOf(HasSubstr("column\n" + std::string(30, ' ') + "word"), EndsWith("end [false]\n")));
}

}  // namespace
}  // namespace tributary::field_test
