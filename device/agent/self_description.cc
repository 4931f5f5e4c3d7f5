#include "device/agent/self_description.h"

#include "device/agent/planner.h"
#include "device/report/agent_metrics.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

// Of the tasks that are published: the others are over.
void DescribeFailures(const AgentState& state, DeviceState& self) {
  for (const auto& [task, failure] : state.failures()) {
    if (!self.installed.contains(task)) continue;
    // A power cut, or an application that was ended: the work begins again.
    if (failure.code == Code::kShuttingDown && failure.count <= kCutOffsAtOnce) continue;
    const TaskProgress progress = state.Of(task);
    const bool given_up = progress.phase == TaskPhase::kGivenUp && progress.version == failure.version;
    self.failures[task] = {.code = failure.code,
                           .sentence = failure.sentence,
                           .count = failure.count,
                           .version = failure.version,
                           .last = failure.last,
                           .lasting = given_up || LacksData(failure.code)};
  }
}

}  // namespace

bool LacksData(Code code) {
  return code == Code::kMissingField || code == Code::kFewExamples || code == Code::kBadExample ||
         code == Code::kNeedsLearner;
}

std::string SelfDescription::Withheld() const {
  return WhyWithheld(parts_.membership.publications(), parts_.membership.RejectedSince(), parts_.clock.Now());
}

void SelfDescription::WriteMetrics() const {
  if (parts_.metrics_file.empty()) return;
  AgentMetrics out(parts_.id);
  out.AddOutbox(parts_.outbox.account(), parts_.outbox_max_bytes, parts_.outbox.health());
  out.AddLink(parts_.membership.client(), parts_.membership.sessions(), parts_.outbox.counts());
  out.AddPublications(parts_.membership.publications().number(), parts_.membership.publication_counts().rejected_by,
                      !Withheld().empty());
  out.Counter("damaged_blobs_total", "Files of models whose bytes the disk had changed, since the start",
              parts_.membership.blobs().damaged_count());
  out.AddWork(parts_.counts.fits, parts_.counts.fits_failed, parts_.counts.made_again);
  if (const int64_t end = parts_.membership.CertificateEnd().unix_millis; end > 0) {
    out.Gauge("certificate_end_seconds", "Unix time at which this device's certificate ends",
              static_cast<uint64_t>(end / 1000));
  }
  out.Gauge("written_seconds", "Unix time at which this was written",
            static_cast<uint64_t>(parts_.clock.Now().unix_seconds()));
  if (const Status written = WriteFileAtomically(parts_.files, parts_.metrics_file, AsBytes(out.Render())); !written)
    LogFailure(LogLevel::kWarning, "metrics.not_written", written.error());
}

DeviceState SelfDescription::State() const {
  DeviceState self;
  const Subscriber::Counts& publications = parts_.membership.publication_counts();
  if (const auto& publication = parts_.membership.publications().current()) {
    self.root_version = publication->root_version;
    self.publication_number = publication->number;
    for (const PublishedTask& task : publication->tasks) self.installed[task.id] = {task.latest, task.weights.digest};
  }
  self.time_floor = parts_.clock.floor();
  self.withheld = Withheld();
  self.counters = {{"fits", parts_.counts.fits},
                   {"fits_failed", parts_.counts.fits_failed},
                   {"own_model_better", parts_.counts.own_model_better},
                   {"own_model_given_up", parts_.counts.own_model_given_up},
                   {"sessions", parts_.membership.sessions()},
                   {"uploads_delivered", parts_.counts.delivered},
                   {"uploads_given_up", parts_.counts.given_up},
                   {"uploads_made_again", parts_.counts.made_again},
                   {"publications_adopted", publications.adopted},
                   {"publications_rejected", publications.rejected}};
  if (parts_.membership.certificate())
    self.counters["certificates_renewed"] = parts_.membership.certificate()->renewals();
  for (const auto& [code, count] : publications.rejected_by) self.rejections[code].count = count;
  if (publications.last_rejection) {
    DeviceState::Rejections& last = self.rejections[publications.last_rejection->error.code];
    last.last_sentence = publications.last_rejection->error.message;
    last.last = publications.last_rejection->when;
  }
  DescribeFailures(parts_.state, self);
  return self;
}

}  // namespace tributary
