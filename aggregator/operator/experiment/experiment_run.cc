#include "aggregator/operator/experiment/experiment_run.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "aggregator/operator/command/task_commands.h"
#include "aggregator/operator/experiment/report.h"
#include "aggregator/operator/experiment/versions.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr const char* kExperimentTask = "experiment";

Result<Json> OfVersion(ApiClient& client, uint64_t version, std::string_view what) {
  return client.OfTask(kExperimentTask, fmt::format("versions/{}/{}", version, what));
}
constexpr Millis kLookAgain{50};
// A device sends its evaluations before its update. Those that are not here by then will never come: it holds nothing back.
constexpr Millis kEvaluationsStandStill{5'000};
// The federation is set up; without it what is there of it is thrown away.
constexpr const char* kReadyFile = "ready";

std::string TomlList(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& one : list) text += (text.empty() ? "" : ", ") + Json(one).dump();
  return "[" + text + "]";
}

uint64_t CountIn(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

// The first line in which two texts differ: how it is in each.
std::pair<std::string, std::string> FirstDifference(std::string_view one, std::string_view other) {
  const auto next = [](std::string_view& text) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    return line;
  };
  while (!one.empty() || !other.empty()) {
    const std::string_view a = next(one), b = next(other);
    if (a != b) return {std::string(a), std::string(b)};
  }
  return {};
}

const char* DealName(DealKind kind) {
  static constexpr const char* kNames[] = {"iid", "dirichlet", "shards"};
  return kNames[static_cast<size_t>(kind)];
}

}  // namespace

Result<ExperimentResults> ExperimentRun::Run(bool keep_site) {
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(folder_));
  folder_ = std::filesystem::canonical(folder_);
  RETURN_IF_ERROR(OpenFolder());
  ASSIGN_OR_RETURN(const FileLock lock, FileLock::Take(folder_));
  std::error_code ignored;
  if (std::filesystem::exists(folder_ / "summary.json", ignored)) {
    say_(fmt::format("{} is complete", folder_.string()));
    return ExperimentResults::Load(folder_);
  }
  const Status learned = Learn();
  if (federation_) federation_->Stop();
  RETURN_IF_ERROR(learned);
  if (!keep_site) std::filesystem::remove_all(folder_ / "site", ignored);
  return ExperimentResults::Load(folder_);
}

// A folder with the same plan, or an empty one, which gets it.
Status ExperimentRun::OpenFolder() {
  ASSIGN_OR_RETURN(const std::string text, plan_.Text());
  const auto there = ReadFile(RealFileSystem(), folder_ / "experiment.toml", limits::kConfigBytes);
  if (!there && there.error().code != Code::kNotFound) return Fail(there.error());
  if (there) {
    if (AsText(*there) == text) return {};
    const auto [before, now] = FirstDifference(AsText(*there), text);
    return Fail(Code::kAlreadyExists,
                "{} holds another experiment: there it says '{}', and this one '{}'. Nothing was changed; give --dir "
                "another folder",
                folder_.string(), before, now);
  }
  if (!std::filesystem::is_empty(folder_))
    return Fail(Code::kAlreadyExists, "{} is not empty and holds no experiment; give --dir a new folder",
                folder_.string());
  return Write("experiment.toml", text);
}

