#include "aggregator/operator/experiment/experiment_plan.h"

#include <algorithm>
#include <array>
#include <map>

#include "aggregator/api/json_tasks.h"
#include "aggregator/operator/command/api_client.h"
#include "protocol/base/process/config.h"

namespace tributary {
namespace {

constexpr std::string_view kSweep = "sweep";
constexpr std::string_view kCases = "cases.";

Result<ConfigReader> Open(const Path& file, const std::vector<Setting>& settings) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  for (const Setting& setting : settings) reader.Replace(setting.key, setting.value, setting.from);
  return reader;
}

void MakeAbsolute(std::vector<std::string>& files, const Path& folder) {
  for (std::string& file : files) file = (folder / file).lexically_normal().string();
}

void CheckThere(ConfigReader& reader, const std::string& key, const std::string& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) reader.Reject(key, fmt::format("names {}, which is not there", file));
}

// A key that means something for some data only.
struct Suit {
  std::string_view key;
  bool suits;
  std::string_view what;
};

std::vector<Suit> SuitsOf(const ExperimentPlan& plan) {
  const bool dealt = plan.device_files.empty();
  const char* const of_files = "data.files and data.device_files; images bring a test set of their own";
  return {{"data.images", !plan.has_files(), "experiments without data.files and data.device_files"},
          {"data.deal", dealt, "examples that are dealt out, not for data.device_files"},
          {"data.total", dealt, "examples that are dealt out, not for data.device_files"},
          {"data.alpha", dealt && plan.deal == DealKind::kDirichlet, "data.deal = \"dirichlet\""},
          {"data.shards_per_device", dealt && plan.deal == DealKind::kShards, "data.deal = \"shards\""},
          {"data.label", !plan.files.empty() && dealt && plan.deal != DealKind::kIid,
           "data.files that are dealt out by their label (dirichlet, shards)"},
          {"data.test_files", plan.has_files(), of_files},
          {"data.import", plan.has_files(), of_files},
          {"trouble.slow_seconds", plan.slow_share > 0, "experiments with trouble.slow_share"},
          {"trouble.attack", plan.hostile_share > 0, "experiments with trouble.hostile_share"},
          {"trouble.attack_scale", plan.hostile_share > 0 && plan.attack != AttackKind::kFlipLabels,
           "trouble.hostile_share with the attacks sign-flip and noise"}};
}

void CheckData(ConfigReader& reader, const ExperimentPlan& plan) {
  if (!plan.files.empty() && !plan.device_files.empty())
    reader.Reject("data.device_files", "cannot stand beside data.files");
  for (const Suit& suit : SuitsOf(plan)) {
    if (reader.Has(suit.key) && !suit.suits) reader.Reject(suit.key, fmt::format("is for {}", suit.what));
  }
  if (plan.has_files() && plan.model.empty())
    reader.Reject("model.file", "is missing: without it the model is the demo's network, which is for its images");
  for (const auto& [key, files] :
       {std::pair("data.files", &plan.files), std::pair("data.device_files", &plan.device_files),
        std::pair("data.test_files", &plan.test_files)}) {
    for (const std::string& file : *files) CheckThere(reader, key, file);
  }
  if (!plan.has_files()) CheckThere(reader, "data.images", plan.images.string());
}

void CheckPlan(ConfigReader& reader, const ExperimentPlan& plan) {
  if (plan.gateways == 0 && plan.levels > 1)
    reader.Reject("experiment.levels", "is for a tree with gateways, and experiment.gateways is 0");
  if (plan.task.policy.report_goal > plan.devices) {
    reader.Reject("task.policy.report_goal",
                  fmt::format("is {}, and the experiment has {} devices", plan.task.policy.report_goal, plan.devices));
  }
  CheckData(reader, plan);
  if (!plan.model.empty()) CheckThere(reader, "model.file", plan.model.string());
}

std::string QuotedToml(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string TomlOf(const FieldValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return QuotedToml(*text);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* whole = std::get_if<int64_t>(&value)) return std::to_string(*whole);
  if (const auto* count = std::get_if<uint64_t>(&value)) return std::to_string(*count);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  const auto* list = std::get_if<std::vector<std::string>>(&value);
  TRIBUTARY_CHECK(list) << "no field has a value of this kind";
  std::string text;
  for (const std::string& one : *list) text += (text.empty() ? "" : ", ") + QuotedToml(one);
  return "[" + text + "]";
}

