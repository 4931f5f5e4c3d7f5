#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "device/agent/agent.h"
#include "tests/protocol/hop/hop_fixture.h"

namespace tributary {

// Learns nothing: what it gives is computed from the version, the same whenever it is asked.
class FakeLearner final : public Learner {
 public:
  int fits = 0;
  std::vector<size_t> examples;         // of each fit, or evaluation
  std::map<uint64_t, int> evaluations;  // by version
  std::optional<Error> failure;
  float scale = 1;  // of the last value of an update
  double loss = 2;  // the sum, after a fit
  // It keeps a model: one value, to which each fit adds the version.
  bool keeps = false;
  double own_accuracy = 4;  // of 5, of the model that it keeps
  std::function<void()> during = [] {};
  bool apart = false;  // in a process of its own

  bool works_apart() const override { return apart; }
  Result<Learned> Learn(const LearnOrder& order, const TaskExamples& own, const LearnHooks& hooks) override {
    ++fits;
    examples.push_back(own.training.size() + own.held_out.size());
    during();
    if (hooks.cancelled()) return Fail(Code::kShuttingDown, "cancelled");
    if (failure) return Fail(*failure);
    Learned learned;
    learned.meta.weight = 10;
    learned.meta.parameter_count = order.weights.size();
    for (size_t i = 0; i < order.weights.size(); ++i) {
      learned.delta.push_back(1e-3f * static_cast<float>(Number(order.task.latest)) + 1e-7f * static_cast<float>(i));
    }
    learned.delta.back() *= scale;
    learned.evaluations = {{EvaluatedModel::kGlobal, 5, 1, {{"loss", {2.5, 5}}, {"accuracy", {3, 5}}}},
                           {EvaluatedModel::kPersonal, 5, 1, {{"loss", {loss, 5}}, {"accuracy", {own_accuracy, 5}}}}};
    if (keeps) learned.personal = Kept(order, learned.evaluations);
    return learned;
  }
  Result<std::vector<EvaluationResult>> Evaluate(const LearnOrder& order, const TaskExamples& own,
                                                 const LearnHooks&) override {
    ++evaluations[Number(order.task.latest)];
    examples.push_back(own.training.size() + own.held_out.size());
    std::vector<EvaluationResult> results = {
        {EvaluatedModel::kGlobal, 100, 1, {{"loss", {25 * loss, 100}}, {"accuracy", {60, 100}}}}};
    if (order.personal) {
      results.push_back(
          {EvaluatedModel::kPersonal, 100, 1, {{"loss", {loss, 100}}, {"accuracy", {20 * own_accuracy, 100}}}});
    }
    return results;
  }

 private:
  static PersonalModel Kept(const LearnOrder& order, const std::vector<EvaluationResult>& evaluations) {
    PersonalModel model;
    model.task = order.task.id;
    model.base = order.task.latest;
    model.strategy = "fedper";
    model.choice = "kept";
    model.global = evaluations[0].metrics;
    model.personal = evaluations[1].metrics;
    model.examples = evaluations[0].examples;
    if (order.personal) model.lineage = order.personal->lineage;
    if (order.personal) model.lineage.push_back({order.personal->base, order.personal->choice, 0, 0});
    const float before = order.personal ? order.personal->tensors[0].values[0] : 0;
    model.tensors = {{"head", {1}, true, true, {before + static_cast<float>(Number(order.task.latest))}}};
    return model;
  }
};

// Has no examples unless a test gives it some, and says nothing against any task, since FakeLearner needs none.
class NoExamples final : public ExampleSource {
 public:
  std::optional<Error> failure;
  std::string stamp;
  TaskExamples own;
  int loads = 0;
  Result<TaskExamples> Load(const TaskManifest&) override {
    ++loads;
    if (failure) return Fail(*failure);
    return own;
  }
  Result<uint64_t> Generation(const TaskManifest&) override { return 0; }
  std::string Stamp() override { return stamp; }
};

// One device below one server, whose sink takes everything.
struct AgentFixture {
  explicit AgentFixture(Role role = Role::kDevice) : identity(world.fleet.Issue(role, "device-1")) {
    folder = world.folder / "device";
  }