Status ExperimentRun::Learn() {
  const Path site = folder_ / "site";
  std::error_code error;
  const bool again = std::filesystem::exists(site / kReadyFile, error);
  if (!again) std::filesystem::remove_all(site, error);
  if (plan_.model.extension() == ".tpkg") {
    ASSIGN_OR_RETURN(const ModelPackage package, ReadModelPackage(plan_.model));
    has_module_ = package.manifest.module != ModuleFormat::kNone;
    if (!has_module_ && plan_.learner.empty()) {
      return Fail(Code::kNeedsLearner, "{} has no module; name the program that learns it, as learner.command",
                  plan_.model.string());
    }
  }
  auto options = FederationOptions();
  options.folder = site;
  options.again = again;
  federation_ = std::make_unique<Federation>(std::move(options));
  RETURN_IF_ERROR(federation_->Provision());
  if (!again) {
    RETURN_IF_ERROR(MakePackage());
    RETURN_IF_ERROR(ImportExamples());
    RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), site / kReadyFile, {}));
  }
  RETURN_IF_ERROR(federation_->Start([this](ApiClient& client) { return CreateTaskUnlessThere(client); }));
  say_(fmt::format("{}: {} devices, {} rounds, in {}{}", plan_.title, plan_.devices, plan_.rounds, folder_.string(),
                   again ? "; it goes on where it ended" : ""));
  RETURN_IF_ERROR(RunRounds());
  return WriteEnd();
}

Federation::Options ExperimentRun::FederationOptions() const {
  const std::string learner =
      plan_.learner.empty() ? "" : fmt::format("[learner]\ncommand = {}\n", TomlList(plan_.learner));
  std::string trouble;
  if (plan_.slow_share > 0 || plan_.dropout_share > 0 || plan_.hostile_share > 0) {
    static constexpr const char* kAttackNames[] = {"sign-flip", "noise", "label-flip"};
    trouble = fmt::format(
        "[trouble]\nslow_share = {}\nslow_seconds = {}\ndropout_share = {}\nhostile_share = {}\nattack = "
        "\"{}\"\nattack_scale = {}\nseed = {}\n",
        plan_.slow_share, plan_.slow_seconds, plan_.dropout_share, plan_.hostile_share,
        kAttackNames[static_cast<size_t>(plan_.attack)], plan_.attack_scale, plan_.seed);
  }
  Federation::Options options{.folder = {},
                              .devices = plan_.devices,
                              .gateways = plan_.gateways,
                              .levels = plan_.levels,
                              .fits_at_once = plan_.fits_at_once,
                              .fleet = learner + trouble,
                              .evaluator = has_module_ ? "" : learner};
  if (plan_.has_files()) {
    options.evaluates = !plan_.test_files.empty();
    return options;
  }
  const std::string images = Json(plan_.images.string()).dump();
  options.fleet += fmt::format(
      "[examples]\ndir = {}\npartition = \"{}\"\nalpha = {}\nshards_per_device = {}\ntotal = {}\nheld_out_share = "
      "{}\nseed = {}\n",
      images, DealName(plan_.deal), plan_.alpha, plan_.shards_per_device, plan_.total, plan_.held_out_share,
      plan_.seed);
  options.evaluator += fmt::format("[examples]\ndir = {}\npart = \"test\"\n", images);
  return options;
}

Status ExperimentRun::MakePackage() {
  const Path package = folder_ / "model.tpkg";
  if (plan_.model.extension() == ".tpkg") {
    std::error_code error;
    std::filesystem::copy_file(plan_.model, package, std::filesystem::copy_options::overwrite_existing, error);
    if (error) return Fail(Code::kIo, "{}: {}", plan_.model.string(), error.message());
    return {};
  }
  Path model = plan_.model;
  if (model.empty()) {
    model = federation_->folder() / "model.pt";
    RETURN_IF_ERROR(federation_->RunTool("tributary-device",
                                         {"new-model", "--seed", std::to_string(plan_.seed), "--out", model.string()}));
  }
  return federation_->RunTool("tributary-device", {"pack", model.string(), "--out", package.string()});
}