// A file's name may have these. What a value of a sweep is called.
std::string NameOf(const FieldValue& value) {
  std::string name = TomlOf(value);
  std::erase_if(name, [](char c) { return c == '"' || c == '[' || c == ']' || c == ' '; });
  std::ranges::replace_if(
      name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-'; }, '_');
  return name;
}

std::string LastOf(const std::string& key) { return key.substr(key.rfind('.') + 1); }

// One dimension of a grid: the points along it.
using SweepAxis = std::vector<SweepPoint>;

Result<std::vector<SweepAxis>> AxesOf(const Path& file) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  std::vector<SweepAxis> axes;
  std::map<std::string, SweepPoint> cases;
  std::map<std::string, int> names;
  const auto given = reader.Below(kSweep);
  for (const auto& one : given) ++names[LastOf(one.key)];
  for (const auto& one : given) {
    const std::string from = fmt::format("{}.{}", kSweep, one.key);
    if (!one.key.starts_with(kCases)) {
      SweepAxis axis;
      const std::string shown = names[LastOf(one.key)] > 1 ? one.key : LastOf(one.key);
      for (const FieldValue& value : one.each) axis.push_back({shown + "=" + NameOf(value), {{one.key, value, from}}});
      if (axis.empty()) return Fail(Code::kConfigInvalid, "{}: '{}' must be a list of values", file.string(), from);
      axes.push_back(std::move(axis));
      continue;
    }
    const std::string rest = one.key.substr(kCases.size());
    const size_t dot = rest.find('.');
    SweepPoint& point = cases[rest.substr(0, dot)];
    point.name = rest.substr(0, dot);
    if (dot != std::string::npos) point.settings.push_back({rest.substr(dot + 1), one.value, from});
  }
  if (!cases.empty()) {
    SweepAxis axis;
    for (auto& [name, point] : cases) axis.push_back(std::move(point));
    axes.insert(axes.begin(), std::move(axis));
  }
  if (axes.empty()) {
    return Fail(Code::kConfigInvalid,
                "{} has no [sweep]: lists of values for its keys, as \"task.plan.learning_rate\" = [0.05, 0.1]. "
                "'tributary experiment run' runs a single experiment",
                file.string());
  }
  return axes;
}

}  // namespace

