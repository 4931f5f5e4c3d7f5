#include "aggregator/store/store.h"

#include <gtest/gtest.h>

#include "tests/support/classified.h"
#include "tests/aggregator/store/former_schema.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::store_test {
namespace {

class StoreTest : public testing::Test {
 protected:
  StoreTest() { Reopen(); }
  void Reopen() {
    store_.reset();
    auto store = Store::Open(folder_ / "a.db");
    ASSERT_TRUE(store) << store.error().ToString();
    store_ = std::move(*store);
  }
  Digest AnyDigest() { return *Digest::FromBytes(random_.TakeBytes(32)); }

  TemporaryFolder folder_;
  SeededRandom random_{7};
  std::unique_ptr<Store> store_;
  const TaskId task_ = TestTask("digits");
};

TEST_F(StoreTest, ATaskComesBackAsItWas) {
  TaskRecord task;
  task.id = task_;
  task.table.tensors = {{.name = "conv.weight", .shape = {2, 1, 5, 5}, .offset = 0, .size = 50},
                        {.name = "scale", .shape = {}, .offset = 50, .size = 1}};
  task.module = {AnyDigest(), 12345};
  task.manifest.collection = "weather";
  task.manifest.metrics = {{"mae", MetricDirection::kSmaller}};
  task.plan = {.loss = Loss::kMeanSquaredError,
               .optimizer = Optimizer::kAdamW,
               .learning_rate = 0.125,
               .momentum = 0.5,
               .weight_decay = 0.25,
               .batch_size = 7,
               .epochs = 3,
               .max_steps = 11,
               .seed = ~uint64_t{0}};
  task.policy = {.report_goal = 5, .minimum = 2, .deadline_seconds = 60, .inclusion = 0.75};
  task.server_optimizer = {.name = ServerOptimizerName::kFedYogi, .learning_rate = 0.5, .tau = 0.25};
  task.robust = {.rule = RobustRuleName::kBulyan, .hostile_percent = 7, .groups = RobustGroups::kGateways};
  task.value_bound = 2;
  task.norm_bound = 3;
  task.max_weight = 400;
  task.scale = {33};
  task.created = {1234567};
  task.rounds_wanted = 4;
  task.latest = ModelVersion{1};
  ASSERT_TRUE(store_->tasks.Insert(task));
  EXPECT_EQ(store_->tasks.Insert(task).error().code, Code::kConflict);
  task.rounds_wanted = 3;
  task.latest = ModelVersion{2};
  task.paused = "the sensors are exchanged";
  task.paused_at = {77};
  task.policy.below_minimum = BelowMinimum::kExtend;
  task.next_settings = {task.policy, task.server_optimizer};
  task.next_settings->policy.report_goal = 9;
  ASSERT_TRUE(store_->tasks.SaveProgress(task));
  Reopen();
  const auto all = store_->tasks.All();
  ASSERT_TRUE(all) << all.error().ToString();
  ASSERT_EQ(all->size(), 1u);
  const TaskRecord& read = all->front();
  EXPECT_EQ(read.id, task.id);
  EXPECT_EQ(read.table, task.table);
  EXPECT_EQ(read.module, task.module);
  EXPECT_EQ(read.manifest, task.manifest);
  EXPECT_EQ(read.plan, task.plan);
  EXPECT_EQ(read.policy, task.policy);
  EXPECT_EQ(read.server_optimizer, task.server_optimizer);
  EXPECT_EQ(read.robust, task.robust);
  EXPECT_EQ(read.value_bound, task.value_bound);
  EXPECT_EQ(read.norm_bound, task.norm_bound);
  EXPECT_EQ(read.max_weight, task.max_weight);
  EXPECT_EQ(read.scale, task.scale);
  EXPECT_EQ(read.created, task.created);
  EXPECT_EQ(read.rounds_wanted, 3u);
  EXPECT_EQ(read.paused, task.paused);
  EXPECT_EQ(read.paused_at, task.paused_at);
  EXPECT_EQ(read.next_settings, task.next_settings);
  EXPECT_EQ(read.latest, ModelVersion{2});
}

TEST_F(StoreTest, ARoundComesBackAsItWas) {
  StoredRound round;
  round.record.task = task_;
  round.record.number = 3;
  round.record.base = ModelVersion{2};
  random_.Fill(round.record.nonce);
  round.record.opened = {10};
  round.record.deadline = {20};
  round.record.inclusion = 0.25;
  ASSERT_TRUE(store_->rounds.Insert(round));
  round.record.state = RoundState::kClosing;
  round.record.contributions = 4;
  round.record.total_weight = 400;
  round.record.staleness = {3, 0, 1};
  round.record.extended = true;
  round.record.deadline = {40};
  round.record.bytes_up = 5000;
  round.record.refused = {{Code::kNotFinite, 2}, {Code::kDuplicate, 1}};
  round.record.aggregate_digest = AnyDigest();
  round.checkpoint = "digits-3-1.sum";
  round.generation = 1;
  round.bytes_in = 4000;
  round.bytes_written = 3000;
  ASSERT_TRUE(store_->rounds.Save(round));
  round.record.refused[Code::kNotFinite] = 3;
  ASSERT_TRUE(store_->rounds.SaveRefusals(round.record));
  ASSERT_TRUE(store_->rounds.AddBytes(task_, 3, 50));
  Reopen();
  const auto open = store_->rounds.Open();
  ASSERT_TRUE(open);
  ASSERT_EQ(open->size(), 1u);
  const StoredRound& read = open->front();
  EXPECT_EQ(read.record.state, RoundState::kClosing);
  EXPECT_EQ(read.record.nonce, round.record.nonce);
  EXPECT_EQ(read.record.contributions, 4u);
  EXPECT_EQ(read.record.total_weight, 400u);
  EXPECT_EQ(read.record.staleness, round.record.staleness);
  EXPECT_TRUE(read.record.extended);
  EXPECT_EQ(read.record.deadline, WallTime{40});
  EXPECT_EQ(read.record.inclusion, 0.25);
  EXPECT_EQ(read.record.bytes_up, 5050u);
  EXPECT_EQ(read.record.refused, round.record.refused);
  EXPECT_EQ(read.record.aggregate_digest, round.record.aggregate_digest);
  EXPECT_EQ(read.checkpoint, round.checkpoint);
  EXPECT_EQ(read.generation, 1u);
  EXPECT_EQ(read.bytes_in, 4000u);
  EXPECT_EQ(read.bytes_written, 3000u);
  EXPECT_EQ(*store_->rounds.LastNumber(task_), 3u);
  EXPECT_EQ(*store_->rounds.LastOnBase(task_, ModelVersion{2}), 3u);
  EXPECT_EQ(*store_->rounds.LastOnBase(task_, ModelVersion{1}), 0u);
  EXPECT_EQ(store_->rounds.Get(task_, 4).error().code, Code::kNotFound);
}

// Of a database of 0.1.0: the tasks, which had a column for each field of the plan, and the evaluations, which had loss
// and accuracy.
constexpr std::string_view kFormerSchema[] = {
    "CREATE TABLE tasks (id TEXT PRIMARY KEY, module_digest BLOB NOT NULL, module_size BIGINT NOT NULL, "
    "loss BIGINT NOT NULL, optimizer BIGINT NOT NULL, learning_rate DOUBLE PRECISION NOT NULL, "
    "momentum DOUBLE PRECISION NOT NULL, weight_decay DOUBLE PRECISION NOT NULL, batch_size BIGINT NOT NULL, "
    "epochs BIGINT NOT NULL, max_steps BIGINT NOT NULL, seed BIGINT NOT NULL, report_goal BIGINT NOT NULL, "
    "minimum BIGINT NOT NULL, deadline_seconds BIGINT NOT NULL, inclusion DOUBLE PRECISION NOT NULL, "
    "value_bound DOUBLE PRECISION NOT NULL, norm_bound DOUBLE PRECISION NOT NULL, max_weight BIGINT NOT NULL, "
    "fraction_bits BIGINT NOT NULL, created BIGINT NOT NULL, rounds_wanted BIGINT NOT NULL, latest BIGINT NOT NULL);"
    "CREATE TABLE tensors (task TEXT NOT NULL, position BIGINT NOT NULL, name TEXT NOT NULL, shape TEXT NOT NULL, "
    "PRIMARY KEY (task, position));"
    "CREATE TABLE evaluations (task TEXT NOT NULL, version BIGINT NOT NULL, device TEXT NOT NULL, "
    "model BIGINT NOT NULL, role TEXT NOT NULL, upload BLOB NOT NULL, examples BIGINT NOT NULL, "
    "loss DOUBLE PRECISION NOT NULL, accuracy DOUBLE PRECISION NOT NULL, millis BIGINT NOT NULL, "
    "received BIGINT NOT NULL, PRIMARY KEY (task, version, device, model));"
    "CREATE INDEX evaluations_by_upload ON evaluations (upload);"
    "CREATE TABLE evaluation_totals (task TEXT NOT NULL, version BIGINT NOT NULL, role TEXT NOT NULL, "
    "model BIGINT NOT NULL, reports BIGINT NOT NULL, examples BIGINT NOT NULL, correct DOUBLE PRECISION NOT NULL, "
    "PRIMARY KEY (task, version, role, model));",
    "CREATE TABLE gateways (id TEXT);",
    "CREATE TABLE device_reports (device TEXT); CREATE TABLE rounds (task TEXT, reports BIGINT); CREATE TABLE versions "
    "(task TEXT, "
    "version BIGINT, "
    "weights_digest BLOB);"
    "CREATE TABLE contributions (task TEXT NOT NULL, base_version BIGINT NOT NULL, device TEXT NOT NULL);"};

TEST_F(StoreTest, TasksOfTheFirstReleaseAreTakenOver) {
  const Path file = folder_ / "former.db";
  const double rate = 0.1 + 0.2;  // needs all its bits
  {
    auto database = Database::Open(file);
    ASSERT_TRUE(database);
    ASSERT_TRUE((*database)->Migrate(kFormerSchema));
    ASSERT_TRUE(
        (*database)->Execute("INSERT INTO tasks VALUES (?, ?, 12345, 1, 1, ?, 0.5, 0.25, 7, 3, 11, ?, 5, 2, 60, "
                             "0.75, 2, 3, 400, 33, 1234567, 4, 2)",
                             task_, AnyDigest(), rate, ~uint64_t{0}));
    ASSERT_TRUE((*database)->Execute("INSERT INTO tensors VALUES (?, 0, 'scale', '')", task_));
  }
  for (int opened = 0; opened < 2; ++opened) {
    auto store = Store::Open(file);
    ASSERT_TRUE(store) << store.error().ToString();
    const auto all = (*store)->tasks.All();
    ASSERT_TRUE(all) << all.error().ToString();
    ASSERT_EQ(all->size(), 1u);
    const TaskRecord& task = all->front();
    EXPECT_EQ(task.id, task_);
    EXPECT_EQ(task.plan, (TrainingPlan{.loss = Loss::kMeanSquaredError,
                                       .optimizer = Optimizer::kAdamW,
                                       .learning_rate = rate,
                                       .momentum = 0.5,
                                       .weight_decay = 0.25,
                                       .batch_size = 7,
                                       .epochs = 3,
                                       .max_steps = 11,
                                       .seed = ~uint64_t{0}}));
    EXPECT_EQ(task.policy, (RoundPolicy{.report_goal = 5, .minimum = 2, .deadline_seconds = 60, .inclusion = 0.75}));
    EXPECT_EQ(task.value_bound, 2);
    EXPECT_EQ(task.norm_bound, 3);
    EXPECT_EQ(task.max_weight, 400u);
    EXPECT_EQ(task.first_norm, 0) << "no update is scaled down";
    EXPECT_EQ(task.first_weight, 0u) << "an update of a larger weight is refused";
    EXPECT_EQ(task.scale.fraction_bits, 33);
    EXPECT_EQ(task.created, WallTime{1234567});
    EXPECT_EQ(task.rounds_wanted, 4u);
    EXPECT_EQ(task.latest, ModelVersion{2});
    EXPECT_EQ(task.table.tensors.size(), 1u);
    EXPECT_EQ(task.manifest, ManifestOfImages());
  }
}

TEST_F(StoreTest, EvaluationsOfTheFirstReleaseBecomeMetricsByName) {
  const Path file = folder_ / "former.db";
  const UploadId upload = random_.TakeUploadId();
  {
    auto database = Database::Open(file);
    ASSERT_TRUE(database);
    ASSERT_TRUE((*database)->Migrate(kFormerSchema));
    const auto add = [&](const char* device, int model, uint64_t examples, double loss, double accuracy) {
      ASSERT_TRUE((*database)->Execute("INSERT INTO evaluations VALUES (?, 2, ?, ?, 'device', ?, ?, ?, ?, 1, 9)", task_,
                                       device, model, upload, examples, loss, accuracy));
    };
    add("d1", 1, 14, 2.5, 5.0 / 14);
    add("d2", 1, 9, 0.1, 0);
    add("d1", 2, 14, -0.5, 1);
    // Values that a device may have made up.
    add("d3", 1, 1, 1e300, 0.5);
    add("d4", 1, ~uint64_t{0}, 1, 1);
    add("d5", 1, uint64_t{1} << 60, 1, 1);
  }
  auto store = Store::Open(file);
  ASSERT_TRUE(store) << store.error().ToString();
  EvaluationTable& evaluations = (*store)->evaluations;
  auto totals = *evaluations.Totals(task_, ModelVersion{}, ModelVersion{INT64_MAX});
  const MetricTotal loss{Quantised({35, 0})->sum + Quantised({0.1 * 9, 0})->sum, 23 << 20};
  const MetricTotal accuracy{(5 << 20) + (1 << 19), 24 << 20};
  EXPECT_EQ(totals.local[ModelVersion{2}].metrics,
            (std::map<std::string, MetricTotal>{{"accuracy", accuracy}, {"loss", loss}}));
  EXPECT_EQ(totals.local[ModelVersion{2}].reports, 3u);
  EXPECT_EQ(totals.personal[ModelVersion{2}].means(), (MetricMeans{{"accuracy", 1}, {"loss", -0.5}}));
  EXPECT_TRUE(totals.global.empty());
  // They go on from there, and what was taken in is known.
  EXPECT_TRUE(*evaluations.HasUpload(TestDevice("d4"), upload));
  ASSERT_TRUE(evaluations.Insert({.task = task_,
                                  .version = ModelVersion{2},
                                  .device = TestDevice("d6"),
                                  .role = "device",
                                  .upload = upload,
                                  .result = Classified(EvaluatedModel::kPersonal, 2, 0.5, 0, 3),
                                  .received = {9}}));
  totals = *evaluations.Totals(task_, ModelVersion{}, ModelVersion{INT64_MAX});
  EXPECT_EQ(totals.personal[ModelVersion{2}].means(), (MetricMeans{{"accuracy", 14.0 / 16}, {"loss", -6.0 / 16}}));
}

TEST_F(StoreTest, NumbersThatOverflowedAreMendedAndStrangersToARoundAreLeftOut) {
  const auto evaluation = [&](const char* device, ModelVersion version, const char* role, double loss) {
    return EvaluationRecord{.task = task_,
                            .version = version,
                            .device = TestDevice(device),
                            .role = role,
                            .upload = random_.TakeUploadId(),
                            .result = Classified(EvaluatedModel::kGlobal, 10, loss, 0.5, 3),
                            .received = {9}};
  };
  ASSERT_TRUE(store_->contributions.Insert({task_, ModelVersion{2}, TestDevice("d1"), random_.TakeUploadId(), 10, 1}));
  for (const char* device : {"d1", "stranger"}) {
    ASSERT_TRUE(store_->evaluations.Insert(evaluation(device, ModelVersion{2}, "device", device[0] == 'd' ? 1 : 900)));
    ASSERT_TRUE(store_->evaluations.Insert(evaluation(device, ModelVersion{1}, "device", 2)));
  }
  ASSERT_TRUE(store_->evaluations.Insert(evaluation("e1", ModelVersion{2}, "evaluator", 3)));
  store_.reset();
  {
    auto database = Database::Open(folder_ / "a.db");
    ASSERT_TRUE(database);
    for (const char* damage : {"UPDATE evaluations SET examples = -1, millis = 9.3e18 WHERE device = 'stranger'",
                               "UPDATE metric_totals SET sum = 9.3e18 WHERE role = 'evaluator' AND name = 'loss'"})
      ASSERT_TRUE((*database)->Execute(damage)) << damage;
    for (const std::string& step : StepsBackTo(7)) ASSERT_TRUE((*database)->Execute(step)) << step;
  }
  Reopen();
  auto totals = *store_->evaluations.Totals(task_, ModelVersion{}, ModelVersion{INT64_MAX});
  EXPECT_EQ(totals.local[ModelVersion{2}].means().at("loss"), 1) << "the round is remembered";
  EXPECT_EQ(totals.local[ModelVersion{2}].reports, 1u);
  EXPECT_EQ(totals.local[ModelVersion{1}].reports, 2u) << "who was in it is not";
  EXPECT_EQ(totals.global[ModelVersion{2}].means().at("loss"), 3);
}

TEST_F(StoreTest, ADeviceContributesOncePerBaseVersionWhateverItsUploadIsCalled) {
  ContributionRecord first{.task = task_,
                           .base = ModelVersion{1},
                           .device = TestDevice("d1"),
                           .upload = random_.TakeUploadId(),
                           .size = {.weight = 5},
                           .round = 1};
  ASSERT_TRUE(store_->contributions.Insert(first));
  ContributionRecord again = first;
  again.upload = random_.TakeUploadId();
  EXPECT_EQ(store_->contributions.Insert(again).error().code, Code::kConflict);
  ContributionRecord later = first;
  later.base = ModelVersion{2};
  later.round = 2;
  ASSERT_TRUE(store_->contributions.Insert(later)) << "the same upload id on another base is another contribution";
  EXPECT_TRUE(*store_->contributions.Has(task_, ModelVersion{1}, first.device));
  ASSERT_TRUE(store_->contributions.ForgetBefore(task_, ModelVersion{2}));
  EXPECT_FALSE(*store_->contributions.Has(task_, ModelVersion{1}, first.device));
  EXPECT_TRUE(*store_->contributions.Has(task_, ModelVersion{2}, later.device));
}

TEST_F(StoreTest, HalfOfTheContributionsAreAtMostAsLargeAsTheMedian) {
  EXPECT_EQ(*store_->contributions.Median(task_, 1), UpdateSize());
  const UpdateSize sizes[] = {{3, 30, 9}, {1, 10, 700}, {2, 20, 5}, {1e300, 0, 6}};
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(store_->contributions.Insert({.task = task_,
                                              .base = ModelVersion{1},
                                              .device = TestDevice(fmt::format("d{}", i)),
                                              .upload = random_.TakeUploadId(),
                                              .size = sizes[i],
                                              .round = 1}));
    const UpdateSize medians[] = {{3, 30, 9}, {1, 10, 9}, {2, 20, 9}, {2, 10, 6}};
    EXPECT_EQ(*store_->contributions.Median(task_, 1), medians[i]) << i;
  }
}

