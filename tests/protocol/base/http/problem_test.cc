#include "protocol/base/http/problem.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tributary::problem_test {
namespace {

TEST(Problem, SaysWhatHappenedAndWhatToDo) {
  const HttpResponse response = ProblemOf({Code::kUnknownTask, "no task 'digits'"});
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.content_type, "application/problem+json");
  const auto json = nlohmann::json::parse(response.body);
  EXPECT_EQ(json["type"], "urn:tributary:code:unknown-task");
  EXPECT_EQ(json["title"], Describe(Code::kUnknownTask).sentence);
  EXPECT_EQ(json["remedy"], Describe(Code::kUnknownTask).remedy);
  EXPECT_EQ(json["status"], 404);
  EXPECT_EQ(json["detail"], "no task 'digits'");
}

TEST(Problem, EveryCodeComesBackAsItWentOut) {
  for (const auto& entry : AllCodes()) {
    const HttpResponse response = ProblemOf({entry.code, "detail"});
    EXPECT_GE(response.status, 400) << entry.name;
    const Error error = ErrorOfProblem(response.status, response.body);
    EXPECT_EQ(error.code, entry.code) << entry.name;
    EXPECT_EQ(error.message, "detail");
  }
}

TEST(Problem, StrangersErrorPagesBecomeTheNearestCode) {
  EXPECT_EQ(ErrorOfProblem(503, "<html>").code, Code::kBusy);
  EXPECT_EQ(ErrorOfProblem(401, "").code, Code::kUnauthorized);
  EXPECT_EQ(ErrorOfProblem(404, "{\"code\":7}").code, Code::kNotFound);
  EXPECT_EQ(ErrorOfProblem(500, "{\"code\":\"no-such-code\",\"detail\":\"x\"}").code, Code::kIo);
  EXPECT_EQ(ErrorOfProblem(418, "[1]").code, Code::kInvalidArgument);
  EXPECT_LT(ErrorOfProblem(500, std::string(5000, 'x')).message.size(), 300u);
}

TEST(Problem, BytesThatAreNotTextDoNotBreakTheAnswer) {
  const HttpResponse response = ProblemOf({Code::kNotFound, "no \xff\xfe"});
  EXPECT_TRUE(nlohmann::json::accept(response.body));
}

}  // namespace
}  // namespace tributary::problem_test
