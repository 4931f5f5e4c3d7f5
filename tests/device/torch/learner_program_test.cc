#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include <gmock/gmock.h>

#include "device/learn/process_learner.h"
#include "device/torch/model.h"
#include "device/torch/model_tools.h"
#include "device/torch/sandbox.h"
#include "device/torch/torch_learner.h"
#include "protocol/base/limits.h"
#include "tests/device/torch/module_scripts.h"
#include "tests/device/torch/run_python.h"
#include "tests/support/image_set.h"
#include "tests/support/in_child.h"
#include "tests/support/must.h"
#include "tests/support/sanitized.h"
#include "tests/support/test_fleet.h"

// The program tributary-learner, as a device starts it, and what it may not do.
namespace tributary::learner_program_test {
namespace {

const std::vector<std::string> kProgram = {TRIBUTARY_BIN_DIR "/tributary-learner"};

struct ImageTask {
  ImageTask() {
    const auto model = Must(BuildFashionCnn(1));
    module = Must(model->Save());
    weights = model->Weights();
    task.id = TestTask("digits");
    task.latest = ModelVersion{3};
    task.table = model->table();
    task.plan.epochs = 2;
    Bytes pixels, labels;
    for (size_t i = 0; i < size_t{70} * 784; ++i) pixels.push_back(static_cast<uint8_t>(i * i / 7 + i % 13));
    for (size_t i = 0; i < 70; ++i) labels.push_back(static_cast<uint8_t>(i % 10));
    examples.training.set = examples.held_out.set = ImageSet({1, 28, 28}, pixels, labels);
    for (uint32_t i = 0; i < 70; ++i) (i % 7 == 2 ? examples.held_out : examples.training).indices.push_back(69 - i);
  }
  LearnOrder Order() const { return {task, device, module, weights}; }

