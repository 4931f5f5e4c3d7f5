#include "device/agent/outbox.h"

#include <utility>

namespace tributary {
namespace {

struct Putting {
  Spool& spool;
  Executor& loop;
  std::shared_ptr<const bool> alive;
  std::shared_ptr<const SealedUpload> upload;
  std::function<void(Status)> done;

  // From the spool's worker to the loop, where the spool is known to be there or not.
  template <class T>
  static Spool::Done<T> OnLoop(std::shared_ptr<const Putting> self, std::function<void(const Result<T>&)> then) {
    Executor& loop = self->loop;
    return [self = std::move(self), &loop, then = std::move(then)](Result<T> answer) {
      loop.Post([self, then, answer = std::move(answer)] {
        if (*self->alive) then(answer);
      });
    };
  }
};

void AppendFrom(const std::shared_ptr<const Putting>& self, uint32_t chunk) {
  self->spool.Append(self->upload->header.subject.id, chunk, self->upload->chunks[chunk],
                     Putting::OnLoop<AppendAnswer>(self, [self, chunk](const Result<AppendAnswer>& answer) {
                       if (!answer) return self->done(Fail(answer.error()));
                       if (answer->complete) return self->done(Status{});
                       AppendFrom(self, chunk + 1);
                     }));
}

}  // namespace

void PutIntoOutbox(Spool& spool, Executor& loop, std::shared_ptr<const bool> alive,
                   std::shared_ptr<const SealedUpload> upload, std::function<void(Status)> done) {
  const auto self =
      std::make_shared<const Putting>(Putting{spool, loop, std::move(alive), std::move(upload), std::move(done)});
  spool.Offer(self->upload->header, self->upload->envelope,
              Putting::OnLoop<OfferAnswer>(self, [self](const Result<OfferAnswer>& answer) {
                if (!answer) return self->done(Fail(answer.error()));
                if (answer->already) return self->done(Status{});
                AppendFrom(self, answer->next_chunk);
              }));
}

}  // namespace tributary