Status ExperimentRun::ImportExamples() {
  if (!plan_.has_files()) return {};
  ASSIGN_OR_RETURN(const ModelPackage package, ReadModelPackage(folder_ / "model.tpkg"));
  const auto words = [&](const char* config, std::vector<std::string> more, const std::vector<std::string>& files) {
    std::vector<std::string> all = {"data", "import", "--config", config, "--collection", package.manifest.collection};
    all.insert(all.end(), more.begin(), more.end());
    all.insert(all.end(), plan_.import_options.begin(), plan_.import_options.end());
    all.insert(all.end(), files.begin(), files.end());
    return all;
  };
  std::vector<std::string> more = {"--held-out-share", fmt::format("{}", plan_.held_out_share)};
  if (!plan_.files.empty()) {
    const std::string count = std::to_string(plan_.shards_per_device);
    for (std::string word :
         {std::string("--deal"), std::string(DealName(plan_.deal)), std::string("--label"), plan_.label,
          std::string("--alpha"), fmt::format("{}", plan_.alpha), std::string("--shards"), count,
          std::string("--total"), std::to_string(plan_.total), std::string("--seed"), std::to_string(plan_.seed)})
      more.push_back(std::move(word));
  }
  RETURN_IF_ERROR(federation_->RunTool(
      "tributary-fleet", words("fleet.toml", more, plan_.files.empty() ? plan_.device_files : plan_.files)));
  if (plan_.test_files.empty()) return {};
  return federation_->RunTool("tributary-device", words("evaluator.toml", {}, plan_.test_files));
}

Status ExperimentRun::CreateTaskUnlessThere(ApiClient& client) {
  ASSIGN_OR_RETURN(const Json tasks, client.Tasks());
  if (!tasks["items"].empty()) return {};
  TaskRecord task = plan_.task;
  ASSIGN_OR_RETURN(task.id, TaskId::Parse(kExperimentTask));
  ASSIGN_OR_RETURN(const ModelPackage package, ReadModelPackage(folder_ / "model.tpkg"));
  RETURN_IF_ERROR(CreateTaskOfPackage(client, std::move(task), package));
  return {};
}

// ---- rounds

Status ExperimentRun::RunRounds() {
  ASSIGN_OR_RETURN(const Json rounds, federation_->client().Rounds(kExperimentTask));
  failed_before_ = rounds["items"].size();
  for (;;) {
    RETURN_IF_ERROR(federation_->Check());
    ASSIGN_OR_RETURN(const bool done, Look());
    if (done) return {};
    if (interrupted_) {
      return Fail(
          Code::kShuttingDown,
          "interrupted; everything that was started has ended. Run it again with --dir {} to go on where it was",
          folder_.string());
    }
    std::this_thread::sleep_for(kLookAgain);
  }
}

// A round waits for so many evaluations: two of each device, of the version and of its own model; and the evaluator's.
Result<bool> ExperimentRun::IsEvaluated(const Json& round) {
  if (measures() && round.value(Json::json_pointer("/metrics/global"), Json::object()).empty()) {
    RETURN_IF_ERROR(FailureOf("evaluator", CountIn(round, "number")));
    return false;
  }
  const uint64_t came = CountIn(round, "evaluations");
  const uint64_t wanted = (plan_.held_out_share > 0 ? 2 * CountIn(round, "contributions") : 0) + (measures() ? 1 : 0);
  const Millis now = SystemClock().Monotonic();
  if (std::exchange(waits_for_, CountIn(round, "number")) != CountIn(round, "number") ||
      std::exchange(evaluations_, came) != came) {
    since_ = now;
  }
  if (came + never_came_ >= wanted) return true;
  if (now - since_ < kEvaluationsStandStill) return false;
  never_came_ = wanted - came;
  return true;
}