TEST_F(StoreTest, EvaluationsAddUpByExamples) {
  EvaluationRecord one{.task = task_,
                       .version = ModelVersion{2},
                       .device = TestDevice("d1"),
                       .role = "device",
                       .upload = random_.TakeUploadId(),
                       .result = Classified(EvaluatedModel::kGlobal, 10, 1, 0.5, 3),
                       .received = {9}};
  ASSERT_TRUE(store_->evaluations.Insert(one));
  EXPECT_TRUE(*store_->evaluations.Has(one));
  EXPECT_TRUE(*store_->evaluations.HasUpload(one.device, one.upload));
  EXPECT_FALSE(*store_->evaluations.HasUpload(TestDevice("d2"), one.upload));
  one.device = TestDevice("d2");
  EXPECT_FALSE(*store_->evaluations.Has(one));
  one.result = Classified(EvaluatedModel::kGlobal, 30, 2, 0.75, 3);
  ASSERT_TRUE(store_->evaluations.Insert(one));
  auto totals = store_->evaluations.Totals(task_, ModelVersion{2}, ModelVersion{2});
  ASSERT_TRUE(totals) << totals.error().ToString();
  const EvaluationTotal& local = totals->local[ModelVersion{2}];
  EXPECT_EQ(local.reports, 2u);
  EXPECT_EQ(local.means(),
            (MetricMeans{{"accuracy", (10 * 0.5 + 30 * 0.75) / 40}, {"loss", (10 * 1 + 30 * 2) / 40.0}}));
  EXPECT_TRUE(totals->global.empty());
}

