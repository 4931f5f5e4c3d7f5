#include "gateway/desk/inbox.h"

#include <atomic>
#include <mutex>

#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/bundle/bundle_folder.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/bundle/receipt.h"

namespace tributary {
namespace {

// Files begun with at one look, so that a full folder does not hold the loop.
constexpr size_t kAtOnce = 16;

std::string Plural(uint64_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

Status MoveBlobs(FileSystem& files, const Path& folder, const Publication& publication, const BlobStore& blobs) {
  for (const BlobRef& blob : BlobsOf(publication)) {
    if (blobs.Has(blob.digest)) continue;
    const Status moved = files.Rename(folder / bundle::kBlobs / blob.digest.hex(), blobs.PathOf(blob.digest));
    if (!moved) return Fail(Code::kMissingData, moved.error().message);
    RETURN_IF_ERROR(files.SyncFolder(blobs.PathOf(blob.digest).parent_path()));
  }
  return {};
}

// Adopts the publication of `folder`, which was read and whose blobs were checked, so that this gateway serves it with
// no uplink. Moves the blobs. Answers whether it was newer. kRollback: an older one; kMissingData; the errors of
// PublicationStore::Take.
Result<bool> Adopt(Membership& membership, FileSystem& files, const Path& folder, const Publication& publication,
                   WallTime now) {
  PublicationStore& store = membership.publications();
  const auto& held = store.current();
  if (held && IsNewer(*held, publication)) {
    return Fail(Code::kRollback, "publication {} is older than {}, which is served here", publication.number,
                held->number);
  }
  if (held && !IsNewer(publication, *held)) return false;
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(files, folder / bundle::kPublication, limits::kPublicationBytes));
  RETURN_IF_ERROR(MoveBlobs(files, folder, publication, membership.blobs()));
  ASSIGN_OR_RETURN(const bool newer, store.TakeAndRetain(bytes, now, membership.blobs()));
  if (newer) membership.Adopted();
  return newer;
}

}  // namespace

// What the spool answered to the uploads of one receipt. The last answer finishes it.
struct Inbox::Custody {
  std::atomic<size_t> open = 0;
  std::atomic<uint64_t> freed = 0;
  std::mutex mutex;
  std::optional<Error> error;
};

Inbox::Inbox(const Parts& parts, Path folder) : parts_(parts), folder_(std::move(folder)) {
  // Answers that nobody waited for.
  const auto names = parts_.files.List(folder_);
  if (!names) return;
  for (const std::string& name : *names) {
    if (name.ends_with(".answer")) static_cast<void>(parts_.files.Remove(folder_ / name));
  }
}
Inbox::~Inbox() { *alive_ = false; }

void Inbox::Look() {
  const auto names = parts_.files.List(folder_);
  if (!names) return;  // nobody ever dropped anything
  size_t begun = 0;
  for (const std::string& name : *names) {
    if (busy_.contains(name) || begun >= kAtOnce) continue;
    const bool receipt = name.ends_with(".receipt");
    const bool order = name.ends_with(".order");
    if (!receipt && !order && name != bundle::kPublication) continue;
    ++begun;
    busy_.insert(name);
    if (receipt) {
      TakeReceipt(name);
    } else if (order) {
      TakeOrder(name);
    } else {
      TakePublication();
    }
  }
}

void Inbox::TakeReceipt(const std::string& name) {
  const auto bytes = ReadFile(parts_.files, folder_ / name, kReceiptBytes);
  if (!bytes) return Finish(name, Fail(bytes.error()));
  const auto receipt = VerifyReceipt(*bytes, parts_.anchor, parts_.clock.Now());
  if (!receipt) return Finish(name, Fail(receipt.error()));
  const auto custody = std::make_shared<Custody>();
  custody->open = receipt->uploads.size() + 1;
  const auto close = [this, alive = alive_, &loop = parts_.loop, name, custody, server = receipt->server] {
    if (--custody->open > 0) return;
    loop.Post([this, alive, name, custody, server] {
      if (!*alive) return;
      if (custody->error) return Finish(name, Fail(*custody->error));
      LogInfo("inbox.receipt", {{"server", server.text()}, {"freed", custody->freed.load()}});
      Finish(name, server.text() + " has custody: " + Plural(custody->freed, "upload") + " left this spool");
    });
  };
  for (const UploadId& upload : receipt->uploads) {
    parts_.spool.Delivered(upload, [custody, close](const Status& status) {
      if (status) {
        ++custody->freed;
      } else if (status.error().code != Code::kUnknownUpload) {  // another gateway's, or it went up the uplink
        const std::lock_guard lock(custody->mutex);
        custody->error = status.error();
      }
      close();
    });
  }
  close();
}

void Inbox::TakeOrder(const std::string& name) {
  const auto bytes = ReadFile(parts_.files, folder_ / name, kOrderBytes);
  const auto order = bytes ? ParseOrder(AsText(*bytes)) : Fail(bytes.error());
  if (!order) return Finish(name, Fail(order.error()));
  const auto finish = [this, alive = alive_, &loop = parts_.loop, name](const InboxAnswer& answer) {
    loop.Post([this, alive, name, answer] {
      if (*alive) Finish(name, answer);
    });
  };
  if (order->verb == Order::Verb::kRequeue) {
    return parts_.spool.Requeue(*order->upload, [finish](const Status& status) {
      finish(status ? InboxAnswer("requeued: it is in custody again, and goes up with the others")
                    : Fail(status.error()));
    });
  }
  if (order->verb == Order::Verb::kDropPartial) {
    return parts_.spool.DropPartial(order->device, [finish](const Result<uint64_t>& dropped) {
      finish(dropped ? InboxAnswer("dropped " + Plural(*dropped, "partial upload") +
                                   ": their senders have them, and may offer them again")
                     : Fail(dropped.error()));
    });
  }
  parts_.spool.Purge(order->upload, [finish](const Result<uint64_t>& purged) {
    finish(purged ? InboxAnswer("purged " + Plural(*purged, "dead letter")) : Fail(purged.error()));
  });
}

void Inbox::TakePublication() {
  // Reading a large model takes long: on the worker. Complete blobs may be looked at from any thread.
  parts_.worker.Post([this, alive = alive_, parts = parts_, folder = folder_] {
    const auto check = [&]() -> Result<Publication> {
      ASSIGN_OR_RETURN(Publication publication, ReadPublication(parts.files, folder, parts.anchor, parts.clock.Now()));
      for (const BlobRef& blob : BlobsOf(publication)) {
        if (parts.membership.blobs().Has(blob.digest)) continue;
        RETURN_IF_ERROR(CheckBlob(parts.files, folder / bundle::kBlobs / blob.digest.hex(), blob));
      }
      return publication;
    };
    parts.loop.Post([this, alive, checked = check()] {
      if (!*alive) return;
      if (!checked) return Finish(std::string(bundle::kPublication), Fail(checked.error()));
      Install(*checked);
    });
  });
}

void Inbox::Install(const Publication& publication) {
  const std::string name(bundle::kPublication);
  const uint64_t held = parts_.membership.publications().number();
  const auto newer = Adopt(parts_.membership, parts_.files, folder_, publication, parts_.clock.Now());
  if (newer || newer.error().code == Code::kRollback) RemoveBlobs(publication);
  if (!newer) return Finish(name, Fail(newer.error()));
  const std::string number = fmt::format("publication {}", publication.number);
  if (!*newer) return Finish(name, number + " is here already");
  LogInfo("inbox.publication", {{"number", publication.number}, {"before", held}});
  Finish(name, number + " is served from now on");
}

// The blobs that this gateway had already.
void Inbox::RemoveBlobs(const Publication& publication) {
  for (const BlobRef& blob : BlobsOf(publication)) {
    if (const Status removed = parts_.files.Remove(folder_ / bundle::kBlobs / blob.digest.hex()); !removed) {
      LogFailure(LogLevel::kWarning, "inbox.not_removed", removed.error());
    }
  }
}

void Inbox::Finish(const std::string& name, const InboxAnswer& answer) {
  busy_.erase(name);
  if (!answer) {
    LogFailure(LogLevel::kWarning, "inbox.refused", answer.error(), {{"file", name}});
    // A disk that takes nothing now may take it at the next look. A file that cannot be read is answered.
    const Code code = answer.error().code;
    if (IsOfTheEnvironment(code) && IsTransient(code) && code != Code::kIo) return;
  }
  TRIBUTARY_FAULT_POINT("gateway.inbox.done");
  const std::string text = FormatAnswer(answer);
  Status done = WriteFileAtomically(parts_.files, folder_ / (name + ".answer"), AsBytes(text));
  if (done) done = parts_.files.Remove(folder_ / name);
  if (!done) LogFailure(LogLevel::kError, "inbox.not_removed", done.error(), {{"file", name}});
}

}  // namespace tributary
