#include "aggregator/round/core.h"

#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/catalogue/version_manifest.h"

namespace tributary {
namespace {

// A crash may forget so much: counters of refusals and members' last second.
constexpr Millis kBookInterval{1000};

// With the defaults in place of what was left out.
Core::Parts Complete(Core::Parts parts) {
  const HpkeKeyPair& key = parts.sealing_key;
  if (!parts.extras) parts.extras = [&key] { return PublicationExtras{.sealing_key = key.public_key}; };
  if (!parts.opening_key) {
    parts.opening_key = [&key, own = HpkeKeyId(key.public_key)](const KeyId& id) { return id == own ? &key : nullptr; };
  }
  if (!parts.restored) parts.restored = [](const Publication&) {};
  if (!parts.may_sign) parts.may_sign = [] { return Status(); };
  return parts;
}

}  // namespace

Result<std::unique_ptr<Core>> Core::Open(const Parts& given, Listener& listener) {
  const Parts parts = Complete(given);
  RETURN_IF_ERROR(parts.files.CreateFolders(parts.folder / "checkpoints"));
  ASSIGN_OR_RETURN(auto store, Store::Open(parts.folder / "aggregator.db"));
  ASSIGN_OR_RETURN(auto blobs, BlobStore::Open(parts.files, parts.folder / "blobs"));
  ASSIGN_OR_RETURN(auto publisher, Publisher::Open({.file = parts.folder / "publication.bin",
                                                    .files = parts.files,
                                                    .clock = parts.clock,
                                                    .repository = parts.repository,
                                                    .extras = parts.extras,
                                                    .lifetime = parts.publication_lifetime,
                                                    .counters = store->accounts,
                                                    .may_sign = parts.may_sign}));
  std::unique_ptr<Core> core(new Core(parts, listener, std::move(store), std::move(blobs), std::move(publisher)));
  RETURN_IF_ERROR(core->OpenParts());
  if (core->publisher_.owed() && core->publisher_.MaySign()) {
    // A disk that is full now may have room later; Tick tries again.
    if (auto issued = core->publisher_.Issue(core->rounds_->Published()); !issued)
      core->health_.Failed("publication.not_issued", issued.error());
  }
  return core;
}

Core::Core(const Parts& parts, Listener& listener, std::unique_ptr<Store> store, BlobStore blobs, Publisher publisher)
    : parts_(parts),
      listener_(listener),
      store_(std::move(store)),
      blobs_(std::move(blobs)),
      publisher_(std::move(publisher)),
      health_(parts.clock),
      events_(parts.clock, [this](const CoreEvent& event) { listener_.OnEvent(event); }),
      tasks_({*store_, blobs_, parts_.clock, events_, *this, parts_.retention,
              [this](const TaskId& task) { return rounds_->Bases(task); },
              [this](std::string_view text) { return SignManifest(text, parts_.repository.signers().rounds); }}) {}

Status Core::OpenParts() {
  ASSIGN_OR_RETURN(FleetBook fleet, FleetBook::Open({*store_, parts_.clock, events_, parts_.staged}));
  fleet_.emplace(std::move(fleet));
  const auto custody = [this](const std::vector<UploadId>& uploads) { listener_.OnCustody(uploads); };
  const RoundParts round_parts{*store_,
                               blobs_,
                               parts_.files,
                               parts_.clock,
                               parts_.folder / "checkpoints",
                               events_,
                               *this,
                               *fleet_,
                               parts_.enrolled,
                               reader_,
                               custody,
                               parts_.random != nullptr ? parts_.random : &system_random_,
                               parts_.folder / "privacy",
                               parts_.worker};
  rounds_.emplace(round_parts, tasks_);
  const TakerParts taker_parts{*store_, parts_.clock, health_, *fleet_, events_, parts_.opening_key, custody};
  updates_.emplace(taker_parts, *rounds_, blobs_, reader_);
  evaluations_.emplace(taker_parts, *rounds_);
  device_states_.emplace(taker_parts);
  takers_.emplace(fleet_->account(), Takers::Table{{UploadKind::kUpdate, &*updates_},
                                                   {UploadKind::kEvaluation, &*evaluations_},
                                                   {UploadKind::kDeviceState, &*device_states_}});
  RETURN_IF_ERROR(tasks_.Restore());
  return rounds_->Restore();
}

void Core::Announce() {
  publisher_.Owe();
  IssuePublication();
}

void Core::IssuePublication() {
  // No trouble of the disk: uploads are taken meanwhile. /readyz says why.
  if (!publisher_.MaySign()) return;
  if (auto issued = publisher_.Issue(rounds_->Published()); !issued) {
    return health_.Failed("publication.not_issued", issued.error());
  }
  behind_.reset();
  LogInfo("publication.issued",
          {{"number", publisher_.number()}, {"root", publisher_.root_version()}, {"bytes", publisher_.bytes().size()}});
  listener_.OnPublication(publisher_.bytes(), publisher_.number(), publisher_.root_version());
}

void Core::HearOfPublication(const Bytes& bytes, const DeviceId& from) {
  const auto held = publisher_.ReadOwn(bytes);
  if (!held) return LogFailure(LogLevel::kWarning, "publication.not_ours", held.error(), {{"shown_by", from.text()}});
  if (!publisher_.IsBehind(*held, bytes)) return;
  behind_ =
      Error{Code::kBehindMembers,
            fmt::format("{} holds publication {}, which this aggregator has signed and does not know; its own newest "
                        "is {}. It was restored from a backup, and goes on above that number",
                        from.text(), held->number, publisher_.number())};
  ++times_behind_;
  LogFailure(LogLevel::kError, "aggregator.behind_members", *behind_);
  events_.Say({.name = "aggregator.behind_members", .detail = behind_->message});
  if (held->root_version > parts_.repository.root_version()) {
    behind_->message += fmt::format(
        "; but it was signed under root {}, and the publication folder has only root {}: put "
        "the newer root back, before that members refuse what is signed",
        held->root_version, parts_.repository.root_version());
  }
  parts_.restored(*held);
  if (const Status risen = GoAbove(*held); !risen) health_.Failed("aggregator.not_above_members", risen.error());
}

Status Core::GoAbove(const Publication& held) {
  ASSIGN_OR_RETURN(Transaction transaction, store_->Begin());
  RETURN_IF_ERROR(publisher_.SaveFloor(held.number));
  RETURN_IF_ERROR(rounds_->SaveFloors(held.tasks));
  RETURN_IF_ERROR(transaction.Commit());
  publisher_.GoAbove(held.number);
  rounds_->Turn([&](const Error& error) { health_.Failed("round.not_turned", error); });
  if (publisher_.owed()) IssuePublication();
  return {};
}

void Core::Tick() {
  if (!health_.MayTry()) return;
  const bool was_in_trouble = health_.in_trouble();
  if (!WriteWhatIsDue() || !was_in_trouble) return;
  if (auto probed = ProbeDisk(); !probed) return health_.Failed("disk.still_in_trouble", probed.error());
  health_.Recovered();
}

bool Core::WriteWhatIsDue() {
  bool all = true;
  const auto failed = [&](std::string_view event, const Error& error) {
    all = false;
    health_.Failed(event, error);
  };
  rounds_->Turn([&](const Error& error) { failed("round.not_turned", error); });
  // No trouble of the disk: uploads are taken meanwhile, and what is not forgotten now is forgotten later.
  if (auto pruned = tasks_.PruneTurn(); !pruned) LogFailure(LogLevel::kWarning, "retention.not_pruned", pruned.error());
  publisher_.Watch();
  if (publisher_.owed() || publisher_.RenewalDue()) IssuePublication();
  const Millis now = parts_.clock.Monotonic();
  if (now - last_saved_ >= kBookInterval) {
    last_saved_ = now;
    if (auto saved = SaveBooks(); !saved) failed("books.not_saved", saved.error());
  }
  return all && (!publisher_.owed() || !publisher_.MaySign());
}

Status Core::ProbeDisk() {
  const Path file = parts_.folder / "disk_probe";
  RETURN_IF_ERROR(WriteFileAtomically(parts_.files, file, Bytes(4 * limits::kKiB)));
  RETURN_IF_ERROR(parts_.files.Remove(file));
  return store_->accounts.SaveCounter("disk_probe", static_cast<uint64_t>(parts_.clock.Now().unix_millis));
}

Status Core::SaveBooks() {
  if (!fleet_->dirty() && !rounds_->dirty()) return {};
  ASSIGN_OR_RETURN(Transaction transaction, store_->Begin());
  RETURN_IF_ERROR(fleet_->Save());
  RETURN_IF_ERROR(rounds_->Save());
  TRIBUTARY_FAULT_POINT("aggregator.books.before_commit");
  RETURN_IF_ERROR(transaction.Commit());
  TRIBUTARY_FAULT_POINT("aggregator.books.committed");
  fleet_->Saved();
  rounds_->Saved();
  return {};
}

Status Core::Flush() {
  RETURN_IF_ERROR(rounds_->Flush());
  return SaveBooks();
}

}  // namespace tributary
