#include "aggregator/enrol/durable_enrolment.h"

#include <algorithm>

#include "aggregator/records/blame.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr Millis kDay = std::chrono::hours(24);
constexpr Millis kTidyInterval = std::chrono::minutes(1);
constexpr Millis kWarnInterval = kDay;
// Long enough for an answer to find its way down by disks that are carried by hand.
constexpr Millis kKeptAfterEnd = std::chrono::hours(24 * 90);

}  // namespace

Result<std::unique_ptr<DurableEnrolment>> DurableEnrolment::Open(const Parts& parts) {
  ASSIGN_OR_RETURN(auto store, EnrolmentStore::Open(parts.folder / "enrolment.db"));
  std::optional<MemberIssuer> issuer;
  if (!parts.issuer_dir.empty()) {
    ASSIGN_OR_RETURN(issuer, MemberIssuer::Open(parts.issuer_dir, parts.anchor));
  }
  std::unique_ptr<DurableEnrolment> enrolment(new DurableEnrolment(parts, std::move(store), std::move(issuer)));
  const MemberIssuer* const signer = enrolment->issuer_ ? &*enrolment->issuer_ : nullptr;
  ASSIGN_OR_RETURN(RevocationBook revocations, RevocationBook::Open({parts.files, enrolment->store_->certificates,
                                                                     signer, parts.anchor, parts.ca_revocations}));
  enrolment->revocations_.emplace(std::move(revocations));
  ASSIGN_OR_RETURN(enrolment->tokens_, enrolment->store_->tokens.All());
  ASSIGN_OR_RETURN(const auto revoked, enrolment->store_->members.InState(EnrolmentState::kRevoked));
  enrolment->revoked_.insert(revoked.begin(), revoked.end());
  ASSIGN_OR_RETURN(enrolment->counts_.members, enrolment->store_->members.CountByState());
  return enrolment;
}

DurableEnrolment::DurableEnrolment(const Parts& parts, std::unique_ptr<EnrolmentStore> store,
                                   std::optional<MemberIssuer> issuer)
    : parts_(parts),
      store_(std::move(store)),
      issuer_(std::move(issuer)),
      rate_(parts.options.decisions_per_second, parts.options.burst),
      steady_(parts.clock),
      health_(parts.clock) {}

Status DurableEnrolment::CheckIssuer() const {
  if (issuer_) return {};
  return Fail(Code::kNotSupported,
              "this aggregator issues no certificates: make an issuer with `tributary ca issuer` where the CA's key "
              "is, and name its folder in aggregator.issuer_dir");
}

Result<StoredMember> DurableEnrolment::FindStored(const DeviceId& id) {
  RETURN_IF_ERROR(SaveHeard());
  return FindSaved(id);
}

Result<StoredMember> DurableEnrolment::FindSaved(const DeviceId& id) {
  ASSIGN_OR_RETURN(auto found, store_->members.Find(id));
  if (!found) return Fail(Code::kNotFound, "no member " + id.text() + " has enrolled or was heard of");
  return std::move(*found);
}

Status DurableEnrolment::Standing(const DeviceId& id) const {
  if (!revoked_.contains(id)) return {};
  return Fail(Code::kRevokedCertificate, id.text() + " was revoked");
}

Result<std::vector<EnrolledMember>> DurableEnrolment::EnrolledMembers() {
  (void)SaveHeard();  // whoever looks is shown what is there, whatever the disk says
  ASSIGN_OR_RETURN(auto stored, store_->members.All());
  std::vector<EnrolledMember> members;
  for (StoredMember& one : stored) members.push_back(std::move(one.member));
  return members;
}

Result<EnrolledMember> DurableEnrolment::Find(const DeviceId& id) {
  (void)SaveHeard();
  ASSIGN_OR_RETURN(StoredMember found, FindSaved(id));
  return std::move(found.member);
}

Result<StoredCertificate> DurableEnrolment::Issue(StoredMember& stored) {
  EnrolledMember& member = stored.member;
  const Subject subject{member.id, member.role, member.device_class, stored.curve_public_key};
  const WallTime now = parts_.clock.Now();
  ASSIGN_OR_RETURN(StoredCertificate certificate,
                   issuer_->Issue(subject, member.public_key, now, parts_.options.certificate_lifetime));
  member.state = EnrolmentState::kActive;
  member.serial = certificate.serial;
  member.issued = now;
  member.not_after = certificate.not_after;
  return certificate;
}