// Whether all rounds are over and evaluated.
Result<bool> ExperimentRun::Look() {
  ApiClient& client = federation_->client();
  ASSIGN_OR_RETURN(const Json all, client.Rounds(kExperimentTask));
  ASSIGN_OR_RETURN(const Json task, client.Task(kExperimentTask));
  const Json& rounds = all["items"];
  uint64_t completed = 0;
  bool open = CountIn(task, "rounds_wanted") > 0;
  for (const Json& round : rounds) {
    const std::string state = round.value("state", "");
    if (state == "completed") {
      ++completed;
    } else if (state != "failed" && state != "cancelled") {
      open = true;
      RETURN_IF_ERROR(CheckDevices(round));
    } else if (CountIn(round, "number") > failed_before_) {
      return Fail(Code::kChildFailed, "round {} {}: {}. Logs are in {}", CountIn(round, "number"), state,
                  round.value("shortfall", Json("")).dump(), federation_->folder().string());
    }
  }
  if (plan_.pace == Pace::kFree && completed > records_.size()) RETURN_IF_ERROR(WriteRecords(rounds));
  if (open) return false;
  // One round at a time: an evaluator goes on to the newest version and would leave some out.
  if (completed > 0 && (plan_.pace == Pace::kEvaluated || completed >= plan_.rounds)) {
    ASSIGN_OR_RETURN(const bool evaluated, IsEvaluated(rounds.back()));
    if (!evaluated) return false;
  }
  RETURN_IF_ERROR(WriteRecords(rounds));
  if (completed >= plan_.rounds) return true;
  RETURN_IF_ERROR(client.StartRounds(kExperimentTask, plan_.pace == Pace::kFree ? plan_.rounds - completed : 1));
  return false;
}

// Devices that all failed would try again, and fail again.
Status ExperimentRun::CheckDevices(const Json& round) {
  uint64_t failing = 0;
  const Json failures = round.value("device_failures", Json::object());
  for (const auto& [code, count] : failures.items()) failing += count.get<uint64_t>();
  if (CountIn(round, "contributions") > 0 || failing < plan_.devices) return {};
  return FailureOf("device-", CountIn(round, "number"));
}

// Why the first member whose id begins so cannot do its part; ok: none says so for good.
Status ExperimentRun::FailureOf(const std::string& prefix, uint64_t round) {
  ASSIGN_OR_RETURN(const Json members, federation_->client().Devices());
  for (const Json& member : members["items"]) {
    const Json first = member.value(Json::json_pointer("/report/failures/0"), Json());
    const std::string id = member.value("id", "");
    if (!first.is_object() || !id.starts_with(prefix)) continue;
    // Once may be what ended the run before.
    if (!first.value("lasting", false) && CountIn(first, "count") < 2) continue;
    return Fail(Code::kChildFailed, "{} can do its part of round {}. {} says: {}: {}. Logs are in {}",
                prefix == id ? "no evaluator" : "no device", round, id, first.value("code", ""),
                first.value("sentence", ""), federation_->folder().string());
  }
  return {};
}

