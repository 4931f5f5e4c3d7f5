#include "aggregator/operator/command/table.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tributary::table_test {
namespace {

TEST(Table, AlignsTextLeftAndNumbersRight) {
  const Json items =
      Json::parse(R"([{"id":"a","n":5,"blob":{"size":null}},{"id":"größer","n":1234,"blob":{"size":7}}])");
  EXPECT_EQ(RenderTable(items, {{"ID", "id"}, {"N", "n"}, {"SIZE", "blob.size"}, {"NONE", "blob.none.x"}}),
            "ID         N  SIZE  NONE\n"
            "a          5     -     -\n"
            "größer  1234     7     -\n");
}

TEST(Table, AnEmptyListIsItsHeading) { EXPECT_EQ(RenderTable(Json::array(), {{"ID", "id"}, {"N", "n"}}), "ID  N\n"); }

TEST(Table, ValuesAsPeopleReadThem) {
  EXPECT_EQ(RenderValue(Json()), "-");
  EXPECT_EQ(RenderValue(true), "yes");
  EXPECT_EQ(RenderValue(0.80125), "0.8013");
  EXPECT_EQ(RenderValue(std::string(64, 'a')), "aaaaaaaaaaaa");
  EXPECT_EQ(RenderValue(Json::parse(R"({"duplicate":2,"not-finite":1})")), "duplicate 2, not-finite 1");
  EXPECT_EQ(RenderValue(Json::object()), "-");
}

TEST(Table, NothingThatIsShownMovesTheCursor) {
  const std::string sequence = "x\x1b[2J\xC2\x9B\xE2\x80\xAE\n\xff";
  const std::string clean = "x?[2J????";
  Json row;
  row["id"] = sequence;
  Json items = Json::array();
  items.push_back(row);
  EXPECT_EQ(RenderValue(sequence), clean);
  EXPECT_EQ(RenderValue(row), "id " + clean);
  EXPECT_EQ(RenderTable(items, {{"ID", "id"}}), "ID\n" + clean + "\n");
  EXPECT_EQ(RenderObject(row), "id                        " + clean + "\n");
  row["id"] = "x\x1b[2J\xC2\x9B!";
  EXPECT_EQ(PrettyJson(row), "{\n  \"id\": \"x\\u001b[2J\\u009b!\"\n}");
}

TEST(Table, ObjectsHaveALinePerField) {
  EXPECT_EQ(RenderObject(Json::parse(R"({"id":"digits","plan":{"loss":"x"},"refused":{"duplicate":2}})")),
            "id                        digits\n"
            "plan.loss                 x\n"
            "refused                   duplicate 2\n");
}

}  // namespace
}  // namespace tributary::table_test
