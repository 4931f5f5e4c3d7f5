#pragma once

#include <string>
#include <vector>

#include "aggregator/api/json_tasks.h"
#include "protocol/base/limits.h"
#include "protocol/catalogue/model_package.h"
#include "tests/support/must.h"
#include "tests/support/test_site.h"

namespace tributary {

// The task "digits": the demo's network, made and packed by `tributary-device`, its module and weights stored by the
// aggregator, which runs. Rounds of `devices` updates. Creates nothing yet.
inline TaskRequest DemoTask(TestSite& site, uint32_t devices) {
  const auto run = [&site](const std::vector<std::string>& arguments) {
    const Ended ended = site.Run("tributary-device", arguments);
    TRIBUTARY_CHECK(ended.code == 0) << ended.output;
  };
  run({"new-model", "--seed", "1", "--out", "m.pt"});
  run({"pack", "m.pt", "--out", "m.tpkg"});
  const ModelPackage package =
      Must(DecodeModelPackage(Must(ReadFile(RealFileSystem(), site.folder() / "m.tpkg", 16 * limits::kMiB))));
  TaskRequest request;
  request.task.id = TestTask("digits");
  request.task.table = package.table;
  request.task.module = Must(site.api().PutBlob(package.module));
  request.weights = Must(site.api().PutBlob(AsBytes(std::span<const float>(package.weights)))).digest;
  request.task.plan.epochs = 1;
  request.task.policy = {.report_goal = devices, .minimum = devices, .deadline_seconds = 600, .inclusion = 1.0};
  return request;
}

}  // namespace tributary
