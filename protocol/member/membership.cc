#include "protocol/member/membership.h"

#include <utility>

#include "protocol/base/log.h"

namespace tributary {
namespace {

// An adopted publication says that its making lies in the past. The floor is not raised beyond the end of the member's
// own certificate: whoever stole a key that signs publications must not make a whole fleet believe that it has expired.
// The first fact of a new member is the beginning of that certificate.
void LearnTime(TimeFloor& time, const Identity& self, const Publication& adopted) {
  const auto own = self.anchor.Verify(self.chain, time.Now());
  if (!own || adopted.created >= own->not_after) return;
  if (time.floor() == WallTime{}) (void)time.Raise(own->not_before);
  if (const Status raised = time.Raise(adopted.created); !raised)
    LogFailure(LogLevel::kWarning, "time_floor.not_kept", raised.error());
}

}  // namespace

Result<std::unique_ptr<Membership>> Membership::Open(const Parts& parts, Options options) {
  RETURN_IF_ERROR(parts.files.CreateFolders(options.publication_folder));
  ASSIGN_OR_RETURN(
      auto publications,
      PublicationStore::Open(parts.files, options.publication_folder / "publication.bin", parts.identity.anchor));
  ASSIGN_OR_RETURN(auto blobs, BlobStore::Open(parts.files, options.publication_folder / "blobs"));
  return std::unique_ptr<Membership>(
      new Membership(parts, std::move(options), std::move(publications), std::move(blobs)));
}

Membership::Membership(const Parts& parts, Options options, PublicationStore publications, BlobStore blobs)
    : parts_(parts),
      publications_(std::move(publications)),
      blobs_(std::move(blobs)),
      server_keys_(ServerKeys::Load(parts.files, options.server_keys_file, options.hop.server_key)),
      client_({parts.loop, parts.clock, parts.random, parts.identity}, ClientOptions(std::move(options.hop)),
              ClientHooks()),
      down_budget_(parts.clock, options.down_bytes_per_second),
      fetcher_(client_, parts.loop, parts.random, blobs_, parts.disk, &down_budget_),
      subscriber_(fetcher_, publications_, blobs_, parts.clock,
                  {.on_adopted = [this](const Publication& publication) { OnAdopted(publication); },
                   .on_mended = [this](const Digest& blob) { hooks_.on_mended(blob); }},
                  parts.identity.subject.role == Role::kGateway) {
  client_.AddPart(*this);
  if (options.identity_folder.empty()) return;
  certificate_ = std::make_unique<CertificateKeeper>(
      CertificateKeeper::Parts{parts.loop, parts.clock, parts.files, parts.identity, client_}, options.identity_folder,
      [this] { return Target(); });
}

HopClient::Options Membership::ClientOptions(HopClient::Options options) const {
  options.server_keys = server_keys_.learned();
  return options;
}

HopClient::Hooks Membership::ClientHooks() {
  return {.describe_self =
              [this] {
                subscriber_.MendMissing();
                return hooks_.describe_self();
              },
          .on_publication = [this](ByteView bytes) { subscriber_.Consider(bytes); },
          .on_path = [this](const std::vector<DeviceId>& path) { hooks_.on_path(path); },
          .on_server_key = [this](const Bytes& key, const VerifiedIdentity& server) { OnServerKey(key, server); },
          .held_publication = [this] { return publications_.current_bytes(); }};
}

void Membership::Follow(Hooks hooks) {
  hooks_ = std::move(hooks);
  subscriber_.Start();
}

void Membership::StartRenewing() {
  if (certificate_) certificate_->Start();
}

void Membership::Stop() {
  if (certificate_) certificate_->Stop();
  client_.Stop();
}

Status Membership::Mending() const {
  const std::vector<BlobRef>& mending = subscriber_.mending();
  if (mending.empty()) return {};
  return Fail(Code::kDamagedBlob, "{} of the publication, the first {}, is missing or damaged and being fetched again",
              mending.size() == 1 ? "one file" : fmt::format("{} files", mending.size()),
              mending.front().digest.hex());
}

void Membership::Adopted() { OnAdopted(*publications_.current()); }

void Membership::OnAdopted(const Publication& publication) {
  LearnTime(parts_.clock, parts_.identity, publication);
  rejected_at_adoption_ = subscriber_.counts().rejected;
  hooks_.on_adopted(publication);
}

void Membership::OnServerKey(const Bytes& key, const VerifiedIdentity& server) {
  const Status kept = server_keys_.Learn(key);
  if (!kept) return LogFailure(LogLevel::kWarning, "server_key.not_kept", kept.error());
  LogInfo("server_key.learned", {{"server", server.subject.id.text()}});
}

const Error* Membership::RejectedSince() const {
  const Subscriber::Counts& counts = subscriber_.counts();
  const bool rejected = counts.last_rejection && counts.rejected > rejected_at_adoption_;
  return rejected ? &counts.last_rejection->error : nullptr;
}

std::optional<SealingTarget> Membership::Target() const {
  const auto& publication = publications_.current();
  if (!publication) return std::nullopt;
  return SealingTarget{publication->aead, publication->sealing_key};
}

hop::CheckIn Membership::DescribeSelf(const SpoolAccount& account) const {
  hop::CheckIn check_in;
  check_in.publication_number = publications_.number();
  check_in.root_version = publications_.root_version();
  if (publications_.current()) check_in.publication_digest = publications_.current_digest();
  check_in.spooled_uploads = account.Spooled();
  check_in.spooled_bytes = account.bytes;
  check_in.delivered_uploads = account.Delivered();
  check_in.clock_unix_millis = parts_.clock.Own().unix_millis;
  return check_in;
}

}  // namespace tributary
