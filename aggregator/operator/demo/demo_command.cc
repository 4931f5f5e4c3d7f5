#include "aggregator/operator/demo/demo_command.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "aggregator/operator/command/round_commands.h"
#include "aggregator/operator/command/task_commands.h"
#include "aggregator/operator/demo/federation.h"
#include "protocol/base/process/daemon.h"

namespace tributary {
namespace {

constexpr Millis kLook{200};  // between looks at the rounds
constexpr const char* kTask = "fashion";

struct DemoOptions {
  uint32_t devices = 20;
  uint32_t gateways = 2;  // of the lowest level
  uint32_t levels = 1;    // of gateways between devices and aggregator; 0: devices connect to the aggregator itself
  uint32_t rounds = 10;
  uint32_t epochs = 2;
  uint32_t examples = 12'000;
  double alpha = 0.5;
  uint64_t seed = 1;
  double min_accuracy = 0.75;
  std::vector<std::string> update_codec = {"float32"};
  std::string version_codec = "float32";
  Path dir;  // empty: demo/<time>
  bool keep_running = false;
};

Federation::Options FederationOf(const DemoOptions& options) {
  return {.folder = options.dir,
          .devices = options.devices,
          .gateways = options.levels == 0 ? 0 : options.gateways,
          .levels = options.levels,
          .fleet = fmt::format("[examples]\npartition = \"dirichlet\"\nalpha = {:f}\ntotal = {}\nseed = {}\n",
                               options.alpha, options.examples, options.seed),
          .evaluator = "[examples]\npart = \"test\"\n"};
}

// "demo/2026-11-22T101500": a folder of its own for every run.
Path FolderForNow() {
  std::string time = Rfc3339(SystemClock().Now()).substr(0, 19);
  std::erase(time, ':');
  return Path("demo") / time;
}

// An evaluation that has not come by then (seconds) is shown as missing.
constexpr double kEvaluationPatience = 60;

// As the API lists a round.
constexpr const char* kGlobalAccuracy = "/metrics/global/accuracy";
constexpr const char* kPersonalAccuracy = "/metrics/personal/accuracy";

std::optional<double> NumberAt(const Json& object, const char* path) {
  const Json number = object.value(Json::json_pointer(path), Json());
  return number.is_number() ? std::optional(number.get<double>()) : std::nullopt;
}

uint64_t CountAt(const Json& object, const char* key) { return object.value(key, uint64_t{0}); }

uint64_t RefusedOf(const Json& round) {
  uint64_t refused = 0;
  if (!round.contains("refused") || !round["refused"].is_object()) return 0;
  for (const auto& [reason, count] : round["refused"].items()) refused += count.get<uint64_t>();
  return refused;
}

std::string Percent(const std::optional<double>& share) {
  if (!share) return "-";
  return fmt::format("{:.1f} %", *share * 100);
}

// Follows the demo's rounds and shows them to a person, a row of a table for each round (RoundLine). A round's row waits
// for the evaluations that belong to it.
class DemoProgress {
 public:
  struct Totals {
    uint64_t rounds = 0;  // completed
    uint64_t contributions = 0;
    uint64_t refused = 0;
    uint64_t bytes_up = 0;
    std::optional<double> global_accuracy;    // of the last round
    std::optional<double> personal_accuracy;  // of the last round
  };

  // `quiet`: shows nothing.
  DemoProgress(uint64_t rounds, uint64_t devices, bool quiet)
      : rounds_(rounds), devices_(devices), quiet_(quiet), line_(!quiet) {
    if (quiet_) return;
    line_.Print(fmt::format("{:>5}  {:>7}  {:>7}  {:>9}  {:>9}  {:>9}  {:>7}", "round", "updates", "refused", "global",
                            "personal", "MB up", "seconds"));
  }

