// What an agent says of itself, and why it installs nothing.

#include "device/agent/agent.h"
#include "device/agent/outbox.h"
#include "protocol/base/log.h"

namespace tributary {

std::string Agent::Withheld() const {
  const auto& rejection = subscriber_->counts().last_rejection;
  if (!publications_.current()) {
    return rejection ? "no publication was believed yet: " + std::string(Describe(rejection->error.code).sentence)
                     : "no publication has come yet";
  }
  if (publications_.expired(parts_.clock.Now())) {
    return "the publication has expired; the present model goes on, nothing is installed or trained until a newer one "
           "comes";
  }
  if (rejection && subscriber_->counts().rejected > rejected_at_adoption_) {
    return "what was offered last is not believed: " + std::string(Describe(rejection->error.code).sentence);
  }
  return "";
}

DeviceState Agent::Facts() const {
  DeviceState facts;
  const Subscriber::Counts& publications = subscriber_->counts();
  if (publications_.current()) {
    facts.root_version = publications_.current()->root_version;
    facts.publication_number = publications_.number();
    for (const PublishedTask& task : publications_.current()->tasks)
      facts.installed[task.id] = {task.latest, task.weights.digest};
  }
  facts.time_floor = parts_.clock.floor();
  facts.withheld = Withheld();
  facts.counters = {{"fits", counts_.fits},
                    {"fits_failed", counts_.fits_failed},
                    {"sessions", counts_.sessions},
                    {"uploads_delivered", counts_.delivered},
                    {"uploads_given_up", counts_.given_up},
                    {"uploads_made_again", counts_.made_again},
                    {"publications_adopted", publications.adopted},
                    {"publications_rejected", publications.rejected}};
  if (certificate_) facts.counters["certificates_renewed"] = certificate_->renewals();
  for (const auto& [code, count] : publications.rejected_by) facts.rejections[code].count = count;
  if (publications.last_rejection) {
    DeviceState::Rejections& last = facts.rejections[publications.last_rejection->error.code];
    last.last_sentence = publications.last_rejection->error.message;
    last.last = publications.last_rejection->when;
  }
  return facts;
}

void Agent::DescribeIfDue() {
  if (!options_.reports || stopped_ || !publications_.current() || publications_.current()->tasks.empty()) return;
  DeviceState facts = Facts();
  const Millis now = parts_.clock.Monotonic();
  if (!reports_.IsDue(facts, now)) return;
  const auto report = reports_.Make(std::move(facts), now);
  if (!report) return LogFailure(LogLevel::kError, "report.not_made", report.error());

  const Publication& publication = *publications_.current();
  UploadSubject subject;
  parts_.random.Fill(subject.id.mutable_view());
  subject.kind = UploadKind::kDeviceState;
  subject.task = publication.tasks.front().id;
  subject.base_version = publication.tasks.front().latest;
  subject.device = parts_.identity.subject.id;
  subject.created = parts_.clock.Now();
  subject.priority = Priority::kDeviceState;
  subject.codec = Codec::kRecord;
  auto sealed = SealUpload(subject, EncodeDeviceState(*report), options_.chunk_bytes,
                           {publication.aead, publication.sealing_key}, parts_.identity.key, parts_.identity.chain);
  if (!sealed) return LogFailure(LogLevel::kError, "report.not_sealed", sealed.error());
  PutIntoOutbox(*outbox_, parts_.loop, alive_, std::make_shared<const SealedUpload>(std::move(*sealed)),
                [this](const Status& status) {
                  if (status) return courier_->Nudge();
                  reports_.SayAgain();
                  LogFailure(LogLevel::kWarning, "report.refused", status.error());
                });
}

}  // namespace tributary
