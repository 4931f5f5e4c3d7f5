#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "aggregator/api/api_routes.h"
#include "aggregator/api/device_routes.h"
#include "aggregator/api/enrolment_token_routes.h"
#include "aggregator/api/event_feed.h"
#include "aggregator/api/gateway_routes.h"
#include "aggregator/api/json_tasks.h"
#include "aggregator/api/round_routes.h"
#include "aggregator/api/spread_routes.h"
#include "aggregator/api/task_routes.h"
#include "aggregator/publish/tuf_shelf.h"
#include "protocol/base/http/ops_routes.h"
#include "protocol/base/http/problem.h"
#include "protocol/base/limits.h"
#include "protocol/catalogue/version_manifest.h"
#include "protocol/plan/field_json.h"
#include "tests/aggregator/api/api_fixture.h"
#include "tests/support/memory_signer.h"

// openapi.yaml is complete and true: its paths are the server's routes, its schemas the keys of what the server writes.
// The file keeps to two spaces per level and one key per line down to the properties, so lines are enough to read it
// by.
namespace tributary::openapi_test {
namespace {

struct Line {
  size_t depth = 0;
  std::string key;
  std::string value;
};

std::vector<Line> ReadLines() {
  const Path path = Path(TRIBUTARY_SOURCE_DIR) / "aggregator/api/openapi.yaml";
  std::istringstream text{std::string(AsText(*ReadFile(RealFileSystem(), path, limits::kConfigBytes)))};
  std::vector<Line> lines;
  for (std::string line; std::getline(text, line);) {
    const size_t indent = line.find_first_not_of(' ');
    const size_t colon = line.find(':', indent == std::string::npos ? 0 : indent);
    if (indent == std::string::npos || colon == std::string::npos) continue;
    const size_t value = line.find_first_not_of(' ', colon + 1);
    lines.push_back(
        {indent / 2, line.substr(indent, colon - indent), value == std::string::npos ? "" : line.substr(value)});
  }
  return lines;
}

// Lines directly below the path of keys `where`.
std::vector<Line> LinesBelow(const std::vector<std::string>& where) {
  std::vector<Line> found;
  std::vector<std::string> stack;
  for (const auto& line : ReadLines()) {
    if (line.depth > stack.size()) continue;  // the inside of a text or a list
    stack.resize(line.depth);
    if (stack == where) found.push_back(line);
    stack.push_back(line.key);
  }
  return found;
}

std::vector<std::string> KeysBelow(const std::vector<std::string>& where) {
  std::vector<std::string> keys;
  for (const Line& line : LinesBelow(where)) keys.push_back(line.key);
  return keys;
}

class OpenApiTest : public ApiFixture {};

TEST_F(OpenApiTest, ItsPathsAreTheServersRoutes) {
  HttpServer server(HttpServer::Options{});
  Metrics metrics;
  AddAll(server);
  AddOpsRoutes(server, metrics, {});
  const TufShelf shelf;
  AddTufRoutes(server, shelf, fake_.blobs());
  std::set<std::string> served, written;
  for (const auto& route : server.router().routes()) served.insert(route.method + " " + route.pattern);
  for (const auto& path : KeysBelow({"paths"})) {
    for (std::string method : KeysBelow({"paths", path})) {
      if (method == "parameters") continue;
      std::ranges::transform(method, method.begin(), [](unsigned char c) { return std::toupper(c); });
      written.insert(method + " " + path);
    }
  }
  EXPECT_GE(written.size(), 18u);
  EXPECT_EQ(written, served);
}

TEST_F(OpenApiTest, EveryOperationSaysTheRoleItAsksForAndThatItMayBeMissing) {
  for (const auto& route : server_.router().routes()) {
    std::string method = route.method;
    std::ranges::transform(method, method.begin(), [](unsigned char c) { return std::tolower(c); });
    std::string role;
    for (const Line& line : LinesBelow({"paths", route.pattern, method})) {
      if (line.key == "x-role") role = line.value;
    }
    if (route.access == HttpAccess::kOpen) {
      EXPECT_EQ(role, "") << route.pattern;
      EXPECT_THAT(KeysBelow({"paths", route.pattern, method}), testing::Contains("security")) << route.pattern;
      continue;
    }
    EXPECT_EQ(role, AccessName(route.access)) << route.method << " " << route.pattern;
    EXPECT_THAT(KeysBelow({"paths", route.pattern, method, "responses"}), testing::IsSupersetOf({"\"401\"", "\"403\""}))
        << route.method << " " << route.pattern;
  }
}

TEST_F(OpenApiTest, EveryEventHasTheSameFields) {
  const auto keys = [](const std::string& text) {
    std::vector<std::string> found;
    const auto event = nlohmann::json::parse(text);
    for (const auto& [key, value] : event.items()) found.push_back(key);
    return found;
  };
  EXPECT_EQ(keys(ToJson(EnrolmentEvent{})), keys(ToJson(CoreEvent{})));
}

// With every key.
TaskManifest WholeManifest() {
  const auto manifest = ParseTaskManifest(
      R"({"format": "tributary-task-1", "module": "none", "collection": "weather", "min_examples": 2,
          "inputs": [{"name": "x", "dtype": "FP64", "shape": [-1, 2], "role": "target", "field": "y",
                      "scale": {"kind": "constant", "mean": 1, "std": 2}, "pad": 1}],
          "outputs": [{"name": "output", "shape": [-1]}], "classes": ["a"], "tensors": {"frozen": ["base.*"]},
          "metrics": {"mae": "smaller"}, "golden": {"tolerance": 0.5}, "description": "d", "license": "l"})");
  EXPECT_TRUE(manifest.has_value()) << manifest.error().ToString();
  return *manifest;
}

TEST_F(OpenApiTest, ItsSchemasAreWhatTheServerWrites) {
  using nlohmann::json;
  const TaskId task = TestTask("digits");
  TaskRecord record;
  record.id = task;
  record.table.tensors = {{"w", {1}, 0, 1}};
  record.manifest = WholeManifest();
  const VersionRecord version{.task = task, .version = ModelVersion{1}, .weights = {}, .created = kTestStart};
  const MemberView member{TestDevice("one"), MemberRecord{}, EnrolledMember{}, DeviceStateRecord{}};
  const json shown_member = json::parse(ToJson(member));
  const json sealing = json::parse(ToJson(SealingKeyList{}));
  AuditPage page;
  page.entries.emplace_back();
  const json audit = json::parse(ToJson(page));
  const std::pair<UploadKind, KindAccount> account{UploadKind::kUpdate, {}};
  const json written = json::parse(ToJson(record));
  GatewayRecord gateway;
  gateway.report.trouble = "io: a sentence";
  const json shown = json::parse(ToJson(gateway));
  VersionManifest manifest;
  manifest.task = task;
  const std::string signed_manifest = *SignManifest(ManifestText(manifest), MemorySigner());
  const std::map<std::string, json> examples = {
      {"VersionManifest", json::parse(ManifestText(manifest))},
      {"SignedManifest", json::parse(signed_manifest)},
      {"Proof", json::parse(ProofText({.manifest = signed_manifest, .leaf = {}}))},
      {"Settings", json::parse(ToJson(RoundSettings{}))},
      {"Gateway", shown},
      {"LinkBytes", shown["uplink"]["uploads"]},
      {"Trouble", shown["trouble"]},
      {"Task", written},
      {"Tensor", written["tensors"][0]},
      {"Manifest", written["manifest"]},
      {"TaskInput", written["manifest"]["inputs"][0]},
      {"TaskOutput", written["manifest"]["outputs"][0]},
      {"MetricViews", json::parse(ToJson(version))["metrics"]},
      {"Plan", written["plan"]},
      {"Policy", written["policy"]},
      {"ServerOptimizer", written["server_optimizer"]},
      {"Robust", written["robust"]},
      {"Contribution", json::parse(ToJson(ContributionRecord{}))},
      {"MetricSpread", json::parse(ToJson(MetricSpread{}))},
      {"Bounds", written["bounds"]},
      {"Blob", written["module"]},
      {"TaskRequest", json::parse(TaskRequestToJson({record, {}}))},
      {"Round", json::parse(ToJson(CompletedRound(task, 1)))},
      {"Version", json::parse(ToJson(version))},
      {"Member", shown_member},
      {"Enrolment", shown_member["enrolment"]},
      {"DeviceState", shown_member["report"]},
      {"EnrolmentToken", json::parse(ToJson(EnrolmentTokenRecord{}))},
      {"NewEnrolmentToken", json::parse(NewTokenToJson({}, "{}"))},
      {"SealingKeys", sealing},
      {"SealingKey", sealing["items"][0]},
      {"AuditPage", audit},
      {"AuditEntry", audit["items"][0]},
      {"Account", json::parse(ToJson(std::span<const std::pair<UploadKind, KindAccount>>(&account, 1)))["items"][0]},
      {"Event", json::parse(ToJson(CoreEvent{}))},
      {"EventMember", json::parse(ToJson(EnrolmentEvent{}))["member"]},
      {"Code", json::parse(CodesToJson())["items"][0]},
      {"Problem", json::parse(ProblemOf({Code::kBusy, ""}).body)},
  };
  for (const auto& [name, example] : examples) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : example.items()) keys.push_back(key);
    EXPECT_THAT(KeysBelow({"components", "schemas", name, "properties"}), testing::UnorderedElementsAreArray(keys))
        << name;
  }
}