  // Looks at the rounds as the API lists them and prints what is new. Whether all of them are over and printed.
  // kChildFailed: a round failed.
  Result<bool> Show(const Json& rounds, double seconds) {
    // When rounds are shorter than an evaluation, the evaluator goes on to the newest version and leaves some out.
    uint64_t evaluated = 0;
    for (const auto& round : rounds) {
      if (NumberAt(round, kGlobalAccuracy)) evaluated = std::max(evaluated, CountAt(round, "number"));
    }
    for (const auto& round : rounds) {
      const std::string state = round.value("state", "");
      if (CountAt(round, "number") <= totals_.rounds) continue;
      if (state == "failed" || state == "cancelled") {
        return Fail(Code::kChildFailed, "round {} {} with {} of {} updates", CountAt(round, "number"), state,
                    CountAt(round, "contributions"), devices_);
      }
      if (state != "completed") {
        PrintLive(round, seconds);
        break;
      }
      // A round is whole with its devices' evaluations and the evaluator's evaluation of the version that it made.
      if (complete_since_ < 0) complete_since_ = seconds;
      const bool whole =
          CountAt(round, "number") <= evaluated && CountAt(round, "evaluations") >= CountAt(round, "contributions");
      if (!whole && seconds - complete_since_ < kEvaluationPatience) {
        PrintLive(round, seconds);
        break;
      }
      PrintRound(round, seconds);
      complete_since_ = -1;
    }
    return totals_.rounds >= rounds_;
  }

  const Totals& totals() const { return totals_; }

 private:
  void PrintRound(const Json& round, double seconds) {
    ++totals_.rounds;
    totals_.contributions += CountAt(round, "contributions");
    totals_.refused += RefusedOf(round);
    totals_.bytes_up += CountAt(round, "bytes_up");
    totals_.global_accuracy = NumberAt(round, kGlobalAccuracy);
    totals_.personal_accuracy = NumberAt(round, kPersonalAccuracy);
    if (quiet_) return;
    line_.Print(fmt::format("{:>5}  {:>7}  {:>7}  {:>9}  {:>9}  {:>9.1f}  {:>7.1f}", CountAt(round, "number"),
                            CountAt(round, "contributions"), RefusedOf(round), Percent(totals_.global_accuracy),
                            Percent(totals_.personal_accuracy), static_cast<double>(CountAt(round, "bytes_up")) / 1e6,
                            seconds - last_end_));
    last_end_ = seconds;
  }

  void PrintLive(const Json& round, double seconds) const {
    const bool collected = round.value("state", "") == "completed";
    line_.Show(CountAt(round, "number"), CountAt(round, "contributions"), devices_,
               fmt::format("{}  {:.0f} s", collected ? ", evaluating" : "", seconds));
  }

  const uint64_t rounds_;
  const uint64_t devices_;
  const bool quiet_;
  const RoundLine line_;
  double last_end_ = 0;         // seconds: when the last printed round was over
  double complete_since_ = -1;  // seconds: since when the round to be printed is completed and waits for evaluations
  Totals totals_;
};

class Demo {
 public:
  Demo(const Context& context, const DemoOptions& options)
      : context_(context), options_(options), site_(FederationOf(options)) {}

  // Everything it started has ended on return, whatever happened.
  Status Run() {
    Status status = RunRounds();
    site_.Stop();
    if (interrupted_ && !status) {
      context_.Say("\nInterrupted: everything that was started has been stopped. Finished files are in {}",
                   options().dir.string());
    }
    return status;
  }

  bool interrupted() const { return interrupted_; }

  void Interrupt() { interrupted_ = true; }

 private:
  const DemoOptions& options() const { return options_; }
  double Seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  Status RunRounds() {
    std::error_code error;
    if (std::filesystem::exists(options().dir, error) && !std::filesystem::is_empty(options().dir, error)) {
      return Fail(Code::kAlreadyExists, "{} is there and not empty; give --dir a new folder", options().dir.string());
    }
    RETURN_IF_ERROR(site_.Provision());
    options_.dir = site_.folder();
    context_.Say("A federation of {} virtual devices{} in {}", options().devices, Shape(), options().dir.string());
    RETURN_IF_ERROR(site_.Start([this](ApiClient& client) { return CreateTask(client); }));
    start_ = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(site_.client().StartRounds(kTask, options().rounds));
    DemoProgress progress(options().rounds, options().devices, context_.json());
    for (bool done = false; !done;) {
      RETURN_IF_ERROR(Pause());
      ASSIGN_OR_RETURN(const Json rounds, site_.client().Rounds(kTask));
      ASSIGN_OR_RETURN(done, progress.Show(rounds["items"], Seconds()));
    }
    const double seconds = Seconds();
    const Path model_file = options().dir / "global-model.pt";
    ASSIGN_OR_RETURN(const ExportedModel model, ExportModel(site_.client(), {kTask, 0, model_file}));
    RETURN_IF_ERROR(Summarise(progress.totals(), seconds, model, model_file));
    const double accuracy = progress.totals().global_accuracy.value_or(0);
    Status verdict;
    if (accuracy < options().min_accuracy) {
      verdict = Fail(Code::kConflict, "the global model's accuracy is {:f}, at least {:f} was asked for", accuracy,
                     options().min_accuracy);
    }
    if (options().keep_running) KeepRunning();
    return verdict;
  }

