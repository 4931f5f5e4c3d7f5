#include "device/agent/outbox.h"

namespace tributary {
namespace {

void AppendFrom(Spool& spool, const std::shared_ptr<const SealedUpload>& upload, uint32_t chunk, const std::function<void(Status)>& done) {
  spool.Append(upload->header.subject.id, chunk, upload->chunks[chunk],
               [&spool, upload, chunk, done](const Result<AppendAnswer>& answer) {
                 if (!answer) return done(Fail(answer.error()));
                 if (answer->complete) return done(Status{});
                 AppendFrom(spool, upload, chunk + 1, done);
               });
}

}  // namespace

void PutIntoOutbox(Spool& spool, std::shared_ptr<const SealedUpload> upload, std::function<void(Status)> done) {
  spool.Offer(upload->header, upload->envelope, [&spool, upload, done = std::move(done)](const Result<OfferAnswer>& answer) {
    if (!answer) return done(Fail(answer.error()));
    if (answer->already) return done(Status{});
    AppendFrom(spool, upload, answer->next_chunk, done);
  });
}

}  // namespace tributary