// ---- the bounds of a task

// "{type: number, minimum: 0}" as a map; lists stay text, and so does a description.
std::map<std::string, std::string> FlowMap(std::string text) {
  std::map<std::string, std::string> found;
  text = text.substr(1, text.rfind('}') - 1);
  while (!text.empty()) {
    const size_t colon = text.find(": ");
    const std::string key = text.substr(0, colon);
    text.erase(0, colon + 2);
    const char close = text[0] == '"' ? '"' : text[0] == '[' ? ']' : ',';
    const size_t end = std::min(close == ',' ? text.find(',') : text.find(close, 1) + 1, text.size());
    found[key] = text.substr(0, end);
    text.erase(0, std::min(end + 2, text.size()));
  }
  return found;
}

// A field of the table, as the schema writes it.
std::map<std::string, std::string> SchemaOf(const Field& field) {
  std::map<std::string, std::string> expected;
  const Field unbound{.name = field.name, .place = field.place, .help = field.help, .bounds = field.bounds};
  const Bounds bounds = unbound.AllBounds();
  const auto text = [](double number) { return fmt::format("{:.15g}", number); };
  if (std::isfinite(bounds.least)) expected[bounds.open_below ? "exclusiveMinimum" : "minimum"] = text(bounds.least);
  if (std::isfinite(bounds.most)) expected[bounds.open_above ? "exclusiveMaximum" : "maximum"] = text(bounds.most);
  if (!field.names.empty()) expected["enum"] = fmt::format("[{}]", fmt::join(field.names, ", "));
  const FieldValue value = field.Value();
  if (const auto* real = std::get_if<double>(&value)) {
    expected["type"] = "number";
    expected["default"] = text(*real);
  } else if (const auto* name = std::get_if<std::string>(&value)) {
    if (field.names.empty()) expected["type"] = "string";
    expected["default"] = field.names.empty() ? fmt::format("\"{}\"", *name) : *name;
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    expected["type"] = "boolean";
    expected["default"] = *flag ? "true" : "false";
  } else if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    expected["type"] = "array";
    expected["items"] = "{type: string}";
    expected["default"] = fmt::format("[{}]", fmt::join(*list, ", "));
  } else {
    expected["type"] = "integer";
    expected["default"] = nlohmann::json::parse(FieldsToText({&field, 1})).front().dump();
  }
  return expected;
}

TEST_F(OpenApiTest, DefaultsAndBoundsAreThoseOfTheTables) {
  TaskRecord task;
  const std::pair<std::string, std::vector<Field>> tables[] = {{"Plan", FieldsOf(task.plan)},
                                                               {"Policy", FieldsOf(task.policy)},
                                                               {"ServerOptimizer", FieldsOf(task.server_optimizer)},
                                                               {"Robust", FieldsOf(task.robust)},
                                                               {"Bounds", BoundsOf(task)}};
  for (const auto& [name, fields] : tables) {
    const auto lines = LinesBelow({"components", "schemas", name, "properties"});
    ASSERT_EQ(lines.size(), fields.size()) << name;
    for (size_t i = 0; i < fields.size(); ++i) {
      EXPECT_EQ(lines[i].key, fields[i].name);
      auto written = FlowMap(lines[i].value);
      written.erase("description");
      EXPECT_EQ(written, SchemaOf(fields[i])) << name << "." << fields[i].name;
    }
  }
}

}  // namespace
}  // namespace tributary::openapi_test