Status DurableEnrolment::Write(const std::function<Status()>& writes) {
  const auto written = [&]() -> Status {
    ASSIGN_OR_RETURN(Transaction transaction, store_->Begin());
    RETURN_IF_ERROR(writes());
    return transaction.Commit();
  }();
  if (written) {
    health_.Recovered();
  } else if (IsOfTheEnvironment(written.error().code)) {
    health_.Failed("enrolment.not_saved", written.error());
  }
  return written;
}

Status DurableEnrolment::Save(const Change& change) {
  const auto writes = [&]() -> Status {
    if (change.token != nullptr) RETURN_IF_ERROR(store_->tokens.CountUse(change.token->record.id));
    if (change.member != nullptr) RETURN_IF_ERROR(store_->members.Save(*change.member));
    if (change.certificate != nullptr) {
      RETURN_IF_ERROR(store_->certificates.Insert(*change.certificate));
      RETURN_IF_ERROR(store_->members.AnswerRequests(change.certificate->member, change.certificate->serial));
    }
    if (change.request) RETURN_IF_ERROR(store_->members.InsertRequest(*change.request));
    TRIBUTARY_FAULT_POINT("aggregator.enrol.before_commit");
    return {};
  };
  RETURN_IF_ERROR(Write(writes));
  TRIBUTARY_FAULT_POINT("aggregator.enrol.committed");
  if (change.member != nullptr) CountState(change.before, change.member->member.state);
  return {};
}

void DurableEnrolment::CountState(std::optional<EnrolmentState> before, EnrolmentState now) {
  if (before) --counts_.members[*before];
  ++counts_.members[now];
}

void DurableEnrolment::Tell(std::string_view what, const EnrolledMember& member) const {
  parts_.happened({std::string(what), parts_.clock.Now(), member.id, member.role, member.device_class});
}

Status DurableEnrolment::ReviseList(const std::function<Status()>& writes) {
  RevocationBook::Revision revision;
  const auto with_list = [&]() -> Status {
    RETURN_IF_ERROR(writes());
    ASSIGN_OR_RETURN(revision, revocations_->Next(parts_.clock.Now(), steady_.IsSteady()));
    TRIBUTARY_FAULT_POINT("aggregator.enrol.list_before_commit");
    return {};
  };
  RETURN_IF_ERROR(Write(with_list));
  TRIBUTARY_FAULT_POINT("aggregator.enrol.list_committed");
  revocations_->Adopt(std::move(revision));
  parts_.revocations_changed();
  return {};
}

// Only remembered here: twenty thousand members that come at once must not wait for as many syncs.
void DurableEnrolment::Saw(const VerifiedIdentity& member) {
  if (member.subject.id == parts_.self) return;
  if (!heard_.insert(std::string(AsText(member.issuer_public_key)) + member.serial).second) return;
  unsaved_.push_back(member);
}

Status DurableEnrolment::SaveHeard() {
  std::vector<VerifiedIdentity> fresh;
  for (const VerifiedIdentity& heard : unsaved_) {
    ASSIGN_OR_RETURN(const auto known, store_->certificates.Find(heard.issuer_public_key, heard.serial));
    if (!known) fresh.push_back(heard);
  }
  const auto writes = [&]() -> Status {
    for (const VerifiedIdentity& heard : fresh) RETURN_IF_ERROR(SaveHeard(heard));
    return {};
  };
  const bool of_revoked =
      std::ranges::any_of(fresh, [&](const auto& heard) { return revoked_.contains(heard.subject.id); });
  if (!fresh.empty()) {
    // Noting that it is revoked and saying so are one: nobody would look for the difference later.
    Status saved = of_revoked && issuer_ ? ReviseList(writes) : Write(writes);
    if (!saved && saved.error().code == Code::kTooLarge) {
      LogFailure(LogLevel::kError, "enrolment.list_full", saved.error());
      saved = Write(writes);
    }
    RETURN_IF_ERROR(saved);
  }
  unsaved_.clear();
  if (fresh.empty()) return {};
  ASSIGN_OR_RETURN(counts_.members, store_->members.CountByState());
  return {};
}

