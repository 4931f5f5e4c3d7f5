#include "aggregator/metrics.h"

namespace tributary {
namespace {

template <class Key, class Text>
MetricSamples CountsBy(const char* label, const std::map<Key, uint64_t>& counts, Text text) {
  MetricSamples samples;
  for (const auto& [key, count] : counts)
    samples.push_back({{{label, std::string(text(key))}}, static_cast<double>(count)});
  return samples;
}

}  // namespace

AggregatorMetrics::AggregatorMetrics() {
  AddServerMetrics(server_,
                   {.credit = "Chunk bytes asked for and not yet staged",
                    .link_name = "link_bytes_total",
                    .link = "Bytes of messages with clients, by purpose; up is from them",
                    .refusals = "Sessions and uploads refused, by reason; those that pass as well, each time",
                    .resent = false},
                   &Server::counts);
  core_.Gauge("publication_number", "The publication that is served", &Core::publication_number);
  core_.Gauge("tasks", "Tasks", &Core::tasks);
  core_.Gauge("open_rounds", "Rounds that collect updates or are being closed", &Core::open_rounds);
  core_.Gauge("gateways", "Gateways of the tree", &Core::gateways);
  core_.Gauge("gateways_late", "Gateways whose last report is older than 90 s", &Core::gateways_late);
  core_.Gauge("gateways_in_trouble", "Gateways that say what keeps them from working", &Core::gateways_in_trouble);
  core_.Counter("damaged_blobs_total", "Files of models whose bytes the disk had changed, since the start",
                &Core::damaged_blobs);
  core_.Counter("behind_members_total",
                "How often members held a newer publication than this aggregator, which was restored from a backup",
                &Core::times_behind);
  core_.Gauge("disk_in_trouble", "1 while the data folder cannot be written to", &Core::disk_in_trouble);
  core_.Gauge("former_sealing_keys", "Sealing keys that were replaced and still open uploads",
              &Core::former_sealing_keys);
  AddMembers();
  AddAccount();
  AddTasks();
}

void AggregatorMetrics::AddMembers() {
  core_.Sampled(MetricKind::kGauge, "certificate_end_timestamp_seconds",
                "When this aggregator's certificate ends, and its issuer's, which every member's ends with",
                [](const Core& c) {
                  MetricSamples samples;
                  for (const auto& [of, end] : c.certificate_ends)
                    samples.push_back({{{"of", of}}, static_cast<double>(end.unix_seconds())});
                  return samples;
                });
  core_.Sampled(MetricKind::kGauge, "enrolled_members", "Members by the state of their enrolment",
                [](const Core& c) { return CountsBy("state", c.enrolment.members, EnrolmentStateName); });
  core_.Sampled(
      MetricKind::kGauge, "device_failures",
      "Devices and evaluators that say now that they cannot do their part of a task, by why", [](const Core& c) {
        MetricSamples samples;
        for (const auto& [task, counts] : c.device_failures) {
          for (const auto& [code, count] : counts) {
            samples.push_back({{{"task", task.text()}, {"code", std::string(Name(code))}}, static_cast<double>(count)});
          }
        }
        return samples;
      });
  core_.Sampled(
      MetricKind::kCounter, "enrolments_total",
      "Requests for certificates since the start: issued, renewed, pending, repeated, or why they were refused",
      [](const Core& c) {
        return CountsBy("outcome", c.enrolment.decisions, [](const std::string& outcome) { return outcome; });
      });
}

void AggregatorMetrics::AddAccount() {
  core_.Sampled(MetricKind::kGauge, "uploads", "Where every upload ever offered is",
                [](const Core& c) { return AccountSamples(c.accounts); });
  core_.Sampled(MetricKind::kGauge, "uploads_refused", "Uploads refused for good, by kind and reason",
                [](const Core& c) { return ReasonSamples(c.accounts, &KindAccount::refused); });
  core_.Sampled(MetricKind::kGauge, "uploads_dropped", "Uploads dropped after they were taken in, by kind and reason",
                [](const Core& c) { return ReasonSamples(c.accounts, &KindAccount::dropped); });
}

void AggregatorMetrics::AddTasks() {
  core_.Sampled(MetricKind::kGauge, "round_updates",
                "Updates of a task's newest round by what became of them: counted, and of these scaled (down to the round's "
                "bounds) and capped (in weight); refused",
                [](const Core& c) {
                  MetricSamples samples;
                  for (const auto& [task, round] : c.newest_rounds) {
                    uint64_t refused = 0;
                    for (const auto& [code, count] : round.refused) refused += count;
                    for (const auto& [fate, count] :
                         {std::pair("counted", round.contributions), std::pair("scaled", round.scaled),
                          std::pair("capped", round.capped), std::pair("refused", refused)})
                      samples.push_back({{{"task", task.text()}, {"fate", fate}}, static_cast<double>(count)});
                  }
                  return samples;
                });
  core_.Sampled(
      MetricKind::kGauge, "task_metric",
      "Mean of a metric over the evaluations of a task's newest evaluated version: loss, accuracy and what the "
      "task's manifest declares. View: global (by evaluators), local and personal (on devices' held-out shares)",
      [](const Core& c) {
        MetricSamples samples;
        for (const auto& [task, views] : c.task_metrics) {
          for (const auto& [view, means] : {std::pair("global", &views.global), std::pair("personal", &views.personal),
                                            std::pair("local", &views.local)}) {
            for (const auto& [name, mean] : *means)
              samples.push_back({{{"task", task}, {"view", view}, {"metric", name}}, mean});
          }
        }
        return samples;
      });
}

}  // namespace tributary