TEST_F(StoreTest, AccountsAndCountersAddUpOverRestarts) {
  ASSERT_TRUE(store_->accounts.Add(UploadKind::kUpdate, Outcome::kDelivered, Code::kMalformed, 3));
  ASSERT_TRUE(store_->accounts.Add(UploadKind::kUpdate, Outcome::kDelivered, Code::kMalformed, 2));
  ASSERT_TRUE(store_->accounts.Add(UploadKind::kUpdate, Outcome::kRefused, Code::kNotFinite, 1));
  ASSERT_TRUE(store_->accounts.Add(UploadKind::kUpdate, Outcome::kDuplicate, Code::kDuplicate, 4));
  ASSERT_TRUE(store_->accounts.SaveCounter("publication", 8));
  ASSERT_TRUE(store_->accounts.SaveCounter("publication", 9));
  Reopen();
  const auto all = store_->accounts.All();
  ASSERT_TRUE(all);
  const KindAccount& account = all->at(UploadKind::kUpdate);
  EXPECT_EQ(account.offered, 10u);
  EXPECT_EQ(account.delivered, 5u);
  EXPECT_EQ(account.duplicate, 4u);
  EXPECT_EQ(account.refused.at(Code::kNotFinite), 1u);
  EXPECT_EQ(*store_->accounts.Counter("publication"), 9u);
  EXPECT_EQ(*store_->accounts.Counter("other"), 0u);
}

TEST_F(StoreTest, MembersAreReplacedById) {
  MemberRecord member{.id = TestDevice("g1"),
                      .role = "gateway",
                      .device_class = "",
                      .first_seen = {1},
                      .last_seen = {2},
                      .via = TestDevice("g1"),
                      .spooled_bytes = 77};
  ASSERT_TRUE(store_->members.Save(member));
  member.last_seen = {5};
  ASSERT_TRUE(store_->members.Save(member));
  const auto all = store_->members.All();
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ(all->front().last_seen, WallTime{5});
  EXPECT_EQ(all->front().spooled_bytes, 77u);
}

TEST_F(StoreTest, WithoutCommitNothingIsStored) {
  {
    auto transaction = store_->Begin();
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(store_->accounts.SaveCounter("x", 1));
  }
  EXPECT_EQ(*store_->accounts.Counter("x"), 0u);
}

}  // namespace
}  // namespace tributary::store_test