Status ExperimentRun::WriteRecords(const Json& rounds) {
  ASSIGN_OR_RETURN(const Json versions, federation_->client().Versions(kExperimentTask));
  const auto version_of = [&](uint64_t number) {
    const auto found = std::ranges::find_if(versions["items"],
                                            [number](const Json& one) { return CountIn(one, "version") == number; });
    return found == versions["items"].end() ? Json::object() : *found;
  };
  ASSIGN_OR_RETURN(const Json privacy,
                   OrIfAbsent(federation_->client().OfTask(kExperimentTask, "privacy"), Json::object()));
  const size_t known = records_.size();
  records_.clear();
  times_.clear();
  for (const Json& round : rounds) {
    if (round.value("state", "") != "completed") continue;
    const Json base = version_of(CountIn(round, "base_version"));
    const uint64_t bytes = CountIn(base.value("weights", Json::object()), "size");
    const uint64_t number = CountIn(round, "number");
    if (!spreads_.contains(number) || plan_.pace == Pace::kFree) {
      // An aggregator that does not show it has none.
      ASSIGN_OR_RETURN(
          spreads_[number],
          OrIfAbsent(OfVersion(federation_->client(), CountIn(round, "base_version"), "spread"), Json::object()));
    }
    records_.push_back(RecordOfRound(round, version_of(CountIn(round, "result_version")), bytes, spreads_[number]));
    AddSpent(records_.back(), privacy);
    times_.push_back(TimesOfRound(round));
  }
  if (metric_.name == "loss" && !records_.empty()) {
    ASSIGN_OR_RETURN(const Json task, federation_->client().Task(kExperimentTask));
    metric_ = MainMetricOf(task.value("manifest", Json::object()), records_);
  }
  for (size_t i = known; i < records_.size(); ++i) {
    const auto text = [&](const std::string& view) {
      const auto value = NumberIn(records_[i], view + "." + metric_.name);
      return value ? fmt::format("{:.4f}", *value) : std::string("-");
    };
    say_(fmt::format("round {}  updates {}  refused {}  {} global {}  personal {}  MB up {:.1f}  seconds {:.1f}",
                     CountIn(records_[i], "round"), CountIn(records_[i], "updates"), CountIn(records_[i], "refused"),
                     metric_.name, text("global"), text("personal"),
                     static_cast<double>(CountIn(records_[i], "bytes_up")) / 1e6,
                     NumberIn(times_[i], "seconds").value_or(0)));
  }
  RETURN_IF_ERROR(Write("metrics.jsonl", JsonLinesOf(records_)));
  RETURN_IF_ERROR(Write("times.jsonl", JsonLinesOf(times_)));
  RETURN_IF_ERROR(Write("metrics.csv", CsvOf(records_)));
  return Write("times.csv", CsvOf(times_));
}

// Of every version that a round made, as the aggregator signed it; an older aggregator has none.
Status ExperimentRun::WriteManifests() {
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(folder_ / "manifests"));
  for (const Json& record : records_) {
    const uint64_t version = CountIn(record, "version");
    ASSIGN_OR_RETURN(const Json manifest, OrIfAbsent(OfVersion(federation_->client(), version, "manifest"), Json()));
    if (!manifest.is_null()) RETURN_IF_ERROR(Write(fmt::format("manifests/{}.json", version), manifest.dump(2) + "\n"));
  }
  return {};
}

Status ExperimentRun::WriteEnd() {
  const Path model = folder_ / (has_module_ ? "model.pt" : "model.npz");
  ASSIGN_OR_RETURN(const ExportedModel exported, ExportModel(federation_->client(), {kExperimentTask, 0, model}));
  RETURN_IF_ERROR(federation_->client().GetBlob(exported.weights, folder_ / "weights.f32"));
  ASSIGN_OR_RETURN(const Json versions, VersionsOf(*federation_));
  RETURN_IF_ERROR(WriteManifests());
  RETURN_IF_ERROR(Write("versions.json", versions.dump(2) + "\n"));
  ExperimentResults results{
      .folder = folder_, .title = plan_.title, .metric = metric_, .summary = {}, .records = records_, .times = times_};
  RETURN_IF_ERROR(Write("report.html", ReportOf({results})));
  const ComparedRun line = Compared({results}, std::nullopt).front();
  const auto number = [](const std::optional<double>& value) { return value ? Json(*value) : Json(); };
  // The last file: whoever finds it finds all others whole.
  return Write("summary.json", Json({{"title", plan_.title},
                                     {"rounds", records_.size()},
                                     {"metric", metric_.name},
                                     {"direction", metric_.larger_is_better ? "larger" : "smaller"},
                                     {"view", results.View()},
                                     {"last", number(line.last)},
                                     {"best", number(line.best)},
                                     {"best_round", line.best_round},
                                     {"bytes_up", static_cast<uint64_t>(line.total_bytes_up)},
                                     {"model_digest", exported.weights.hex()},
                                     {"model_file", model.filename().string()},
                                     {"seconds", line.seconds}})
                                       .dump(2) +
                                   "\n");
}

Status ExperimentRun::Write(const std::string& name, const std::string& text) const {
  return WriteFileAtomically(RealFileSystem(), folder_ / name, AsBytes(text));
}

}  // namespace tributary
