#include "aggregator/enrol/member_registrar.h"

#include <algorithm>
#include <cstdlib>

#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"
#include "protocol/trust/seal/digest.h"
#include "protocol/trust/seal/secret.h"

namespace tributary {
namespace {

// Long enough for an answer to find its way down by disks that are carried by hand.
constexpr Millis kKeptAfterEnd = std::chrono::hours(24 * 90);

// How long a clock must keep pace to be believed.
constexpr Millis kProbation = std::chrono::hours(24);
// A clock that is corrected little by little may be off by this much, in years.
constexpr Millis kJump = std::chrono::hours(1);

}  // namespace

Result<std::unique_ptr<MemberRegistrar>> MemberRegistrar::Open(const EnrolmentParts& parts) {
  std::unique_ptr<MemberRegistrar> registrar(new MemberRegistrar(parts));
  ASSIGN_OR_RETURN(registrar->store_, EnrolmentStore::Open(parts.folder / "enrolment.db"));
  if (!parts.issuer_dir.empty()) {
    ASSIGN_OR_RETURN(registrar->issuer_, MemberIssuer::Open(parts.issuer_dir, parts.anchor));
  }
  const MemberIssuer* const issuer = registrar->issuer_ ? &*registrar->issuer_ : nullptr;
  EnrolmentStore& store = *registrar->store_;
  ASSIGN_OR_RETURN(RevocationBook revocations,
                   RevocationBook::Open({parts.files, store.certificates, issuer, parts.anchor, parts.ca_revocations}));
  registrar->revocations_.emplace(std::move(revocations));
  ASSIGN_OR_RETURN(registrar->tokens_, store.tokens.All());
  ASSIGN_OR_RETURN(const auto revoked, store.members.InState(EnrolmentState::kRevoked));
  registrar->revoked_.insert(revoked.begin(), revoked.end());
  ASSIGN_OR_RETURN(registrar->counts_.members, store.members.CountByState());
  return registrar;
}

Result<const MemberIssuer*> MemberRegistrar::Issuer() const {
  if (issuer_) return &*issuer_;
  return Fail(Code::kNotSupported,
              "this aggregator issues no certificates: make an issuer with `tributary ca issuer` where the CA's key "
              "is, and name its folder in aggregator.issuer_dir");
}

Result<StoredCertificate> MemberRegistrar::Issue(StoredMember& stored) {
  ASSIGN_OR_RETURN(const MemberIssuer* issuer, Issuer());
  EnrolledMember& member = stored.member;
  const Subject subject{member.id, member.role, member.device_class, stored.curve_public_key};
  const WallTime now = parts_.clock.Now();
  ASSIGN_OR_RETURN(StoredCertificate certificate,
                   issuer->Issue(subject, member.public_key, now, parts_.options.certificate_lifetime));
  member.state = EnrolmentState::kActive;
  member.serial = certificate.serial;
  member.issued = now;
  member.not_after = certificate.not_after;
  return certificate;
}

Result<StoredMember> MemberRegistrar::Find(const DeviceId& id) {
  ASSIGN_OR_RETURN(auto found, store_->members.Find(id));
  if (!found) return Fail(Code::kNotFound, "no member {} has enrolled or was heard of", id.text());
  return std::move(*found);
}

Result<std::optional<StoredMember>> MemberRegistrar::FindByKey(ByteView public_key) {
  ASSIGN_OR_RETURN(auto present, store_->members.FindByKey(public_key));
  if (present) return present;
  ASSIGN_OR_RETURN(const auto owner, store_->certificates.OwnerOfKey(public_key));
  if (!owner) return std::nullopt;
  ASSIGN_OR_RETURN(auto had, store_->members.Find(*owner));
  if (!had) return Fail(Code::kRevokedCertificate, "this key was {}'s, who was revoked: make new ones", owner->text());
  return had;
}

const StoredToken* MemberRegistrar::FindToken(const SecretBytes& secret) const {
  const Digest hash = Sha256(secret.RevealForUse());
  const StoredToken* found = nullptr;
  for (const StoredToken& token : tokens_) {  // all of them, so that the duration does not tell which
    if (EqualInConstantTime(token.hash.view(), hash.view())) found = &token;
  }
  return found;
}

Status MemberRegistrar::AddToken(const StoredToken& token) {
  RETURN_IF_ERROR(Write([&] { return store_->tokens.Insert(token); }));
  TRIBUTARY_FAULT_POINT("aggregator.enrol.token_made");
  tokens_.push_back(token);
  return {};
}

Status MemberRegistrar::RemoveToken(const std::string& id) {
  const auto remove = [&]() -> Status {
    ASSIGN_OR_RETURN(const bool removed, store_->tokens.Remove(id));
    if (!removed) return Fail(Code::kNotFound, "there is no enrolment token of the id '{}'", id);
    return {};
  };
  RETURN_IF_ERROR(Write(remove));
  std::erase_if(tokens_, [&](const StoredToken& token) { return token.record.id == id; });
  return {};
}

Status MemberRegistrar::Write(const std::function<Status()>& writes) {
  auto written = [&]() -> Status {
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

Status MemberRegistrar::Save(const Change& change) {
  const auto writes = [&]() -> Status {
    if (change.token) RETURN_IF_ERROR(store_->tokens.CountUse(*change.token));
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
  for (StoredToken& token : tokens_) {
    if (token.record.id == change.token) ++token.record.used;
  }
  if (change.member == nullptr) return {};
  if (change.before) --counts_.members[*change.before];
  ++counts_.members[change.member->member.state];
  return {};
}

Status MemberRegistrar::ReviseList(const std::function<Status()>& writes) {
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

Status MemberRegistrar::SaveRevoked(const StoredMember& stored, std::optional<EnrolmentState> before) {
  const DeviceId& id = stored.member.id;
  const auto writes = [&]() -> Status {
    RETURN_IF_ERROR(store_->certificates.RevokeAllOf(id));
    return store_->members.Save(stored);
  };
  RETURN_IF_ERROR(ReviseList(writes));
  if (before) --counts_.members[*before];
  ++counts_.members[stored.member.state];
  if (stored.member.state == EnrolmentState::kRevoked) revoked_.insert(id);
  return {};
}

Status MemberRegistrar::TakeOver(const RevocationList::Issuer& newer) {
  ASSIGN_OR_RETURN(const auto listed, store_->certificates.Revoked(newer.public_key, WallTime{}));
  if (newer.number <= revocations_->number() && std::ranges::includes(listed, newer.serials)) return {};
  revocations_->GoAbove(newer.number);
  const WallTime now = parts_.clock.Now();
  return ReviseList([&]() -> Status {
    for (const std::string& serial : newer.serials) {
      // One that was issued after the backup is known by its serial alone.
      const StoredCertificate certificate{.issuer_public_key = newer.public_key,
                                          .serial = serial,
                                          .member = *DeviceId::Parse("issued-after-the-backup"),
                                          .chain = {},
                                          .public_key = {},
                                          .curve_public_key = {},
                                          .issued = now,
                                          .not_after = now + parts_.options.certificate_lifetime};
      RETURN_IF_ERROR(store_->certificates.Insert(certificate));
      RETURN_IF_ERROR(store_->certificates.Revoke(newer.public_key, serial));
    }
    return {};
  });
}

Status MemberRegistrar::Forget(const EnrolledMember& member) {
  RETURN_IF_ERROR(Write([&] { return store_->members.Remove(member.id); }));
  --counts_.members[member.state];
  revoked_.erase(member.id);
  return {};
}

void MemberRegistrar::Saw(const VerifiedIdentity& member) {
  if (member.subject.id == parts_.self) return;
  if (!heard_.insert(std::string(AsText(member.issuer_public_key)) + member.serial).second) return;
  unsaved_.push_back(member);
}

Status MemberRegistrar::SaveHeard() {
  std::vector<VerifiedIdentity> fresh;
  for (const VerifiedIdentity& one : unsaved_) {
    ASSIGN_OR_RETURN(const auto known, store_->certificates.Find(one.issuer_public_key, one.serial));
    if (!known) fresh.push_back(one);
  }
  const auto writes = [&]() -> Status {
    for (const VerifiedIdentity& one : fresh) RETURN_IF_ERROR(WriteHeard(one));
    return {};
  };
  const bool of_revoked =
      std::ranges::any_of(fresh, [&](const auto& one) { return revoked_.contains(one.subject.id); });
  // The table and the list change at once: nobody would look for a difference later.
  Status saved = of_revoked && issuer_ ? ReviseList(writes) : fresh.empty() ? Status() : Write(writes);
  if (!saved && saved.error().code == Code::kTooLarge) {
    LogFailure(LogLevel::kError, "enrolment.list_full", saved.error());
    saved = Write(writes);
  }
  RETURN_IF_ERROR(saved);
  unsaved_.clear();
  if (fresh.empty()) return {};
  ASSIGN_OR_RETURN(counts_.members, store_->members.CountByState());
  return {};
}

Status MemberRegistrar::WriteHeard(const VerifiedIdentity& heard) {
  ASSIGN_OR_RETURN(auto found, store_->members.Find(heard.subject.id));
  const WallTime now = parts_.clock.Now();
  StoredCertificate certificate{heard.issuer_public_key,        heard.serial, heard.subject.id, {}, heard.public_key,
                                heard.subject.curve_public_key, now,          heard.not_after};
  // Somebody who was revoked may have another certificate, which nobody knew of then.
  certificate.revoked = revoked_.contains(heard.subject.id);
  RETURN_IF_ERROR(store_->certificates.Insert(certificate));
  const bool named = found && !found->member.public_key.empty();  // else only its name was known, and revoked
  if (named && found->member.state != EnrolmentState::kActive) return {};
  StoredMember stored = found.value_or(StoredMember());
  EnrolledMember& member = stored.member;
  if (!found) member.requested = member.issued = now;
  member.id = heard.subject.id;
  if (!found) member.state = EnrolmentState::kActive;
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

Status MemberRegistrar::Standing(const DeviceId& id) const {
  if (!revoked_.contains(id)) return {};
  return Fail(Code::kRevokedCertificate, "{} was revoked", id.text());
}

void MemberRegistrar::Tell(std::string_view name, const EnrolledMember& member) const {
  parts_.happened({std::string(name), parts_.clock.Now(), member.id, member.role, member.device_class});
}

void MemberRegistrar::CouldNotRead(const Error& error) {
  if (!health_.in_trouble()) health_.Failed("enrolment.not_read", error);
}

bool MemberRegistrar::DiskWorks() {
  if (!health_.in_trouble()) return true;
  if (!health_.MayTry()) return false;
  return Write([this] { return store_->Probe(parts_.clock.Now()); }).has_value();
}

Status MemberRegistrar::Tidy() {
  const WallTime now = parts_.clock.Now();
  ASSIGN_OR_RETURN(const bool another, revocations_->ReadCaFile());
  if (another) {
    LogInfo("enrolment.ca_revocations", {{"file", parts_.ca_revocations.string()}});
    parts_.revocations_changed();
  }
  if (revocations_->RenewalDue(now)) RETURN_IF_ERROR(ReviseList([]() -> Status { return {}; }));
  if (!steady_.IsSteady()) return {};
  return Write([&]() -> Status {
    RETURN_IF_ERROR(store_->certificates.ForgetBefore(now + -kKeptAfterEnd));
    return store_->members.ForgetRequestsBefore(now + -(parts_.options.certificate_lifetime + kKeptAfterEnd));
  });
}

void SteadyClock::Restart() {
  wall_ = clock_.Now();
  monotonic_ = clock_.Monotonic();
}

bool SteadyClock::IsSteady() {
  const Millis passed = clock_.Monotonic() - monotonic_;
  const int64_t drift = clock_.Now().unix_millis - wall_.unix_millis - passed.count();
  if (std::abs(drift) > kJump.count()) Restart();
  return clock_.Monotonic() - monotonic_ >= kProbation;
}

}  // namespace tributary
