#include "device/import/csv_reader.h"

#include <zlib.h>

#include <cstdio>
#include <ctime>

#include <gmock/gmock.h>

#include "tests/device/import/import_fixture.h"
#include "tests/support/outcome.h"

namespace tributary::csv_reader_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<FieldRequest> Requests(const std::vector<std::string>& texts) {
  std::vector<FieldRequest> requests;
  for (const std::string& text : texts) requests.push_back(Must(FieldRequest::Parse(text)));
  return requests;
}

class CsvReaderTest : public ImportFixture {
 protected:
  Status ImportCsv(std::string_view text, TableOptions table = {}, bool keep_good = false) {
    return Import(OpenCsv(Write("t.csv", text), {}, std::move(table)), keep_good);
  }
};

TEST_F(CsvReaderTest, EveryColumnIsAField) {
  Must(ImportCsv("\xEF\xBB\xBFTemp (C),b\r\n1.5, -2 \r\n+3,\"4\"\n\n1e2,5"));
  EXPECT_THAT(Values<float>("temp__c_"), ElementsAre(1.5f, 3, 100));
  EXPECT_THAT(Values<float>("b"), ElementsAre(-2, 4, 5));
}

TEST_F(CsvReaderTest, FieldsGroupsIdsCategoriesAndQuotes) {
  TableOptions table{.fields = Requests({"x=a,b:FP64", "kind=w", "list=l:INT16[-1]"}),
                     .targets = {},
                     .categories = {"w"},
                     .id = "key",
                     .group = "user"};
  Must(ImportCsv(
      "key,user,a,b,w,l\n1,u,1,2,\"rain, \"\"heavy\"\"\",1 2 3\n2,v,3,4,sun,\n3,u,5,6,\"rain, \"\"heavy\"\"\",7\n",
      [&] {
        auto skip = table;
        skip.missing = MissingValue::kSkip;
        return skip;
      }()));
  EXPECT_THAT(Values<double>("x"), ElementsAre(1, 2, 5, 6)) << "the row without a list is left out";
  EXPECT_THAT(Values<int64_t>("kind", {"sun", "rain, \"heavy\""}), ElementsAre(1, 1));
  EXPECT_THAT(Values<int16_t>("list"), ElementsAre(1, 2, 3, 7));
  EXPECT_EQ(Must(store->Summarise("c")).fields[1].names.at(0), "rain, \"heavy\"");
  const auto again = ImportCsv("key,user,a,b,w,l\n4,u,1,2,sun,5\n1,u,1,2,sun,6\n", table);
  ASSERT_EQ(Outcome(again), "already-exists");
  EXPECT_THAT(again.error().message, HasSubstr("t.csv: row 3"));
  EXPECT_EQ(Count(), 2u) << "nothing of it";
  EXPECT_EQ(Must(store->RemoveGroup("c", "u")), 2u);
}

