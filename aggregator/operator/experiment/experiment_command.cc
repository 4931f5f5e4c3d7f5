#include "aggregator/operator/experiment/experiment_command.h"

#include <atomic>
#include <iostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "aggregator/operator/experiment/experiment_run.h"
#include "aggregator/operator/experiment/report.h"
#include "protocol/base/process/daemon.h"

namespace tributary {
namespace {

struct RunExperimentOptions {
  Path file;
  Path dir;  // empty: the file's name, in this folder
  bool keep_site = false;

  Path Folder() const { return dir.empty() ? Path(file.stem()) : dir; }
};

struct CompareOptions {
  std::vector<std::string> folders;
  double reach = 0;
  bool reach_given = false;
  Path report = "comparison.html";
  Path csv;
};

Json OrNull(const auto& value) { return value ? Json(*value) : Json(); }

Result<ExperimentResults> RunOne(const Context& context, ExperimentPlan plan, const Path& folder, bool keep_site,
                                 const std::atomic<bool>& interrupted) {
  const auto say = [&context](const std::string& line) { context.Say(line); };
  ExperimentRun run(std::move(plan), folder, say, interrupted);
  return run.Run(keep_site);
}

// While `work` runs, the signals that end this program set its argument, so that it ends its children in order.
Status Interruptible(Context& context, const std::function<Status(const std::atomic<bool>& interrupted)>& work) {
  std::atomic<bool> interrupted = false;
  // This comes before any child and thread, so that the children inherit none of it.
  const StopSignals signals([&interrupted] { interrupted = true; },
                            [](int) {});  // a second signal must not leave children behind
  Status status = work(interrupted);
  if (status || !interrupted) return status;
  context.Say("\n" + status.error().message);
  context.exit_code = ExitCode::kFailed;
  return {};
}

Status RunExperiment(Context& context, const RunExperimentOptions& options) {
  return Interruptible(context, [&](const std::atomic<bool>& interrupted) -> Status {
    ASSIGN_OR_RETURN(ExperimentPlan plan, ExperimentPlan::Load(options.file));
    ASSIGN_OR_RETURN(const ExperimentResults results,
                     RunOne(context, std::move(plan), options.Folder(), options.keep_site, interrupted));
    if (context.json()) {
      context.PrintObject(results.summary);
      return {};
    }
    const ComparedRun line = Compared({results}, std::nullopt).front();
    context.Say("\n{} {} {}: last {}, best {} in round {}; {:.1f} MB up in {:.0f} s of rounds.", results.title,
                results.View(), results.metric.name, line.last ? fmt::format("{:.4f}", *line.last) : "-",
                line.best ? fmt::format("{:.4f}", *line.best) : "-", line.best_round, line.total_bytes_up / 1e6,
                line.seconds);
    context.Say("Model digest {}", results.summary.value("model_digest", ""));
    context.Say("Results {}", (results.folder / "report.html").string());
    return {};
  });
}

// ---- comparisons

Result<std::vector<ExperimentResults>> LoadAll(const std::vector<std::string>& folders) {
  std::vector<ExperimentResults> runs;
  for (const std::string& folder : folders) {
    ASSIGN_OR_RETURN(ExperimentResults run, ExperimentResults::Load(Path(folder).lexically_normal()));
    if (!runs.empty() && run.metric.name != runs.front().metric.name) {
      return Fail(Code::kInvalidArgument, "{} is judged by {} and {} by {}: they cannot be compared", folder,
                  run.metric.name, runs.front().folder.string(), runs.front().metric.name);
    }
    runs.push_back(std::move(run));
  }
  return runs;
}

Status PrintComparison(const Context& context, const std::vector<ExperimentResults>& runs, std::optional<double> reach,
                       const Path& csv) {
  if (!reach) reach = ReachedByAll(runs);
  std::vector<Json> lines;
  for (const ComparedRun& run : Compared(runs, reach)) {
    lines.push_back({{"run", run.name},
                     {"last", OrNull(run.last)},
                     {"best", OrNull(run.best)},
                     {"best_round", run.best_round},
                     {"reached_in_round", OrNull(run.rounds)},
                     {"reached_with_mb_up", run.bytes_up ? Json(*run.bytes_up / 1e6) : Json()},
                     {"mb_up", run.total_bytes_up / 1e6},
                     {"seconds", run.seconds}});
  }
  if (!csv.empty()) RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), csv, AsBytes(CsvOf(lines))));
  context.PrintList({{"metric", runs.front().metric.name}, {"reach", OrNull(reach)}, {"items", lines}},
                    Columns("RUN run, LAST last, BEST best, IN ROUND best_round, REACHED IN ROUND reached_in_round, "
                            "WITH MB UP reached_with_mb_up, MB UP mb_up, SECONDS seconds"));
  const std::string reached = reach ? fmt::format("; reached means {:.4g}", *reach) : "";
  context.Say("\nLast and best are of {} {}{}.", runs.front().View(), runs.front().metric.name, reached);
  return {};
}

