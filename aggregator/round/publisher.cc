#include "aggregator/round/publisher.h"

#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr std::string_view kCounter = "publication";

}  // namespace

Result<Publisher> Publisher::Open(const Parts& parts) {
  Publisher publisher(parts);
  ASSIGN_OR_RETURN(publisher.number_, parts.counters.Counter(kCounter));
  publisher.reserved_ = publisher.number_;
  auto bytes = ReadFile(parts.files, parts.file, limits::kPublicationBytes);
  if (!bytes) {
    if (bytes.error().code != Code::kNotFound) return Fail(bytes.error());
    return publisher;
  }
  const auto kept = OpenPublication(*bytes, parts.identity.anchor, parts.clock.Now());
  if (!kept) {
    LogFailure(LogLevel::kWarning, "publication.signed_anew", kept.error(), {{"file", parts.file.string()}});
    return publisher;
  }
  publisher.owed_ = kept->number < publisher.number_ || kept->sealing_key != parts.sealing_key;
  publisher.number_ = kept->number;
  publisher.expires_ = kept->expires;
  publisher.bytes_ = std::move(*bytes);
  return publisher;
}

Status Publisher::SaveNextNumber() { return parts_.counters.SaveCounter(kCounter, number_ + 1); }

bool Publisher::RenewalDue() const { return parts_.clock.Now() + parts_.lifetime / 3 >= expires_; }

Publication Publisher::Make(std::vector<PublishedTask> tasks) const {
  const WallTime now = parts_.clock.Now();
  return {.number = number_ + 1,
          .created = now,
          .expires = now + parts_.lifetime,
          .aead = kDefaultAead,
          .sealing_key = parts_.sealing_key,
          .tasks = std::move(tasks)};
}

Status Publisher::CheckFits(std::vector<PublishedTask> tasks) const {
  const Bytes bytes = SignPublication(Make(std::move(tasks)), parts_.identity.key, parts_.identity.chain);
  if (bytes.size() <= limits::kPublicationBytes) return {};
  return Fail(Code::kInvalidArgument, "the publication of all tasks would have " + std::to_string(bytes.size()) +
                                          " bytes, the limit is " + std::to_string(limits::kPublicationBytes) +
                                          "; use fewer tensors or shorter names");
}

Status Publisher::Issue(std::vector<PublishedTask> tasks) {
  const Publication publication = Make(std::move(tasks));
  Bytes bytes = SignPublication(publication, parts_.identity.key, parts_.identity.chain);
  if (reserved_ <= number_) RETURN_IF_ERROR(SaveNextNumber());
  TRIBUTARY_FAULT_POINT("aggregator.publication.number_saved");
  RETURN_IF_ERROR(WriteFileAtomically(parts_.files, parts_.file, bytes));
  TRIBUTARY_FAULT_POINT("aggregator.publication.written");
  bytes_ = std::move(bytes);
  number_ = publication.number;
  expires_ = publication.expires;
  owed_ = false;
  return {};
}

}  // namespace tributary