TEST_F(CsvReaderTest, WindowsOfATimeSeries) {
  std::string text = "t,h\n";
  for (int i = 0; i < 8; ++i) text += fmt::format("{},{}\n", i, 10 * i);
  TableOptions table{
      .fields = Requests({"window=t,h"}), .targets = Requests({"future=t"}), .categories = {}, .id = {}, .group = {}};
  table.rows = 3;
  table.horizon = 2;
  table.stride = 2;
  Must(ImportCsv(text, table));
  EXPECT_THAT(Values<float>("window"), ElementsAre(0, 0, 1, 10, 2, 20, 2, 20, 3, 30, 4, 40));
  EXPECT_THAT(Values<float>("future"), ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(Must(store->Find("c")).settings.fields[0].shape, ElementsAre(3, 2));
}

TEST_F(CsvReaderTest, WindowsGoOverNoGapAndNoGroup) {
  TableOptions table{.fields = Requests({"w=t"}), .targets = {}, .categories = {}, .id = {}, .group = "g"};
  table.rows = 2;
  table.missing = MissingValue::kSkip;
  Must(ImportCsv("g,t\na,1\na,2\na,\na,4\na,5\nb,6\nb,7\n", table));
  EXPECT_THAT(Values<float>("w"), ElementsAre(1, 2, 4, 5, 6, 7));
  Must(store->Drop("c"));
  table.missing = MissingValue::kForwardFill;
  table.group.clear();
  table.stride = 3;
  Must(ImportCsv("g,t\na,NaN\na,1\na,\na,4\na,5\nb,6\nb,7\n", table));
  EXPECT_THAT(Values<float>("w"), ElementsAre(1, 1, 5, 6)) << "the first row has nothing before it";
}

TEST_F(CsvReaderTest, BadRowsAreNamedAndNothingOfTheFileStays) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a,b\n1,2\n3\n", "bad-example"},      {"a,b\n1,2\n3,4,5\n", "bad-example"}, {"a,b\n1,2\n3,x\n", "bad-example"},
      {"a,b\n1,2\n3,\n", "bad-example"},     {"a,b\n1,2\n3,nan\n", "bad-example"}, {"a,b\n1,2\n3,inf\n", "bad-example"},
      {"a,b\n1,2\n3,1e39\n", "bad-example"}, {"a,b\n1,2\n3,0x1\n", "bad-example"}};
  for (const auto& [text, outcome] : cases) {
    const Status imported = ImportCsv(text);
    ASSERT_EQ(Outcome(imported), outcome) << text;
    EXPECT_THAT(imported.error().message, HasSubstr("t.csv: row 3")) << text;
    EXPECT_EQ(Count(), 0u) << text;
  }
  EXPECT_EQ(Outcome(ImportCsv("a,b\n1,\"x\"y\n")), "corrupt");
  EXPECT_EQ(Outcome(ImportCsv("a,b\n1,\"never closed\n")), "corrupt");
  EXPECT_EQ(Outcome(ImportCsv("")), "corrupt");
  const auto missing = OpenCsv(folder / "no.csv", {}, {});
  EXPECT_EQ(Outcome(missing), "missing-data");
  const auto column = OpenCsv(Write("t.csv", "a,b\n"), {},
                              {.fields = Requests({"x=c"}), .targets = {}, .categories = {}, .id = {}, .group = {}});
  ASSERT_EQ(Outcome(column), "invalid-argument");
  EXPECT_THAT(column.error().message, HasSubstr("has no column 'c'; it has: a, b"));
  Must(ImportCsv("a,b\n1,2\n3\n4,5\n6,x\n7,8\n", {}, true));
  EXPECT_THAT(Values<float>("a"), ElementsAre(1, 4, 7));
  EXPECT_EQ(left_out, 2u);
}

TEST_F(CsvReaderTest, TextsThatAreNoNumbersNameTheOptionForThem) {
  const auto text = ImportCsv("a,kind\n1,sun\n");
  ASSERT_EQ(Outcome(text), "bad-example");
  EXPECT_THAT(text.error().message, HasSubstr("name it with --category"));
}

TEST_F(CsvReaderTest, ACategoryThatNoFieldUsesIsRefused) {
  const auto dropped = ImportCsv(
      "a,kind\n1,sun\n", {.fields = Requests({"a=a"}), .targets = {}, .categories = {"kind"}, .id = {}, .group = {}});
  ASSERT_EQ(Outcome(dropped), "invalid-argument");
  EXPECT_THAT(dropped.error().message, HasSubstr("the column kind is a --category but in no --field; add --field kind=kind"));
  const auto mixed = ImportCsv("a,kind\n1,sun\n", {.fields = Requests({"x=a,kind"}), .targets = {}, .categories = {"kind"}, .id = {}, .group = {}});
  ASSERT_EQ(Outcome(mixed), "invalid-argument");
  EXPECT_THAT(mixed.error().message, HasSubstr("the field x mixes a --category with columns of numbers"));
  Must(ImportCsv("a,kind\n1,sun\n", {.fields = {}, .targets = {}, .categories = {"kind"}, .id = {}, .group = {}}));
}

TEST_F(CsvReaderTest, WholeNumbersKeepTheirType) {
  const auto with = [&](const std::string& type, const std::string& value) {
    (void)store->Drop("c");
    return Outcome(
        ImportCsv("a\n" + value + "\n",
                  {.fields = Requests({"a=a:" + type}), .targets = {}, .categories = {}, .id = {}, .group = {}}));
  };
  EXPECT_EQ(with("UINT8", "255"), "ok");
  EXPECT_EQ(with("UINT8", "256"), "bad-example");
  EXPECT_EQ(with("UINT8", "-1"), "bad-example");
  EXPECT_EQ(with("BOOL", "2"), "bad-example");
  EXPECT_EQ(with("INT8", "-128"), "ok");
  EXPECT_EQ(with("INT32", "1.0"), "ok");
  EXPECT_EQ(with("INT32", "1.5"), "bad-example");
  EXPECT_EQ(with("INT64", "9223372036854775807"), "ok");
  EXPECT_THAT(Values<int64_t>("a"), ElementsAre(INT64_MAX));
  EXPECT_EQ(with("INT64", "9223372036854775808"), "bad-example");
}

