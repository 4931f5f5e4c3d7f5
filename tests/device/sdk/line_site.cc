#include "tests/device/sdk/line_site.h"

#include <nlohmann/json.hpp>

#include "aggregator/api/json_tasks.h"
#include "tests/support/must.h"
#include "tests/support/small_module.h"

namespace tributary {

LineSite::LineSite(uint32_t devices, StrategyName strategy) : site_(TRIBUTARY_BIN_DIR) {
  site_.AddAggregator();
  site_.Start("aggregator");
  TaskRequest request;
  request.task.id = TestTask("line");
  request.task.table.tensors = {{.name = "w", .shape = {2}, .offset = 0, .size = 2},
                                {.name = "b", .shape = {1}, .offset = 2, .size = 1}};
  request.task.policy = {.report_goal = devices, .minimum = devices, .deadline_seconds = 600, .inclusion = 1.0};
  request.task.plan.strategy = strategy;
  TaskManifest& manifest = request.task.manifest;
  manifest = {};
  manifest.collection = "points";
  manifest.inputs = {
      {.name = "x", .dtype = DType::kFp32, .shape = {-1, 2}, .field = "x", .scaling = {}, .categories = {}},
      {.name = "y",
       .dtype = DType::kFp32,
       .shape = {-1},
       .role = TaskInput::Role::kTarget,
       .field = "y",
       .scaling = {},
       .categories = {}}};
  manifest.outputs = {{.name = "output", .dtype = DType::kFp32, .shape = {-1}}};
  const std::vector<float> weights(3, 0.5f);
  request.task.module = Must(site_.api().PutBlob(SmallModule()));
  request.weights = Must(site_.api().PutBlob(AsBytes(std::span<const float>(weights)))).digest;
  Must(site_.api().CreateTask(request));
}

std::vector<std::string> LineSite::Learner() {
  return {"/usr/bin/python3", TRIBUTARY_SOURCE_DIR "/device/learn/example_learner.py"};
}

Path LineSite::MemberFolder(const std::string& id) {
  const Path folder = site_.folder() / id;
  site_.fleet().IssueInto(folder / "identity", Role::kDevice, id);
  return folder;
}

Path LineSite::Invitation(const std::string& id) {
  const Json made = Must(site_.api().CreateEnrolmentToken(
      {{"id", id}, {"role", "device"}, {"uses", 1}, {"approved", true}, {"device_class", "board"}}));
  const Path file = site_.folder() / (id + ".json");
  Must(WriteFileAtomically(RealFileSystem(), file, AsBytes(made.at("invitation").dump())));
  return file;
}

void LineSite::StartRounds(uint64_t count) { Must(site_.api().StartRounds("line", count)); }

std::vector<std::string> LineSite::Digests() {
  const Json versions = Must(site_.api().Versions("line"));
  std::vector<std::string> digests;
  for (const Json& version : versions.at("items")) {
    if (version.at("version") != 1) digests.push_back(version.at("weights").at("digest"));
  }
  return digests;
}

}  // namespace tributary
