#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aggregator/records/records.h"
#include "protocol/base/field.h"
#include "protocol/base/file.h"

namespace tributary {

// How the examples are dealt out to the devices (device/examples/partition.h).
enum class DealKind : uint8_t { kIid, kDirichlet, kShards };

// The attack of hostile devices (device/fleet/troubled_learner.h).
enum class AttackKind : uint8_t { kFlipSigns, kSendNoise, kFlipLabels };

// When the next round begins: after the evaluations of the one before, so that every version is measured; or at once.
enum class Pace : uint8_t { kEvaluated, kFree };

// A value in place of what an experiment's file says.
struct Setting {
  std::string key;  // "task.plan.epochs"
  FieldValue value;
  std::string from;  // the key under which the file has it, for errors
};

// One private federation and what it is to learn: an experiment's file. Fields() and the task's own tables say what each
// key means; the defaults stand here. Paths are relative to the file. Value type.
struct ExperimentPlan {
  std::string title;  // empty: the file's name
  uint32_t rounds = 10;
  uint32_t devices = 20;
  uint32_t gateways = 2;
  uint32_t levels = 1;
  uint64_t seed = 1;
  uint32_t fits_at_once = 0;
  Pace pace = Pace::kEvaluated;

  Path images = "/usr/share/datasets/fashion-mnist";
  std::vector<std::string> files, device_files, test_files, import_options;
  DealKind deal = DealKind::kDirichlet;
  std::string label = "label";
  double alpha = 0.5;
  uint32_t shards_per_device = 2;
  uint32_t total = 0;
  double held_out_share = 0.1;

  double slow_share = 0, slow_seconds = 5, dropout_share = 0, hostile_share = 0;
  AttackKind attack = AttackKind::kFlipSigns;
  double attack_scale = 3;

  Path model;
  std::vector<std::string> learner;

  // All devices take part in every round, unless the file says otherwise, so that the same seed sums the same updates.
  TaskRecord task;

  // Reads a file, with `settings` in place of what stands there. Errors, before anything starts: those of ConfigReader,
  // each with the line; kConfigInvalid: keys that contradict each other, a file that is not there.
  static Result<ExperimentPlan> Load(const Path& file, const std::vector<Setting>& settings = {});

  std::vector<Field> Fields();
  // Without images: from files.
  bool has_files() const { return !files.empty() || !device_files.empty(); }
  // The whole plan as TOML, in which every key stands, and the digest of every file that it names as a comment: the same
  // text is the same experiment. Errors: of reading the files.
  Result<std::string> Text() const;
};

// Goes below --help: every key with its default, unit and bounds.
std::string ExperimentManual();

// One experiment of a sweep.
struct SweepPoint {
  std::string name;  // "learning_rate=0.1,seed=2": a folder's name
  std::vector<Setting> settings;
};

// The grid of a file's [sweep], in the order of its keys' names: each key there is a key of the experiment with the list of
// its values; [sweep.cases.NAME] has keys whose values go together. Every point has been loaded once. Errors: those of
// ExperimentPlan::Load; kConfigInvalid: there is no [sweep], over kSweepPoints.
Result<std::vector<SweepPoint>> PointsOf(const Path& file);
inline constexpr size_t kSweepPoints = 1'000;

}  // namespace tributary