  PublishedTask task;
  DeviceId device = TestDevice("device-1");
  Bytes module;
  std::vector<float> weights;
  TaskExamples examples;
};

TEST(LearnerProgramTest, LearnsTheSameBitsAsInThisProcess) {
  const ImageTask work;
  uint64_t steps = 0;
  const LearnHooks hooks{.progress = [&](uint64_t done, double) { steps = done; }};
  const Learned here = Must(TorchLearner().Learn(work.Order(), work.examples, {}));
  const Learned there = Must(ProcessLearner(kProgram).Learn(work.Order(), work.examples, hooks));
  EXPECT_EQ(there.delta, here.delta);
  EXPECT_GT(steps, 0u);
  EXPECT_EQ(there.meta.weight, here.meta.weight);
  EXPECT_EQ(there.meta.training_loss, here.meta.training_loss);
  ASSERT_EQ(there.evaluations.size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(there.evaluations[i].metrics, here.evaluations[i].metrics);
  const auto evaluated = Must(ProcessLearner(kProgram).Evaluate(work.Order(), work.examples, {}));
  ASSERT_EQ(evaluated.size(), 1u);
  EXPECT_EQ(evaluated[0].metrics, here.evaluations[0].metrics);
}

// By the statistics of what was trained on, or a version would be another model where it is only evaluated.
TEST(LearnerProgramTest, AnEvaluationScalesTheInputsAsTheFitDid) {
  ImageTask work;
  work.task.manifest.inputs[0].scaling = {.kind = Scaling::Kind::kDeviceStandard};
  const Learned learned = Must(TorchLearner().Learn(work.Order(), work.examples, {}));
  const auto here = Must(TorchLearner().Evaluate(work.Order(), work.examples, {}));
  const auto there = Must(ProcessLearner(kProgram).Evaluate(work.Order(), work.examples, {}));
  EXPECT_EQ(here[0].metrics, learned.evaluations[0].metrics);
  EXPECT_EQ(there[0].metrics, learned.evaluations[0].metrics);
  // An evaluator trains on nothing: its own are all that there is.
  work.examples.training.indices.clear();
  const auto alone = Must(ProcessLearner(kProgram).Evaluate(work.Order(), work.examples, {}));
  EXPECT_EQ(alone[0].metrics, Must(TorchLearner().Evaluate(work.Order(), work.examples, {}))[0].metrics);
  EXPECT_NE(alone[0].metrics, there[0].metrics);
}

TEST(LearnerProgramTest, APersonalModelGoesThereAndComesBack) {
  ImageTask work;
  work.task.plan.strategy = StrategyName::kDitto;
  ProcessLearner program(kProgram);
  std::optional<PersonalModel> here, there;
  for (uint64_t version = 3; version <= 4; ++version) {
    work.task.latest = ModelVersion{version};
    LearnOrder order = work.Order();
    order.personal = here ? &*here : nullptr;
    Learned in_process = Must(TorchLearner().Learn(order, work.examples, {}));
    order.personal = there ? &*there : nullptr;
    Learned by_program = Must(program.Learn(order, work.examples, {}));
    here = std::move(in_process.personal);
    there = std::move(by_program.personal);
    ASSERT_TRUE(here && there);
    EXPECT_EQ(*there, *here);
  }
  EXPECT_EQ(there->lineage.size(), 1u);
  LearnOrder order = work.Order();
  order.personal = &*there;
  const auto evaluated = Must(program.Evaluate(order, work.examples, {}));
  ASSERT_EQ(evaluated.size(), 2u);
  EXPECT_EQ(evaluated[0].model, EvaluatedModel::kGlobal);
  EXPECT_EQ(evaluated[0].metrics, there->global);
  EXPECT_EQ(evaluated[1].model, EvaluatedModel::kPersonal);
  EXPECT_EQ(evaluated[1].metrics, there->personal);
}

TEST(LearnerProgramTest, SaysWhatIsWrongWithTheWork) {
  ImageTask work;
  work.module.resize(100);
  const auto no_module = ProcessLearner(kProgram).Learn(work.Order(), work.examples, {});
  ASSERT_FALSE(no_module);
  EXPECT_EQ(no_module.error().code, TorchLearner().Learn(work.Order(), work.examples, {}).error().code);
  ImageTask other;
  other.task.table.tensors.back().name = "no.such.tensor";
  const auto no_table = ProcessLearner(kProgram).Learn(other.Order(), other.examples, {});
  ASSERT_FALSE(no_table);
  EXPECT_EQ(no_table.error().code, Code::kWrongTensorCount) << no_table.error().ToString();
}

TEST(LearnerProgramTest, IsCancelledInTheMiddleOfAFit) {
  ImageTask work;
  work.task.plan.epochs = 1'000;
  bool began = false;
  const LearnHooks hooks{.cancelled = [&] { return began; }, .progress = [&](uint64_t, double) { began = true; }};
  const auto start = std::chrono::steady_clock::now();
  const auto learned = ProcessLearner(kProgram).Learn(work.Order(), work.examples, hooks);
  ASSERT_FALSE(learned);
  EXPECT_EQ(learned.error().code, Code::kShuttingDown);
  EXPECT_LT(std::chrono::steady_clock::now() - start, Millis(60'000));
}

TEST(LearnerProgramTest, AModelThatIsTooLargeForItsMemoryIsToldSo) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer needs its own address space";
  ImageTask work;
  work.module = Must(Must(Model::FromSource({"Hoard",
                                             {{"w", {1, 784}, std::vector<float>(784)}},
                                             "def forward(self, x):\n"
                                             "    y = torch.zeros([1 << 40])\n"
                                             "    return torch.linear(torch.flatten(x, 1), self.w) + y[0]\n"}))
                         ->Save());
  work.task.table.tensors = {{"w", {1, 784}, 0, 784}};
  work.weights.assign(784, 0);
  const auto learned = ProcessLearner(kProgram).Learn(work.Order(), work.examples, {});
  ASSERT_FALSE(learned);
  EXPECT_EQ(learned.error().code, Code::kLearnerMemory) << learned.error().ToString();
}

TEST(LearnerProgramTest, WithoutAnAgentItExplainsItself) {
  EXPECT_EQ(system((kProgram[0] + " > /dev/null 2>&1 3<&-").c_str()) >> 8, 2);
  EXPECT_EQ(system((kProgram[0] + " --help > /dev/null").c_str()), 0);
}

// The end of `deed` in a process that has entered the sandbox.
int InSandbox(const std::function<void()>& deed) {
  return InChild(nullptr, "", [&] {
    WarmUpTorch();
    Must(EnterSandbox());
    deed();
  });
}

TEST(SandboxTest, AProcessInItOnlyComputes) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own calls are not on the list";
  const ImageTask work;
  EXPECT_EQ(InSandbox([&] { Must(TorchLearner().Learn(work.Order(), work.examples, {})); }), 0);
  EXPECT_EQ(InSandbox([] {
              for (const char* file : {"/etc/passwd", "/tmp/written-by-a-model", "/proc/self/environ"}) {
                TRIBUTARY_CHECK(open(file, O_RDONLY | O_CREAT, 0600) == -1 && errno == EACCES) << file;
              }
              TRIBUTARY_CHECK(unlink("/tmp/no-such-file") == -1 && errno == EACCES) << "unlink";
            }),
            0);
  EXPECT_EQ(InSandbox([] { (void)socket(AF_INET, SOCK_STREAM, 0); }), SIGSYS);
  EXPECT_EQ(InSandbox([] { (void)fork(); }), SIGSYS);
  EXPECT_EQ(InSandbox([] { (void)execl("/bin/true", "true", nullptr); }), SIGSYS);
  EXPECT_EQ(InSandbox([] { (void)kill(1, 0); }), SIGSYS);
  EXPECT_EQ(InSandbox([] { std::thread([] {}).join(); }), SIGSYS);
  EXPECT_EQ(InSandbox([] { abort(); }), SIGABRT);
}

// 2,000 fill a stack of 8 MiB.
TEST(SandboxTest, ALongChainOfFunctionsFitsItsStack) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own calls are not on the list";
  const TemporaryFolder folder;
  RunPython(folder, std::string(kModulesHead) + R"py(
class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)
save("Plain", Plain())
code = r"code/__torch__\.py"
chain = "".join(f"def f{i}(x: Tensor) -> Tensor:\n  return __torch__.f{i + 1}(x)\n" for i in range(4000))
bend("Plain", "Chain", [(code, rb"return \(layer\)\.forward\(x, \)", b"return __torch__.f0((layer).forward(x, ))"),
                        (code, rb"\Z", (chain + "def f4000(x: Tensor) -> Tensor:\n  return x\n").encode())])
)py");
  const Bytes chain = Must(ReadFile(RealFileSystem(), folder / "Chain.pt", limits::kMiB));
  EXPECT_EQ(InSandbox([&] { Must(Model::Load(chain)); }), 0);
}

}  // namespace
}  // namespace tributary::learner_program_test
