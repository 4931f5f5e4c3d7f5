#include "tests/support/hostile_member.h"

#include <algorithm>
#include <limits>

#include "protocol/envelope/seal_upload.h"
#include "protocol/payload/evaluation.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/hop.capnp.h"
#include "tests/support/must.h"

namespace tributary {
namespace {

// Moves the cursor and clears the screen in every way that terminals know; lets text run backwards; is no UTF-8.
constexpr const char* kSequences[] = {"\x1b[2J\x1b[31m",
                                      "\xC2\x9B"
                                      "2J",
                                      "\xE2\x80\xAE"
                                      "desrever",
                                      "one\ntwo", "\xff\xfe"};

Bytes CheckInWith(const std::function<void(schema::CheckIn::Builder)>& fill) {
  return wire::EncodeFramed<schema::HopMessage>([&](schema::HopMessage::Builder to) { fill(to.initCheckIn()); });
}

EvaluationResult Weighing(double sum, double weight, uint64_t examples = 10) {
  return {EvaluatedModel::kPersonal, examples, 1, {{"loss", {sum, weight}}}};
}

}  // namespace

HostileMember::HostileMember(DeviceThread& thread, const Identity& identity, const Site::Address& server,
                             const Publication& publication)
    : thread_(thread), identity_(identity), server_(server), publication_(publication) {}

RawSession* HostileMember::Session() {
  if (!session_) {
    session_ = std::make_unique<RawSession>(thread_, identity_, server_);
    if (session_->Greet() != "welcome") session_.reset();
  }
  return session_.get();
}

std::string HostileMember::Deliver(ByteView envelope, const std::vector<Bytes>& chunks) {
  RawSession* const session = Session();
  if (session == nullptr) return "unreachable";
  std::string answer = session->Upload(envelope, chunks);
  if (answer == "silence" || answer.starts_with("closed")) session_.reset();
  return answer;
}

std::string HostileMember::Send(UploadKind kind, ByteView plaintext,
                                const std::function<void(UploadSubject&)>& change) {
  UploadSubject subject = SubjectFor(publication_, identity_);
  subject.kind = kind;
  subject.priority = kind == UploadKind::kUpdate ? Priority::kUpdate : Priority::kEvaluation;
  subject.codec = kind == UploadKind::kUpdate ? Codec::kFloat32Dense : Codec::kRecord;
  if (change) change(subject);
  const SealedUpload upload =
      Must(SealUpload(subject, plaintext, limits::kMinChunkBytes, {publication_.aead, publication_.sealing_key},
                      identity_.key, identity_.chain));
  return Deliver(upload.envelope, upload.chunks);
}

std::string HostileMember::Evaluate(const EvaluationResult& result) {
  const uint64_t latest = Number(publication_.tasks.at(0).latest);
  return Evaluate(ModelVersion{std::max<uint64_t>(latest, 2) - 1}, {result});
}

std::string HostileMember::Evaluate(ModelVersion version, const std::vector<EvaluationResult>& results) {
  return Send(UploadKind::kEvaluation, EncodeEvaluation(results),
              [version](UploadSubject& subject) { subject.base_version = version; });
}

std::string HostileMember::Update(uint64_t weight) {
  const PublishedTask& task = publication_.tasks.at(0);
  SyntheticUpdate update = UpdateOf(id(), task.latest, task.table.parameter_count());
  update.weight = weight;
  const SealedUpload upload = SealSynthetic(update, publication_, identity_, limits::kMinChunkBytes);
  return Deliver(upload.envelope, upload.chunks);
}

std::string HostileMember::Offer(const std::function<void(UploadHeader&)>& change) {
  const PublishedTask& task = publication_.tasks.at(0);
  SealedUpload upload = SealSynthetic(UpdateOf(id(), task.latest, task.table.parameter_count()), publication_,
                                      identity_, limits::kMinChunkBytes);
  change(upload.header);
  return Deliver(SignEnvelope(upload.header, identity_.key, identity_.chain), upload.chunks);
}

std::string HostileMember::Say(ByteView message) {
  RawSession* const session = Session();
  if (session == nullptr) return "unreachable";
  session->SendBytes(message);
  session->Send(hop::CheckIn{});
  // The second answer is the good one's, unless the first message ended the session.
  for (int answers = 0; answers < 2;) {
    const auto answer = session->Receive();
    if (!answer) {
      session_.reset();
      return "silence";
    }
    if (std::holds_alternative<hop::Assignment>(*answer)) ++answers;
    if (const auto* refused = std::get_if<hop::Refused>(&*answer)) {
      const std::string code(Name(refused->refusal.code));
      session_.reset();
      return code;
    }
  }
  return "answered";
}

std::string HostileMember::SayTrouble(const std::string& trouble, uint64_t count) {
  return Say(CheckInWith([&](schema::CheckIn::Builder to) {
    to.setSpooledUploads(count);
    to.setSpooledBytes(count);
    to.setDeliveredUploads(count);
    auto reports = to.initReports(1);
    reports[0].setGateway(wire::ToText(id().text()));
    reports[0].setTrouble(wire::ToText(trouble));
  }));
}

std::string HostileMember::SayHolding(uint64_t number, const Bytes& publication) {
  return Say(CheckInWith([&](schema::CheckIn::Builder to) {
    to.setRootVersion(number);
    to.setPublicationNumber(number);
    to.setPublication(wire::ToData(publication));
  }));
}

std::string HostileMember::SayClass(const std::string& device_class) {
  return Say(CheckInWith([&](schema::CheckIn::Builder to) { to.setDeviceClass(wire::ToText(device_class)); }));
}

bool HostileRow::IsAnsweredBy(const std::string& answer, bool by_gateway) const {
  return (by_gateway && answer == "custody") || std::ranges::find(answers, answer) != answers.end();
}

std::vector<HostileRow> HostileRows() {
  std::vector<HostileRow> rows = {
      {"an evaluation of 2^63 - 1 examples",
       [](HostileMember& member) { return member.Evaluate(Weighing(1, 1, std::numeric_limits<int64_t>::max())); },
       {"malformed"}},
      {"an evaluation of 2^64 - 1 examples",
       [](HostileMember& member) { return member.Evaluate(Weighing(1, 1, std::numeric_limits<uint64_t>::max())); },
       {"malformed"}},
      {"an evaluation of more examples than an update may have",
       [](HostileMember& member) { return member.Evaluate(Weighing(1, 1, 1'000'000)); },
       {"bad-weight"}},
      {"a metric without end",
       [](HostileMember& member) { return member.Evaluate(Weighing(1e300, 1)); },
       {"norm-exceeded"}},
      {"a metric of nothing", [](HostileMember& member) { return member.Evaluate(Weighing(1, -1)); }, {"malformed"}},
      {"a metric with a weight of 10^12",
       [](HostileMember& member) { return member.Evaluate(Weighing(1e12, 1e12)); },
       {"custody"}},
      {"an evaluation of a round that it was not in",
       [](HostileMember& member) { return member.Evaluate(Weighing(1e9, 1000)); },
       {"custody"}},
      {"the same once more",
       [](HostileMember& member) { return member.Evaluate(Weighing(1e9, 999)); },
       {"custody", "already"}},
      {"an update of version 2^64 - 1",
       [](HostileMember& member) {
         return member.Offer([](UploadHeader& header) {
           header.subject.base_version = ModelVersion{std::numeric_limits<uint64_t>::max()};
         });
       },
       {"malformed"}},
      {"an update with a weight of 2^64 - 1",
       [](HostileMember& member) { return member.Update(std::numeric_limits<uint64_t>::max()); },
       {"bad-weight", "round-closed", "stale-version"}},
      {"counts of 2^64 - 1 in a check-in",
       [](HostileMember& member) { return member.SayTrouble("", std::numeric_limits<uint64_t>::max()); },
       {"answered", "malformed"}},
      {"a publication number of 2^64 - 1 in a check-in",
       [](HostileMember& member) { return member.SayHolding(std::numeric_limits<uint64_t>::max(), {}); },
       {"answered"}},
      {"a publication that nobody signed, when it is asked for one",
       [](HostileMember& member) {
         (void)member.SayHolding(std::numeric_limits<uint64_t>::max(), {});
         return member.SayHolding(std::numeric_limits<uint64_t>::max(), Bytes(100'000, 7));
       },
       {"answered"}},
  };
  for (const char* sequence : kSequences) {
    rows.push_back({"a trouble that moves the cursor",
                    [sequence](HostileMember& member) { return member.SayTrouble(sequence); },
                    {"malformed"}});
    rows.push_back({"a device class that moves the cursor",
                    [sequence](HostileMember& member) { return member.SayClass(sequence); },
                    {"malformed"}});
    rows.push_back({"a metric's name that moves the cursor",
                    [sequence](HostileMember& member) {
                      EvaluationResult result = Weighing(1, 1);
                      result.metrics[sequence] = {1, 1};
                      return member.Evaluate(result);
                    },
                    {"malformed"}});
  }
  return rows;
}

}  // namespace tributary