Status Compare(Context& context, const CompareOptions& options) {
  ASSIGN_OR_RETURN(const auto runs, LoadAll(options.folders));
  RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), options.report, AsBytes(ReportOf(runs))));
  RETURN_IF_ERROR(
      PrintComparison(context, runs, options.reach_given ? std::optional(options.reach) : std::nullopt, options.csv));
  context.Say("Report {}", options.report.string());
  return {};
}

Status Sweep(Context& context, const RunExperimentOptions& options) {
  return Interruptible(context, [&](const std::atomic<bool>& interrupted) -> Status {
    ASSIGN_OR_RETURN(const auto points, PointsOf(options.file));
    RETURN_IF_ERROR(RealFileSystem().CreateFolders(options.Folder()));
    std::vector<std::string> folders;
    for (const SweepPoint& point : points) {
      context.Say("\n[{} of {}] {}", folders.size() + 1, points.size(), point.name);
      ASSIGN_OR_RETURN(ExperimentPlan plan, ExperimentPlan::Load(options.file, point.settings));
      plan.title += " " + point.name;
      folders.push_back((options.Folder() / point.name).string());
      RETURN_IF_ERROR(RunOne(context, std::move(plan), folders.back(), options.keep_site, interrupted));
    }
    ASSIGN_OR_RETURN(const auto runs, LoadAll(folders));
    RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), options.Folder() / "report.html", AsBytes(ReportOf(runs))));
    context.Say("");
    RETURN_IF_ERROR(PrintComparison(context, runs, std::nullopt, options.Folder() / "comparison.csv"));
    context.Say("Results {}", (options.Folder() / "report.html").string());
    return {};
  });
}

void AddRunOptions(CLI::App* command, RunExperimentOptions& options) {
  command->add_option("file", options.file, "The experiment's TOML file")->required();
  command->add_option("--dir", options.dir,
                      "The folder for everything that it makes [named as the file, in this folder]");
  command->add_flag("--keep-site", options.keep_site, "Keep the federation's folders and logs when all went well");
}

}  // namespace

void AddExperimentCommands(CLI::App& app, Context& context) {
  CLI::App* group =
      AddGroup(app, "experiment", "Run federations on this machine from files, and compare what came of them");
  const auto [run, options] = AddCommandWith<RunExperimentOptions>(
      *group, context, "run", "Run an experiment, or go on with one that was interrupted", &RunExperiment);
  AddRunOptions(run, options);
  run->footer(
      "The same file gives the same metrics.csv and the same model on one kind of processor, unless its task draws by "
      "chance.\n"
      "Ctrl-C ends everything that it started; the same command goes on from there.\n\n"
      "Keys of an experiment's file (the default and the bounds in brackets; paths are relative to the file):\n" +
      ExperimentManual() +
      "\nFor example:\n"
      "  [experiment]\n  rounds = 20\n  devices = 20\n"
      "  [data]\n  alpha = 0.1\n  total = 12000\n"
      "  [task.plan]\n  learning_rate = 0.05\n  epochs = 2\n");

  const auto [sweep, sweep_options] = AddCommandWith<RunExperimentOptions>(
      *group, context, "sweep", "Run an experiment for every combination of some values, and compare them", &Sweep);
  AddRunOptions(sweep, sweep_options);
  sweep->footer(
      "The file is an experiment's, with a list of values for each key that changes, and cases whose keys change "
      "together:\n"
      "  [sweep]\n  \"data.alpha\" = [0.1, 0.5]\n  \"experiment.seed\" = [1, 2, 3]\n"
      "  [sweep.cases.slow]\n  task.plan.learning_rate = 0.01\n  task.plan.epochs = 5\n"
      "  [sweep.cases.fast]\n  task.plan.learning_rate = 0.1\n\n"
      "Each combination has a folder of its own below the sweep's. What is complete is not run again.");

  const auto [compare, compared] = AddCommandWith<CompareOptions>(
      *group, context, "compare", "Show results beside each other, and write one report over all", &Compare);
  compare->add_option("folders", compared.folders, "Folders with results of experiments")->required();
  compare->add_option_function<double>(
      "--reach",
      [&into = compared](const double& value) {
        into.reach = value;
        into.reach_given = true;
      },
      "The value of the metric for which rounds and bytes are counted [what all reached]");
  compare->add_option("--report", compared.report, "The page to write")->capture_default_str();
  compare->add_option("--csv", compared.csv, "Write the table as CSV too");
}

}  // namespace tributary
