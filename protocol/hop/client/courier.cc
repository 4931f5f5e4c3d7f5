#include "protocol/hop/client/courier.h"

#include <algorithm>
#include <utility>

#include "protocol/base/log.h"

namespace tributary {
namespace {

// Uploads that were refused for now stand in front of others in the source's list, and have to be read past. There are
// so many at most, so that reading stays cheap; then the rest waits until the first of them are tried again.
constexpr size_t kMostTrouble = 10'000;
constexpr size_t kMuchTrouble = 256;
// With that much to read past, uploads that end are not replaced one by one.
constexpr Millis kTroublePause{100};
// A round that is opened is announced. This is for an announcement that never comes, and costs a few kilobytes a day.
constexpr RetryWindow kAskForRound{std::chrono::hours(2), std::chrono::hours(4)};

}  // namespace

Courier::Courier(HopClient& client, Loop& loop, const Clock& clock, Random& random, UploadSource& source,
                 Options options, GoneHook on_gone)
    : client_(client),
      loop_(loop),
      clock_(clock),
      random_(random),
      source_(source),
      options_(std::move(options)),
      on_gone_(std::move(on_gone)),
      window_(options_.max_under_way, options_.max_window) {
  client_.AddPart(*this);
}

Courier::~Courier() {
  *alive_ = false;
  loop_.Cancel(retry_timer_);
  loop_.Cancel(send_timer_);
}

void Courier::OnDown() {
  window_.Clear();
  vanished_ = 0;
  no_room_for_.reset();
  loop_.Cancel(retry_timer_);
  loop_.Cancel(send_timer_);
}

void Courier::OfferMore() {
  loop_.Cancel(retry_timer_);
  if (!client_.up()) return;
  no_room_for_.reset();
  if (window_.IsFull()) {
    no_room_for_ = Priority::kControl;
    return;
  }
  const size_t limit = 2 * options_.max_under_way + leaving_.size() + std::min(trouble_.size(), kMostTrouble);
  const auto pending = source_.Pending(limit);
  if (!pending) {
    LogFailure(LogLevel::kError, "courier.blocked", pending.error());
    retry_timer_ = loop_.After(options_.first_retry, [this] { OfferMore(); });
    return;
  }
  const Millis now = clock_.Monotonic();
  Millis next_try = Millis::max();
  std::unordered_set<UploadId, IdHash> listed;
  for (const SpooledUpload& upload : *pending) listed.insert(upload.id);
  if (pending->size() < limit) ForgetAllBut(listed);
  for (const SpooledUpload& upload : *pending) {
    if (window_.Contains(upload.id) || leaving_.contains(upload.id)) continue;
    // In the order of priorities: who comes behind finds no room either.
    if (!window_.HasRoom(upload.priority)) {
      no_room_for_ = upload.priority;
      break;
    }
    if (const auto trouble = trouble_.find(upload.id); trouble != trouble_.end() && trouble->second.not_before > now) {
      next_try = std::min(next_try, trouble->second.not_before);
      continue;
    }
    const Millis wait = options_.wait_before ? options_.wait_before(upload) : Millis(0);
    if (wait > Millis(0)) {
      next_try = std::min(next_try, now + wait);
      continue;
    }
    if (!Offer(upload)) return;
  }
  if (next_try != Millis::max()) retry_timer_ = loop_.After(next_try - now, [this] { OfferMore(); });
}

bool Courier::Offer(const SpooledUpload& upload) {
  auto envelope = source_.ReadEnvelope(upload.id);
  if (!envelope) {
    OnUnreadable(upload.id, envelope.error());
    return true;
  }
  window_.Add(upload);
  ++counts_.offered;
  client_.Send(hop::Offer{std::move(*envelope)});
  return client_.up();
}

void Courier::ForgetAllBut(const std::unordered_set<UploadId, IdHash>& listed) {
  const auto is_gone = [&](const UploadId& id) { return !listed.contains(id) && !leaving_.contains(id); };
  std::erase_if(trouble_, [&](const auto& entry) { return is_gone(entry.first); });
  std::erase_if(sent_, [&](const auto& entry) { return is_gone(entry.first); });
  for (const UploadId& upload : window_.Ids()) {
    if (is_gone(upload)) ForgetVanished(upload);
  }
}

// The source dropped it (its base version is no longer accepted, or somebody gave it up). The server cannot be told so
// within the session, and allows a session only so many.
void Courier::ForgetVanished(const UploadId& upload) {
  if (!window_.Remove(upload)) return;
  trouble_.erase(upload);
  sent_.erase(upload);
  if (++vanished_ < options_.max_under_way) return;
  vanished_ = 0;
  loop_.Post([this, alive = alive_] {
    if (*alive) client_.Renew("many uploads that were under way are no longer in the spool");
  });
}

void Courier::OnMessage(const hop::Message& message, ByteView) {
  if (const auto* credit = std::get_if<hop::Credit>(&message)) {
    OnCredit(*credit);
  } else if (const auto* resume = std::get_if<hop::Resume>(&message)) {
    window_.Resume(resume->upload, resume->next_chunk);
    SendChunks();
  } else if (const auto* custody = std::get_if<hop::Custody>(&message)) {
    HandOver(custody->upload);
  } else if (const auto* already = std::get_if<hop::Already>(&message)) {
    HandOver(already->upload);
  } else if (const auto* refuse = std::get_if<hop::Refuse>(&message)) {
    OnRefuse(*refuse);
  }
}

void Courier::OnCredit(const hop::Credit& credit) {
  window_.AddCredit(credit.bytes);
  if (credit.upload) window_.Landed(*credit.upload, credit.next_chunk, clock_.Monotonic());
  SendChunks();
}

// In order, until the window is full. An upload that the link's policy holds back lets others pass. Every step looks
// for its upload anew, because sending and reading may end any of them.
void Courier::SendChunks() {
  loop_.Cancel(send_timer_);
  if (!client_.up()) return;
  Millis ask_again = Millis::max();
  const SendingWindow::Upload* upload = window_.NextReady(SendingWindow::kBefore);
  while (upload) {
    const SendingWindow::Place place = upload->place;
    const Millis wait = options_.wait_before ? options_.wait_before(upload->facts) : Millis(0);
    if (wait > Millis(0)) {
      ask_again = std::min(ask_again, wait);
    } else if (!SendNext(*upload, ask_again)) {
      break;
    }
    upload = window_.NextReady(place);
  }
  if (!client_.up()) return;
  if (ask_again != Millis::max()) send_timer_ = loop_.After(ask_again, [this] { SendChunks(); });
  // The chunks that were sent may have made room for an upload that had none.
  if (no_room_for_ && window_.HasRoom(*no_room_for_)) OfferMore();
}

bool Courier::SendNext(const SendingWindow::Upload& upload, Millis& ask_again) {
  const size_t bytes = upload.facts.ChunkBytes(upload.next_chunk);
  // A smaller one may go. The server gives credit until the largest that can come is covered, and this one is asked
  // first again.
  if (!window_.HasCredit(bytes)) return true;
  if (!window_.Fits(bytes)) return false;
  if (const Millis wait = options_.budget ? options_.budget->Wait() : Millis(0); wait > Millis(0)) {
    ask_again = std::min(ask_again, wait);
    return false;
  }
  const UploadId id = upload.facts.id;
  const auto chunk = source_.ReadChunk(id, upload.next_chunk);
  if (!chunk) {
    OnUnreadable(id, chunk.error());
    return true;
  }
  if (options_.budget) options_.budget->Take(bytes);
  SendChunk(id, upload.next_chunk, *chunk);
  return client_.up();
}

void Courier::SendChunk(const UploadId& id, uint32_t index, const Bytes& chunk) {
  counts_.chunk_bytes += chunk.size();
  uint32_t& sent = sent_[id];
  if (index < sent) {
    counts_.resent_bytes += chunk.size();
    client_.CountResent(LinkPurpose::kUploads, chunk.size());
  }
  sent = std::max(sent, index + 1);
  window_.Sent(id, chunk.size(), clock_.Monotonic());
  client_.Send(hop::Chunk{id, index}, chunk);
}

void Courier::OnRefuse(const hop::Refuse& refuse) {
  if (!window_.Contains(refuse.upload)) return;
  const Error error{refuse.refusal.code, refuse.refusal.sentence};
  const std::optional<TaskId> task = window_.TaskOf(refuse.upload);
  ++counts_.refused[error.code];
  if (!IsTransient(error.code)) return GiveUp(refuse.upload, error);
  const bool no_round = error.code == Code::kRoundClosed;
  Trouble& trouble = Postpone(refuse.upload, no_round ? kAskForRound : refuse.refusal.retry);
  trouble.awaits_round = no_round ? task : std::nullopt;
  const bool bytes_are_bad =
      error.code == Code::kDigestMismatch && ++trouble.digest_mismatches >= options_.max_digest_mismatches;
  if (bytes_are_bad) return GiveUp(refuse.upload, error);
  SendChunks();
  if (trouble_.size() < kMuchTrouble) return OfferMore();
  loop_.Cancel(retry_timer_);
  retry_timer_ = loop_.After(kTroublePause, [this] { OfferMore(); });
}

void Courier::OnPublication(const Publication& publication) {
  std::unordered_set<TaskId, IdHash> opened;
  for (const PublishedTask& task : publication.tasks) {
    if (task.round && std::exchange(rounds_[task.id], task.round->number) != task.round->number) opened.insert(task.id);
  }
  for (auto& [upload, trouble] : trouble_) {
    if (trouble.awaits_round && opened.contains(*trouble.awaits_round)) trouble.not_before = Millis(0);
  }
  if (!opened.empty()) OfferMore();
}

Courier::Trouble& Courier::Postpone(const UploadId& upload, RetryWindow window) {
  window_.Remove(upload);
  Trouble& trouble =
      trouble_.try_emplace(upload, Trouble{Millis(0), Backoff(options_.first_retry, options_.retry_cap)}).first->second;
  const Millis delay = std::max(trouble.backoff.Next(random_), Backoff::Within(window, random_));
  trouble.not_before = clock_.Monotonic() + delay;
  return trouble;
}

// Damage is for good. A disk that does not answer just now may do so later; and what the source lists but does not know
// has left it since, or will be found damaged by the source.
void Courier::OnUnreadable(const UploadId& upload, const Error& error) {
  if (error.code != Code::kUnknownUpload && !IsTransient(error.code)) return GiveUp(upload, error);
  if (error.code == Code::kUnknownUpload) {
    ForgetVanished(upload);
  } else {
    LogFailure(LogLevel::kWarning, "courier.unreadable", error, {{"upload", upload.hex()}});
  }
  Postpone(upload);
  loop_.Post([this, alive = alive_] {
    if (*alive) OfferMore();  // sets the time for the next try
  });
}

void Courier::HandOver(const UploadId& upload) {
  if (!window_.Remove(upload)) return;
  sent_.erase(upload);
  ++counts_.in_custody;
  leaving_.insert(upload);
  source_.Delivered(upload, WhenGone(upload, std::nullopt));
  SendChunks();
  OfferMore();
}

void Courier::GiveUp(const UploadId& upload, const Error& error) {
  window_.Remove(upload);
  trouble_.erase(upload);
  sent_.erase(upload);
  // A version that was overtaken while its update was on the way is normal life, and leaves no dead letter.
  const bool overtaken = error.code == Code::kStaleVersion;
  LogFailure(overtaken ? LogLevel::kInfo : LogLevel::kError, overtaken ? "upload.overtaken" : "upload.dead_letter",
             error, {{"upload", upload.hex()}});
  leaving_.insert(upload);
  source_.Drop(upload, error.code, WhenGone(upload, error));
}

UploadSource::Done<void> Courier::WhenGone(const UploadId& upload, const std::optional<Error>& why) {
  return [this, alive = alive_, &loop = loop_, upload, why](const Status& status) {
    loop.Post([this, alive, upload, why, status] {
      if (*alive) OnGone(upload, why, status);
    });
  };
}

void Courier::OnGone(const UploadId& upload, const std::optional<Error>& why, const Status& status) {
  leaving_.erase(upload);
  // The disk kept it here; the next offer of an upload that is safe above is answered `already`. An upload that left
  // the source meanwhile is gone as well.
  if (!status && status.error().code != Code::kUnknownUpload) {
    LogFailure(LogLevel::kError, "courier.not_deleted", status.error(), {{"upload", upload.hex()}});
    Postpone(upload);
    return OfferMore();
  }
  trouble_.erase(upload);
  on_gone_(upload, why ? &*why : nullptr);
  OfferMore();
}

}  // namespace tributary