TEST_F(CsvReaderTest, AQuoteThatIsNeverClosedTakesNoMoreThanItsBound) {
  const Path file = folder / "t.csv.gz";
  gzFile out = gzopen(file.c_str(), "wb1");
  const std::string piece(1 << 20, 'x');
  gzputs(out, "a\n\"");
  for (int i = 0; i < 140; ++i) gzwrite(out, piece.data(), static_cast<unsigned>(piece.size()));
  gzclose(out);
  EXPECT_EQ(Outcome(Import(OpenCsv(file, {}, {}))), "too-large");
}

constexpr const char* kDiabetes = "/usr/lib/python3/dist-packages/sklearn/datasets/data/diabetes_data_raw.csv.gz";
constexpr const char* kTemperatures = "/usr/lib/python3/dist-packages/vega_datasets/_data/seattle-temps.csv";

TEST_F(CsvReaderTest, RealData) {
  Must(Import(OpenCsv(kDiabetes, {.delimiter = ' ', .has_header = false}, {})));
  EXPECT_EQ(Count(), 442u);
  const CollectionSummary diabetes = Must(store->Summarise("c"));
  ASSERT_EQ(diabetes.fields.size(), 10u);
  EXPECT_EQ(diabetes.fields[0].least, 19) << "years";
  EXPECT_EQ(diabetes.fields[0].most, 79);
  Must(store->Drop("c"));
  TableOptions table{.fields = Requests({"window=temp"}),
                     .targets = Requests({"future=temp"}),
                     .categories = {},
                     .id = {},
                     .group = {}};
  table.rows = 24;
  table.horizon = 4;
  Must(Import(OpenCsv(kTemperatures, {}, table)));
  EXPECT_EQ(Count(), 8'759u - 24 - 4 + 1);
  EXPECT_EQ(Values<float>("window")[0], 39.4f);
}

// The claim is for an optimised build: below 1 s. This build says what it takes.
TEST_F(CsvReaderTest, AHundredThousandRows) {
  std::string text = "a,b,c,d,e,f,g,h,i,j\n";
  for (int i = 0; i < 100'000; ++i) {
    for (int column = 0; column < 10; ++column)
      text += fmt::format("{}.{}{}", i % 977, column, column < 9 ? "," : "\n");
  }
  const Path file = Write("t.csv", text);
  const std::clock_t begin = std::clock();  // of this process: other work on the machine does not count
  Must(Import(OpenCsv(file, {}, {})));
  std::printf("100,000 rows of 10 numbers: %.2f s of processor time\n",
              static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  EXPECT_EQ(Count(), 100'000u);
}

TEST_F(CsvReaderTest, WhatIsOfOneGroupIsNeverFilledIntoAnother) {
  TableOptions table;
  table.fields = Requests({"x=x"});
  table.group = "user";
  table.missing = MissingValue::kForwardFill;
  Must(ImportCsv("user,x\nalice,777\nalice,\nbob,\nbob,5\nbob,\n", table));
  EXPECT_THAT(Values<float>("x"), ElementsAre(777, 777, 5, 5)) << "bob's first row has nothing to be filled with";
  Must(store->RemoveGroup("c", "alice"));
  EXPECT_THAT(Values<float>("x"), ElementsAre(5, 5));
  const auto nameless = ImportCsv("user,x\nalice,1\n,2\n", table);
  EXPECT_EQ(Outcome(nameless), "bad-example");
  EXPECT_THAT(nameless.error().message, HasSubstr("an id or a group is not filled in"));
}

TEST_F(CsvReaderTest, AColumnThatIsThereTwiceIsNotGuessed) {
  TableOptions table;
  table.fields = Requests({"x=a"});
  const auto twice = ImportCsv("a,b,a\n1,2,3\n", table);
  EXPECT_EQ(Outcome(twice), "invalid-argument");
  EXPECT_THAT(twice.error().message, HasSubstr("several columns 'a'"));
}

}  // namespace
}  // namespace tributary::csv_reader_test