Status DurableEnrolment::SaveHeard(const VerifiedIdentity& heard) {
  ASSIGN_OR_RETURN(auto found, store_->members.Find(heard.subject.id));
  const WallTime now = parts_.clock.Now();
  StoredCertificate certificate{heard.issuer_public_key,        heard.serial, heard.subject.id, {}, heard.public_key,
                                heard.subject.curve_public_key, now,          heard.not_after};
  // Another certificate of somebody who was revoked, which nobody knew of then.
  certificate.revoked = revoked_.contains(heard.subject.id);
  RETURN_IF_ERROR(store_->certificates.Insert(certificate));
  if (found && found->member.state != EnrolmentState::kActive) return {};
  StoredMember stored = found.value_or(StoredMember());
  EnrolledMember& member = stored.member;
  if (!found) member.requested = member.issued = now;
  member.id = heard.subject.id;
  member.state = EnrolmentState::kActive;
  if (!found || heard.not_after > member.not_after) {
    member.role = heard.subject.role;
    member.device_class = heard.subject.device_class;
    member.public_key = heard.public_key;
    member.serial = heard.serial;
    member.not_after = heard.not_after;
    stored.curve_public_key = heard.subject.curve_public_key;
  }
  return store_->members.Save(stored);
}

// Something is written for its own sake: otherwise the trouble would last until the next applicant comes.
bool DurableEnrolment::DiskWorksAgain() {
  if (!health_.in_trouble()) return true;
  if (!health_.MayTry()) return false;
  return Write([this] { return store_->Probe(parts_.clock.Now()); }).has_value();
}

void DurableEnrolment::Tick() {
  if (!DiskWorksAgain() || !SaveHeard()) return;
  const Millis now = parts_.clock.Monotonic();
  if (now - last_tidied_ < kTidyInterval) return;
  last_tidied_ = now;
  if (auto tidied = Tidy(); !tidied) LogFailure(LogLevel::kWarning, "enrolment.not_tidied", tidied.error());
}

Result<std::vector<Bytes>> DurableEnrolment::RenewOwn(const Subject& own, ByteView public_key) const {
  RETURN_IF_ERROR(CheckIssuer());
  TRIBUTARY_CHECK(own.id == parts_.self) << "a certificate for " << own.id.text() << " without a request";
  ASSIGN_OR_RETURN(StoredCertificate certificate,
                   issuer_->Issue(own, public_key, parts_.clock.Now(), parts_.options.certificate_lifetime));
  return std::move(certificate.chain);
}

std::optional<WallTime> DurableEnrolment::IssuerEnds() const {
  return issuer_ ? std::optional(issuer_->ends()) : std::nullopt;
}

// Members renew by themselves, but never beyond their issuer's end: that one is an operator's to replace.
void DurableEnrolment::WarnOfIssuersEnd(WallTime now) {
  if (!issuer_ || now < warned_of_end_ + kWarnInterval) return;
  const WallTime ends = issuer_->ends();
  if (ends > now + parts_.options.certificate_lifetime / 3) return;
  warned_of_end_ = now;
  LogWarning("issuer.ends",
             {{"days", (ends.unix_millis - now.unix_millis) / kDay.count()},
              {"remedy",
               "Every member's certificate ends with it. Make another where the CA's key is (tributary ca issuer), "
               "name its folder in aggregator.issuer_dir and restart: members renew with it by themselves."}});
}

Status DurableEnrolment::Tidy() {
  const WallTime now = parts_.clock.Now();
  WarnOfIssuersEnd(now);
  ASSIGN_OR_RETURN(const bool another, revocations_->ReadCaFile());
  if (another) {
    LogInfo("enrolment.ca_revocations", {{"file", parts_.ca_revocations.string()}});
    parts_.revocations_changed();
  }
  const bool steady = steady_.IsSteady();
  if (revocations_->RenewalDue(now)) RETURN_IF_ERROR(ReviseList([]() -> Status { return {}; }));
  if (!steady) return {};
  return Write([&]() -> Status {
    RETURN_IF_ERROR(store_->certificates.ForgetBefore(now + -kKeptAfterEnd));
    return store_->members.ForgetRequestsBefore(now + -(parts_.options.certificate_lifetime + kKeptAfterEnd));
  });
}

}  // namespace tributary