  Status CreateTask(ApiClient& client) {
    const Path model = options().dir / "model.pt";
    const Path package_file = options().dir / "model.tpkg";
    RETURN_IF_ERROR(site_.RunTool("tributary-device",
                                  {"new-model", "--seed", std::to_string(options().seed), "--out", model.string()}));
    RETURN_IF_ERROR(site_.RunTool("tributary-device", {"pack", model.string(), "--out", package_file.string()}));
    TaskRecord task;
    ASSIGN_OR_RETURN(task.id, TaskId::Parse(kTask));
    task.plan.epochs = options().epochs;
    task.plan.seed = options().seed;
    task.plan.update_codec = options().update_codec;
    // All devices take part in every round, so that the same seed sums the same updates.
    task.policy = {
        .report_goal = options().devices, .minimum = options().devices, .deadline_seconds = 600, .inclusion = 1.0};
    for (const Field& field : FieldsOf(task.policy)) {
      if (field.name == "version_codec") RETURN_IF_ERROR(field.Set(options().version_codec));
    }
    ASSIGN_OR_RETURN(const ModelPackage package, ReadModelPackage(package_file));
    RETURN_IF_ERROR(CreateTaskOfPackage(client, std::move(task), package));
    return {};
  }

  std::string Shape() const {
    if (options().levels == 0) return ", directly at the aggregator,";
    return fmt::format(", {} gateways{}, an evaluator and an aggregator", options().gateways,
                       options().levels > 1 ? fmt::format(" on the lowest of {} levels", options().levels) : "");
  }

  Status Pause() {
    std::this_thread::sleep_for(kLook);
    if (interrupted_) return Fail(Code::kShuttingDown, "interrupted; everything that was started is being stopped");
    return site_.Check();
  }

  Status Summarise(const DemoProgress::Totals& totals, double seconds, const ExportedModel& model,
                   const Path& model_file) {
    const auto number = [](const std::optional<double>& value) { return value ? Json(*value) : Json(); };
    const Json summary = {{"rounds", totals.rounds},
                          {"updates", totals.contributions},
                          {"refused", totals.refused},
                          {"global_accuracy", number(totals.global_accuracy)},
                          {"personal_accuracy", number(totals.personal_accuracy)},
                          {"bytes_up", totals.bytes_up},
                          {"seconds", seconds},
                          {"model_digest", model.weights.hex()},
                          {"model_file", model_file.string()}};
    const Path file = options().dir / "summary.json";
    RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), file, AsBytes(summary.dump(2) + "\n")));
    if (context_.json()) {
      std::cout << summary.dump(2) << std::endl;
      return {};
    }
    SayResults(totals, seconds);
    const bool rounded = options().update_codec.front() != "float32";
    context_.Say(
        "Model digest {}: {}.\n", model.weights.hex(),
        rounded ? "devices round by chance, so another run has another one" : "the same seed gives the same digest");
    context_.Say("The model      " + model_file.string() + "   (torch.jit.load opens it)");
    context_.Say("Try it         tributary-device evaluate " + model_file.string());
    context_.Say("Figures        " + file.string());
    context_.Say("Each process   has its .toml, .log and folder in " + options().dir.string());
    context_.Say(
        "Look inside    run again with --keep-running, then use 'tributary status', 'rounds list', 'devices list'");
    return {};
  }

  void SayResults(const DemoProgress::Totals& totals, double seconds) {
    context_.Say("\n{} rounds in {:.0f} s: {} sealed updates summed, {} refused, {:.1f} MB up.", totals.rounds, seconds,
                 totals.contributions, totals.refused, static_cast<double>(totals.bytes_up) / 1e6);
    context_.Say("Accuracy: global model {} on 10,000 test images, devices' own models {} on their held-out shares.",
                 Percent(totals.global_accuracy), Percent(totals.personal_accuracy));
  }

  void KeepRunning() {
    context_.Say("\nStill running. In another terminal:");
    context_.Say("  export TRIBUTARY_URL=" + site_.url());
    context_.Say("  tributary --token-file " + site_.token_file().string() + " rounds list " + kTask);
    context_.Say("  tributary --token-file " + site_.token_file().string() + " gateways list");
    context_.Say("Ctrl-C stops everything.");
    while (Pause()) {
    }
  }

  const Context& context_;
  DemoOptions options_;
  Federation site_;
  std::atomic<bool> interrupted_ = false;
  std::chrono::steady_clock::time_point start_;
};

