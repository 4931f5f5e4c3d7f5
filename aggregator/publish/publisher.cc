#include "aggregator/publish/publisher.h"

#include <algorithm>
#include <utility>

#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/catalogue/publication_store.h"

namespace tributary {
namespace {

constexpr std::string_view kCounter = "publication";
// Somebody who has just signed a root is looking at the log.
constexpr Millis kLookInterval{5'000};
// People need time to come together for a signature, and are told once a day.
constexpr Millis kOfflineNotice = std::chrono::hours(24 * 30);
constexpr Millis kWarnInterval = std::chrono::hours(24);

// The publisher's own file, read back.
struct KeptPublication {
  uint64_t number = 0;
  uint64_t root_version = 0;
  WallTime expires;      // of what is signed online
  bool current = false;  // with the repository's newest offline metadata and online keys
  PublicationExtras extras;
};

// Whether the set says what would be signed offline now.
bool IsOf(const PublicationSet& set, const OfflineMetadata& offline) {
  const auto releases = std::ranges::find(set.delegated, kReleasesRole, &PublicationSet::Delegated::name);
  return std::ranges::equal(set.roots, RootsThatTravel(offline)) && set.targets == offline.targets &&
         releases != set.delegated.end() && releases->bytes == offline.releases;
}

// Checks every byte of it as a member would that trusts its last root, but for the dates and for who signed the
// revocation list. kMalformed, kMixedPublication, kDigestMismatch, kBadSignature: damaged, or not ours.
Result<KeptPublication> ReadKept(ByteView bytes, const PublicationFolder& repository) {
  ASSIGN_OR_RETURN(const PublicationSet set, DecodePublicationSet(bytes));
  if (set.roots.empty()) return Fail(Code::kMalformed, "there is no root");
  // Its own last root needs no other to be believed: that file was written here.
  ASSIGN_OR_RETURN(auto trusted, tuf::TrustedMetadata::Begin(
                                     {.root = set.roots.back(), .timestamp = {}, .snapshot = {}}, tuf::kAnyTime));
  ASSIGN_OR_RETURN(Publication publication, VerifySet(set, trusted));
  KeptPublication kept;
  kept.number = publication.number;
  kept.root_version = publication.root_version;
  kept.expires = trusted.timestamp().expires;
  kept.current = IsOf(set, repository.offline());
  kept.extras = {std::move(publication.sealing_key), std::move(publication.former_keys),
                 std::move(publication.revocations)};
  return kept;
}

}  // namespace

Result<Publisher> Publisher::Open(const Parts& parts) {
  Publisher publisher(parts);
  ASSIGN_OR_RETURN(publisher.number_, parts.counters.Counter(kCounter));
  ASSIGN_OR_RETURN(const uint64_t floor, parts.counters.Counter(kFloorCounter));
  publisher.number_ = std::max(publisher.number_, floor);
  publisher.reserved_ = publisher.number_;
  publisher.looked_ = parts.clock.Monotonic();
  auto bytes = ReadFile(parts.files, parts.file, limits::kPublicationBytes);
  if (!bytes) {
    if (bytes.error().code != Code::kNotFound) return Fail(bytes.error());
    return publisher;
  }
  auto kept = ReadKept(*bytes, parts.repository);
  if (!kept) {
    LogFailure(LogLevel::kWarning, "publication.signed_anew", kept.error(), {{"file", parts.file.string()}});
    return publisher;
  }
  if (kept->root_version > parts.repository.root_version()) {
    return Fail(Code::kRollback,
                "the last publication was made with root {}, the publication folder has only root {}; members would "
                "refuse what is signed with it. Put the newer root back into the folder",
                kept->root_version, parts.repository.root_version());
  }
  publisher.owed_ = kept->number < publisher.number_ || !kept->current || kept->expires <= parts.clock.Now() ||
                    kept->extras != parts.extras();
  publisher.number_ = std::max(kept->number, floor);
  publisher.root_version_ = kept->root_version;
  publisher.expires_ = kept->expires;
  publisher.extras_ = std::move(kept->extras);
  publisher.bytes_ = std::move(*bytes);
  return publisher;
}

Result<Publication> Publisher::ReadOwn(ByteView bytes) const {
  ASSIGN_OR_RETURN(const PublicationSet set, DecodePublicationSet(bytes));
  ASSIGN_OR_RETURN(auto trusted,
                   tuf::TrustedMetadata::Begin(
                       {.root = parts_.repository.offline().roots.back(), .timestamp = {}, .snapshot = {}}, tuf::kAnyTime));
  return VerifySet(set, trusted);
}

bool Publisher::IsBehind(const Publication& held, ByteView bytes) const {
  const auto held_version = std::pair(held.root_version, held.number);
  const auto own = std::pair(root_version_, number_);
  return held_version > own || (held_version == own && !bytes_.empty() && !std::ranges::equal(bytes, bytes_));
}

void Publisher::GoAbove(uint64_t number) {
  number_ = std::max(number_, number);
  reserved_ = std::max(reserved_, number_);
  owed_ = true;
}

Status Publisher::SaveNextNumber() { return parts_.counters.SaveCounter(kCounter, number_ + 1); }

bool Publisher::RenewalDue() const { return parts_.clock.Now() + parts_.lifetime / 3 >= expires_; }

void Publisher::Watch() {
  if (owed_) return;
  if (parts_.extras() != extras_) owed_ = true;
  const Millis now = parts_.clock.Monotonic();
  if (now - looked_ < kLookInterval) return;
  looked_ = now;
  if (const auto newer = parts_.repository.Refresh(); !newer) {
    LogFailure(LogLevel::kWarning, "publication.folder_unreadable", newer.error());
  } else if (*newer) {
    owed_ = true;
  }
  const PublicationFolder::End& end = parts_.repository.first_end();
  if (parts_.clock.Now() + kOfflineNotice < end.at || parts_.clock.Now() < warned_ + kWarnInterval) return;
  warned_ = parts_.clock.Now();
  LogWarning("publication.offline_role_ends",
             {{"role", end.role},
              {"days_left", (end.at.unix_millis - warned_.unix_millis) / kWarnInterval.count()},
              {"remedy", "tributary root rotate (root) or renew (targets, releases)"}});
}

Result<Bytes> Publisher::Sign(std::vector<PublishedTask> tasks, const PublicationExtras& extras) const {
  const uint64_t number = number_ + 1;
  const WallTime now = parts_.clock.Now();
  const WallTime expires = WholeSeconds(now + parts_.lifetime);
  const Publication publication = {.number = number,
                                   .created = now,
                                   .expires = expires,
                                   .aead = kDefaultAead,
                                   .sealing_key = extras.sealing_key,
                                   .former_keys = extras.former_keys,
                                   .revocations = extras.revocations,
                                   .tasks = std::move(tasks)};
  ASSIGN_OR_RETURN(const PublicationSet set,
                   MakePublicationSet(parts_.repository.offline(), parts_.repository.signers(), publication,
                                      {.snapshot = number, .timestamp = number, .rounds = number},
                                      {.snapshot = expires, .timestamp = expires, .rounds = expires}));
  return EncodePublicationSet(set);
}

Status Publisher::CheckFits(std::vector<PublishedTask> tasks) const {
  ASSIGN_OR_RETURN(const Bytes bytes, Sign(std::move(tasks), parts_.extras()));
  if (bytes.size() <= limits::kPublicationBytes) return {};
  return Fail(Code::kInvalidArgument,
              "the publication of all tasks would have {} bytes, the limit is {}; use fewer tensors or shorter names",
              bytes.size(), limits::kPublicationBytes);
}

Status Publisher::Issue(std::vector<PublishedTask> tasks) {
  RETURN_IF_ERROR(MaySign());
  PublicationExtras extras = parts_.extras();
  const WallTime expires = WholeSeconds(parts_.clock.Now() + parts_.lifetime);
  ASSIGN_OR_RETURN(Bytes bytes, Sign(std::move(tasks), extras));
  if (reserved_ <= number_) RETURN_IF_ERROR(SaveNextNumber());
  TRIBUTARY_FAULT_POINT("aggregator.publication.number_saved");
  RETURN_IF_ERROR(WriteFileAtomically(parts_.files, parts_.file, bytes));
  TRIBUTARY_FAULT_POINT("aggregator.publication.written");
  bytes_ = std::move(bytes);
  ++number_;
  root_version_ = parts_.repository.root_version();
  expires_ = expires;
  extras_ = std::move(extras);
  owed_ = false;
  return {};
}

}  // namespace tributary