  Status Open() {
    auto time = TimeFloor::Open(world.clock, *files, folder / "time-floor");
    if (!time) return Fail(time.error());
    agent.reset();
    floor = std::move(*time);
    Agent::Options options;
    options.folder = folder;
    options.identity_folder = identity_folder;
    options.reports = reports;
    options.hop = gateway->Address();
    options.chunk_bytes = limits::kMinChunkBytes;
    options.metrics_file = metrics_file;
    options.on_event = on_event;
    options.may_train = may_train;
    auto opened = Agent::Open(
        {world.loop, *floor, world.random, *files, identity, *learns, *source, work, world.worker}, options);
    if (!opened) return Fail(opened.error());
    agent = std::move(*opened);
    return {};
  }
  void Start() {
    const Status opened = Open();
    TRIBUTARY_CHECK(opened.has_value()) << opened.error().ToString();
    agent->Start();
  }
  // As SIGKILL would: what is on the disk now is all that is left.
  void Kill() {
    const Path copy = world.folder / ("device-" + std::to_string(++kills));
    std::filesystem::copy(folder, copy, std::filesystem::copy_options::recursive);
    agent.reset();
    folder = copy;
  }
  // The smallest step there is: one piece of work, or one look at the sockets.
  void Step() {
    if (!world.worker.idle()) return world.worker.RunOne();
    if (!work.idle()) return work.RunOne();
    world.Turn();
  }
  bool RunUntil(const std::function<bool()>& condition, int steps = 8'000) {
    for (int i = 0; i < steps && !condition(); ++i) Step();
    return condition();
  }
  bool RunUntilWithTime(const std::function<bool()>& condition, int steps = 8'000) {
    for (int i = 0; i < steps && !condition(); ++i) {
      Step();
      world.clock.Advance(Millis(10));
    }
    return condition();
  }
  // Publishes `version`, with a round or without one.
  void Publish(uint64_t number, uint64_t version, bool with_round = true, size_t weight_bytes = 36,
               const AskAgain& again = {}) {
    Publication publication =
        PublicationOf(world, MakePublication(world, server.blobs, number, ModelVersion{version}, weight_bytes));
    publication.tasks[0].round->again = again;
    if (!with_round) publication.tasks[0].round.reset();
    publication.tasks[0].plan = plan;
    publication.tasks[0].manifest.personal = personal_tensors;
    server->Publish(world.fleet.Publish(publication), number, /*root_version=*/1);
  }
  // From within a fit: until the publication is adopted.
  bool Adopted(uint64_t number) {
    return world.RunUntil([&] {
      const auto kept = ReadFile(RealFileSystem(), folder / "publication.bin", limits::kPublicationBytes);
      return kept && PublicationOf(world, *kept).number == number;
    });
  }
  // The model that the device keeps of the task; nullopt: none.
  std::optional<PersonalModel> Personal() const {
    const PersonalStore store(RealFileSystem(), folder / "personal");
    auto model = store.Load(TestTask("digits"));
    TRIBUTARY_CHECK(model.has_value()) << model.error().ToString();
    return std::move(*model);
  }
  size_t Delivered(UploadKind kind, uint64_t version) const {
    size_t count = 0;
    for (const auto& [id, stored] : server.sink.complete) {
      const UploadSubject& subject = stored.header.subject;
      if (subject.kind == kind && Number(subject.base_version) == version) ++count;
    }
    return count;
  }
  std::string StateText() const {
    const auto bytes = ReadFile(RealFileSystem(), folder / "state", limits::kConfigBytes);
    return bytes ? std::string(AsText(*bytes)) : "";
  }
  bool quiet() const {
    return agent->client().up() && agent->account().Spooled() == 0 && world.worker.idle() && work.idle();
  }

  HopWorld world;
  TestServer server{world, Role::kGateway, "gateway-1"};
  Identity identity;
  FakeLearner learner;
  Learner* learns = &learner;
  NoExamples examples;
  ExampleSource* source = &examples;
  StepExecutor work;
  FileSystem* files = &RealFileSystem();
  TestServer* gateway = &server;              // where the device connects to when it is opened
  TrainingPlan plan;                          // of what is published
  std::vector<std::string> personal_tensors;  // of the task, as patterns
  Path metrics_file;
  DeviceEvents::Listener on_event;
  std::function<bool()> may_train;
  Path folder;
  Path identity_folder;  // empty: nothing is renewed
  bool reports = false;  // so that counts are of the work alone
  int kills = 0;
  std::unique_ptr<TimeFloor> floor;
  std::unique_ptr<Agent> agent;
};

}  // namespace tributary