void AddNumber(CLI::App* demo, const char* name, auto& value, const char* help, const CLI::Range& range) {
  demo->add_option(name, value, help)->check(range)->capture_default_str();
}

void AddDemoOptions(CLI::App* demo, DemoOptions& options) {
  AddNumber(demo, "--devices", options.devices, "Virtual devices, in one process", CLI::Range(1, 1000));
  AddNumber(demo, "--gateways", options.gateways, "Gateways that devices connect to", CLI::Range(1, 100));
  AddNumber(demo, "--levels", options.levels, "Levels of gateways; 0: devices connect to the aggregator",
            CLI::Range(0, 8));
  AddNumber(demo, "--rounds", options.rounds, "Rounds to run", CLI::Range(1, 10'000));
  AddNumber(demo, "--epochs", options.epochs, "Passes of a device over its examples in each round", CLI::Range(1, 100));
  AddNumber(demo, "--examples", options.examples, "Training images over all devices", CLI::Range(20, 60'000));
  AddNumber(demo, "--alpha", options.alpha,
            "Alpha of the Dirichlet distribution over labels: a small one deals unequal shares", CLI::Range(0.01, 1e6));
  AddNumber(demo, "--seed", options.seed,
            "The same seed gives the same model, bit for bit, on one kind of processor, with float32 updates",
            CLI::Range(0, 1'000'000'000));
  AddNumber(demo, "--min-accuracy", options.min_accuracy, "The accuracy that the global model must reach, 0 to 1",
            CLI::Range(0.0, 1.0));
  demo->add_option("--update-codec", options.update_codec, "How updates travel, most wanted first (plan.update_codec)")
      ->delimiter(',')
      ->capture_default_str();
  demo->add_option("--version-codec", options.version_codec, "What versions are rounded to (policy.version_codec)")
      ->check(CLI::IsMember({"float32", "float16", "block8"}))
      ->capture_default_str();
  demo->add_option("--dir", options.dir, "A new folder for everything it makes [demo/<time>]");
  demo->add_flag("--keep-running", options.keep_running, "Leave the processes running at the end, until Ctrl-C");
}

}  // namespace

void AddDemoCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<DemoOptions>();
  CLI::App* demo = app.add_subcommand(
      "demo", "Run a whole federation on this machine, on real data: set up, train, evaluate, export");
  AddDemoOptions(demo, *options);
  demo->add_flag_callback(
      "--json", [&context] { context.output = "json"; }, "Only the summary, as JSON");
  demo->footer(
      "Exits 0 only if every round completed and the accuracy was reached. Ctrl-C stops everything it started.\n"
      "Needs the data set of Debian's package dataset-fashion-mnist.");
  demo->callback(context.Run([&context, options]() -> Status {
    if (options->dir.empty()) options->dir = FolderForNow();
    Demo run(context, *options);
    // This comes before any child and thread, so that the children inherit none of it.
    const StopSignals signals([&run] { run.Interrupt(); },
                              [](int) {});  // a second signal must not leave children behind
    Status status = run.Run();
    if (!run.interrupted() || status) return status;
    context.exit_code = ExitCode::kFailed;
    return {};
  }));
}

}  // namespace tributary