std::vector<Field> ExperimentPlan::Fields() {
  static constexpr auto kAttacks = std::to_array<std::string_view>({"sign-flip", "noise", "label-flip"});
  static constexpr auto kPaces = std::to_array<std::string_view>({"evaluated", "free"});
  static constexpr auto kDeals = std::to_array<std::string_view>({"iid", "dirichlet", "shards"});
  return {
      {"experiment.title", &title, "of the report; none: the file's name"},
      {"experiment.rounds", &rounds, "how many rounds are run", Between(1, 100'000)},
      {"experiment.devices", &devices, "virtual devices, in one process", Between(1, 1000)},
      {"experiment.gateways", &gateways, "that devices connect to; 0: they connect to the aggregator itself",
       Between(0, 100)},
      {"experiment.levels", &levels, "of gateways between devices and aggregator", Between(1, 8)},
      {"experiment.seed", &seed,
       "of dealing out, of the demo's network and, unless task.plan.seed is given, of training", Between(0, 1e9)},
      {"experiment.fits_at_once", &fits_at_once, "local fits that run at the same time; 0: as many as there are cores",
       Between(0, 1024)},
      OneOf("experiment.pace", ChoiceIn(pace),
            "when the next round begins: after the evaluations of the one before, or at once; then the "
            "evaluator may leave versions out",
            kPaces),
      {"data.images", &images,
       "folder with four IDX files, named as those of MNIST: the devices' examples, and the evaluator's"},
      {"data.files", &files,
       "list: what `tributary-fleet data import` reads, dealt out to the devices, in place of images"},
      {"data.device_files", &device_files,
       "list: the same, each for the device that it is named after, as device-000.csv"},
      {"data.test_files", &test_files, "list: what the evaluator measures every version on; none: nobody does"},
      {"data.import", &import_options, "list: further options of `data import`, as \"--category=species\""},
      OneOf("data.deal", ChoiceIn(deal),
            "how the training examples are dealt out: in equal numbers; unequal in labels and numbers; "
            "sorted by label in equal shards",
            kDeals),
      {"data.label", &label, "field of the files by which they are dealt out: whole numbers"},
      {"data.alpha", &alpha, "of the Dirichlet distribution: small is unequal", Between(1e-6, 1e6)},
      {"data.shards_per_device", &shards_per_device, "for shards", Between(1, 1'000'000)},
      {"data.total", &total, "size of a sample over all devices; 0: all", Between(0, 1e9)},
      {"data.held_out_share", &held_out_share, "of each device's examples, never trained on", Between(0, 0.9)},
      {"trouble.slow_share", &slow_share, "share of the devices, the first ones, that are slow", Between(0, 1)},
      {"trouble.slow_seconds", &slow_seconds, "that a fit of theirs takes longer", Between(0, 86'400), "s"},
      {"trouble.dropout_share", &dropout_share,
       "share of all fits that give nothing; the policy's minimum must allow for them", Between(0, 1)},
      {"trouble.hostile_share", &hostile_share, "share of the devices, the last ones, that are hostile", Between(0, 1)},
      OneOf("trouble.attack", ChoiceIn(attack),
            "what they send: the update times -attack_scale; noise in its place; an update trained on "
            "labels counted from the other end",
            kAttacks),
      {"trouble.attack_scale", &attack_scale, "of sign-flip and, in multiples of the update's size, of noise",
       AboveUpTo(0, 1e6)},
      {"model.file", &model,
       "TorchScript (.pt), or a package of `tributary-device pack` (.tpkg); none: the demo's network"},
      {"learner.command", &learner,
       "list: the program that learns, as in device.toml, with absolute paths; empty: LibTorch"},
  };
}

Result<ExperimentPlan> ExperimentPlan::Load(const Path& file, const std::vector<Setting>& settings) {
  ASSIGN_OR_RETURN(ConfigReader reader, Open(file, settings));
  ExperimentPlan plan;
  plan.title = file.stem().string();
  reader.Read(plan.Fields());
  plan.task.plan.seed = plan.seed;
  plan.task.policy.report_goal = plan.task.policy.minimum = plan.devices;
  plan.task.policy.deadline_seconds = 600;
  for (const TaskSection& section : SectionsOf(plan.task))
    reader.Read(section.fields, fmt::format("task.{}", section.member));
  // A goal may be given alone.
  RoundPolicy& policy = plan.task.policy;
  if (!reader.Has("task.policy.minimum")) policy.minimum = std::min(policy.minimum, policy.report_goal);
  reader.Below(kSweep);
  for (auto* files : {&plan.files, &plan.device_files, &plan.test_files})
    MakeAbsolute(*files, std::filesystem::absolute(file).parent_path());
  if (!plan.model.empty()) plan.model = std::filesystem::absolute(plan.model).lexically_normal();
  plan.images = std::filesystem::absolute(plan.images).lexically_normal();
  CheckPlan(reader, plan);
  RETURN_IF_ERROR(reader.Finish());
  return plan;
}

Result<std::string> ExperimentPlan::Text() const {
  ExperimentPlan copy = *this;
  std::string text, table;
  const auto add = [&](const std::string& key, const Field& field) {
    const size_t dot = key.rfind('.');
    if (key.substr(0, dot) != table) text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", key.substr(0, dot));
    table = key.substr(0, dot);
    text += fmt::format("{} = {}\n", key.substr(dot + 1), TomlOf(field.Value()));
  };
  // A key that does not suit the data would be a contradiction when the text is read.
  const auto suits = SuitsOf(*this);
  const auto is_left_out = [&](std::string_view key) {
    return std::ranges::any_of(suits, [key](const Suit& suit) { return suit.key == key && !suit.suits; });
  };
  for (const Field& field : copy.Fields()) {
    if (!is_left_out(field.name)) add(std::string(field.name), field);
  }
  for (const TaskSection& section : SectionsOf(copy.task)) {
    for (const Field& field : section.fields) {
      if (!field.help.empty()) add(fmt::format("task.{}.{}", section.member, field.name), field);
    }
  }
  std::vector<std::string> named;
  for (const auto* list : {&files, &device_files, &test_files}) named.insert(named.end(), list->begin(), list->end());
  if (!model.empty()) named.push_back(model.string());
  if (!has_files()) {
    ASSIGN_OR_RETURN(const auto inside, RealFileSystem().List(images));
    for (const std::string& name : inside) named.push_back((images / name).string());
  }
  for (const std::string& name : named) {
    if (std::error_code error; !std::filesystem::is_regular_file(name, error)) continue;  // a folder of images
    ASSIGN_OR_RETURN(const Digest digest, DigestOfFile(name));
    text +=
        fmt::format("{}# {}  {}\n", &name == &named.front() ? "\n# SHA-256 of the files:\n" : "", digest.hex(), name);
  }
  return text;
}

std::string ExperimentManual() {
  ExperimentPlan defaults;
  std::string manual = FieldsManual(defaults.Fields());
  for (const TaskSection& section : SectionsOf(defaults.task))
    manual += FieldsManual(section.fields, fmt::format("task.{}", section.member));
  return manual;
}

Result<std::vector<SweepPoint>> PointsOf(const Path& file) {
  ASSIGN_OR_RETURN(const auto axes, AxesOf(file));
  std::vector<SweepPoint> points = {{}};
  for (const SweepAxis& axis : axes) {
    std::vector<SweepPoint> longer;
    if (points.size() * axis.size() > kSweepPoints)
      return Fail(Code::kConfigInvalid, "{}: [sweep] has over {} points", file.string(), kSweepPoints);
    for (const SweepPoint& point : points) {
      for (const SweepPoint& step : axis) {
        SweepPoint next = point;
        next.name += (next.name.empty() ? "" : ",") + step.name;
        next.settings.insert(next.settings.end(), step.settings.begin(), step.settings.end());
        longer.push_back(std::move(next));
      }
    }
    points = std::move(longer);
  }
  for (const SweepPoint& point : points) RETURN_IF_ERROR(ExperimentPlan::Load(file, point.settings));
  return points;
}

}  // namespace tributary
