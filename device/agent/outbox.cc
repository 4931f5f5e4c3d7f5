#include "device/agent/outbox.h"

#include <algorithm>
#include <utility>

#include "protocol/base/log.h"
#include "protocol/envelope/envelope.h"

namespace tributary {
namespace {

// After a disk that refused an upload for now.
constexpr Millis kAskAgain{5'000};
// While work may not go. When it may, the courier is told.
constexpr Millis kHeld{1'000};
constexpr size_t kMostLookedAt = 1'000;

bool IsWork(UploadKind kind) { return kind == UploadKind::kUpdate || kind == UploadKind::kEvaluation; }

void LogDropped(const Result<uint64_t>& dropped) {
  if (!dropped) LogFailure(LogLevel::kError, "outbox.not_cleaned", dropped.error());
}

}  // namespace

struct Outbox::Delivery {
  Uploads uploads;
  HandOverHooks hooks;
  size_t next = 0;

  const SealedUpload& upload() const { return *uploads[next]; }
};

Result<std::unique_ptr<Outbox>> Outbox::Open(const Parts& parts, SpoolOptions options, Courier::GoneHook on_gone) {
  ASSIGN_OR_RETURN(auto spool, Spool::Open(std::move(options), parts.files, parts.clock, parts.disk));
  return std::unique_ptr<Outbox>(new Outbox(parts, std::move(spool), std::move(on_gone)));
}

Outbox::Outbox(const Parts& parts, std::unique_ptr<Spool> spool, Courier::GoneHook on_gone)
    : parts_(parts),
      spool_(std::move(spool)),
      courier_(std::make_unique<Courier>(parts.client, parts.loop, parts.clock, parts.random, *spool_,
                                         Courier::Options{.wait_before =
                                                              [this](const SpooledUpload& upload) {
                                                                const bool held = IsWork(upload.kind) && !work_may_go_;
                                                                return held ? kHeld : Millis(0);
                                                              }},
                                         std::move(on_gone))) {}

Outbox::~Outbox() {
  *alive_ = false;
  parts_.loop.Cancel(retry_timer_);
}

template <class T>
Spool::Done<T> Outbox::OnLoop(std::function<void(const Result<T>&)> then) {
  return [&loop = parts_.loop, alive = alive_, then = std::move(then)](Result<T> answer) {
    loop.Post([alive, then, answer = std::move(answer)] {
      if (*alive) then(answer);
    });
  };
}

void Outbox::HandOver(Uploads uploads, HandOverHooks hooks) {
  PutNext(std::make_shared<Delivery>(Delivery{std::move(uploads), std::move(hooks)}));
}

void Outbox::PutNext(const std::shared_ptr<Delivery>& delivery) {
  if (delivery->next == delivery->uploads.size()) return delivery->hooks.done(HandedOver::kWhole);
  if (!delivery->hooks.opens()) return delivery->hooks.done(HandedOver::kUnwanted);
  const SealedUpload& upload = delivery->upload();
  spool_->Offer(upload.header, upload.envelope,
                OnLoop<OfferAnswer>([this, delivery](const Result<OfferAnswer>& answer) {
                  if (!answer) return OnRefused(delivery, answer.error());
                  if (answer->already) return OnPut(delivery);
                  Append(delivery, answer->next_chunk);
                }));
}

void Outbox::Append(const std::shared_ptr<Delivery>& delivery, uint32_t chunk) {
  const SealedUpload& upload = delivery->upload();
  spool_->Append(upload.header.subject.id, chunk, upload.chunks[chunk],
                 OnLoop<AppendAnswer>([this, delivery, chunk](const Result<AppendAnswer>& answer) {
                   if (!answer) return OnRefused(delivery, answer.error());
                   if (answer->complete) return OnPut(delivery);
                   Append(delivery, chunk + 1);
                 }));
}

void Outbox::OnPut(const std::shared_ptr<Delivery>& delivery) {
  ++delivery->next;
  const bool more = delivery->next < delivery->uploads.size();
  if (more) courier_->Nudge();
  PutNext(delivery);
  if (!more) courier_->Nudge();
}

void Outbox::OnRefused(const std::shared_ptr<Delivery>& delivery, const Error& why) {
  LogFailure(LogLevel::kError, "outbox.refused", why, {{"member", parts_.member.text()}});
  const HandOverHooks& hooks = delivery->hooks;
  if (!IsTransient(why.code)) return hooks.done(HandedOver::kFailed);
  if (!hooks.wanted()) return hooks.done(HandedOver::kUnwanted);
  parts_.loop.Cancel(retry_timer_);
  retry_timer_ = parts_.loop.After(kAskAgain, [this, delivery] {
    if (delivery->hooks.wanted()) return PutNext(delivery);
    delivery->hooks.done(HandedOver::kUnwanted);
  });
}

std::vector<SpooledUpload> Outbox::Pending() const {
  return spool_->Pending(kMostLookedAt).value_or(std::vector<SpooledUpload>());
}

bool Outbox::Contains(const TaskId& task, ModelVersion version, UploadKind kind) const {
  return std::ranges::any_of(Pending(), [&](const SpooledUpload& upload) {
    return upload.kind == kind && upload.task == task && upload.base_version == version;
  });
}

void Outbox::OnPublication(const Publication& publication) {
  for (const PublishedTask& task : publication.tasks) spool_->DropStale(task.id, task.accepted, LogDropped);
  courier_->OnPublication(publication);
}

bool Outbox::DropUnopenable(const std::function<bool(const KeyId&)>& opens,
                            const std::function<bool(const SpooledUpload&)>& losing, std::function<void(bool)> done) {
  const auto pending = spool_->Pending(kMostLookedAt);
  if (!pending) return false;
  std::vector<KeyId> over;
  for (const SpooledUpload& upload : *pending) {
    const auto bytes = spool_->ReadEnvelope(upload.id);
    if (!bytes) continue;
    const auto envelope = ParseEnvelope(*bytes);
    if (!envelope) continue;
    const KeyId& key = envelope->header.subject.key_id;
    if (opens(key)) continue;
    if (!losing(upload)) return false;
    if (std::ranges::find(over, key) == over.end()) over.push_back(key);
  }
  if (over.empty()) return false;
  spool_->DropSealedTo(over, OnLoop<uint64_t>([done = std::move(done)](const Result<uint64_t>& dropped) {
                         LogDropped(dropped);
                         if (dropped) LogInfo("outbox.key_over", {{"uploads", *dropped}});
                         done(dropped.has_value());
                       }));
  return true;
}

void Outbox::DropErased(const TaskId& task, const std::function<bool(const SpooledUpload&)>& losing,
                        std::function<void(bool)> done) {
  const auto pending = spool_->Pending(kMostLookedAt);
  if (!pending) return done(false);
  for (const SpooledUpload& upload : *pending) {
    if (upload.task == task && IsWork(upload.kind) && !losing(upload)) return done(false);
  }
  spool_->DropErased(task, OnLoop<uint64_t>([done = std::move(done)](const Result<uint64_t>& dropped) {
                       LogDropped(dropped);
                       if (dropped && *dropped > 0) LogInfo("outbox.erased", {{"uploads", *dropped}});
                       done(dropped.has_value());
                     }));
}

void Outbox::LetWorkGo(bool may) {
  if (std::exchange(work_may_go_, may) != may && may) courier_->Nudge();
}

std::optional<DeadLetter> Outbox::FindDeadLetter(const UploadId& upload) const {
  const auto letters = spool_->DeadLetters(kMostLookedAt);
  if (!letters) return std::nullopt;
  const auto letter = std::ranges::find(*letters, upload, &DeadLetter::id);
  return letter == letters->end() ? std::nullopt : std::optional(*letter);
}

void Outbox::Sweep() {
  if (spool_->Health() && spool_->Account().bytes == 0) return;
  // With it the spool looks whether a disk that was in trouble works again.
  spool_->DropExpired([](const Result<uint64_t>& dropped) {
    if (!dropped) LogFailure(LogLevel::kWarning, "outbox.not_swept", dropped.error());
  });
}

}  // namespace tributary
