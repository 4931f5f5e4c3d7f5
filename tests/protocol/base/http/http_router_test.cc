#include "protocol/base/http/http_router.h"

#include <gtest/gtest.h>

namespace tributary::http_router_test {
namespace {

HttpHandler Nothing() {
  return [](const HttpRequest&) -> Result<HttpResponse> { return HttpResponse::Text(""); };
}

HttpRouter SomeRoutes() {
  HttpRouter router;
  router.Add({"GET", "/tasks/{task}/rounds/{round}", HttpAccess::kViewer, 0, Nothing()});
  router.Add({"POST", "/tasks/{task}/rounds/cancel", HttpAccess::kViewer, 0, Nothing()});
  router.Add({"GET", "/tasks/{task}/rounds/latest", HttpAccess::kViewer, 0, Nothing()});
  router.Add({"GET", "/livez", HttpAccess::kOpen, 0, Nothing()});
  return router;
}

HttpRequest Ask(std::string method, std::string path) {
  HttpRequest request;
  request.method = std::move(method);
  request.path = std::move(path);
  return request;
}

TEST(HttpRouter, FillsInTheParametersOfThePattern) {
  const HttpRouter router = SomeRoutes();
  HttpRequest request = Ask("GET", "/tasks/digits/rounds/7");
  ASSERT_TRUE(router.Find(request));
  EXPECT_EQ(request.parameter("task"), "digits");
  EXPECT_EQ(request.parameter("round"), "7");
}

TEST(HttpRouter, ALiteralGoesBeforeAParameter) {
  const HttpRouter router = SomeRoutes();
  HttpRequest request = Ask("GET", "/tasks/digits/rounds/latest");
  ASSERT_EQ((*router.Find(request))->pattern, "/tasks/{task}/rounds/latest");
}

TEST(HttpRouter, UnknownPathsAreNotFound) {
  const HttpRouter router = SomeRoutes();
  for (const char* path :
       {"", "/", "*", "livez", "/livez/", "/tasks//rounds/7", "/tasks/digits/rounds", "/tasks/a/rounds/7/8"}) {
    HttpRequest request = Ask("GET", path);
    const auto found = router.Find(request);
    ASSERT_FALSE(found) << path;
    EXPECT_EQ(found.error().code, Code::kNotFound) << path;
  }
}

TEST(HttpRouter, AnotherMethodIsNamed) {
  const HttpRouter router = SomeRoutes();
  HttpRequest request = Ask("DELETE", "/tasks/digits/rounds/cancel");
  const auto found = router.Find(request);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kNotSupported);
  EXPECT_EQ(router.Allowed(request.path), "GET, POST");
}

}  // namespace
}  // namespace tributary::http_router_test
