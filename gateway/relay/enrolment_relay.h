#pragma once

#include <functional>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "protocol/hop/client/client.h"
#include "protocol/hop/server/owner.h"

namespace tributary {

// Passes requests for certificates up through the gateway's own client, and the answers down. It keeps no request: an
// applicant that was told to wait asks again with the same bytes. So a restart loses nothing, and nothing piles up while
// the uplink is away. It remembers final answers for a while, because an applicant whose connection broke comes back for
// the answer that it missed. All on the loop's thread; client and clock must outlive it. Does not promise that a
// callback is called after its own end.
class EnrolmentRelay final : public EnrolmentDesk {
 public:
  struct Options {
    // Under way at once; a HopClient takes no more than 64.
    size_t max_under_way = 64;
    // Connections that wait for the answer to one request: an applicant that reconnects before its old connection is
    // known to be dead.
    size_t max_waiting_each = 4;
    // An answer is a chain of at most 32 KiB, and of less than 2 KiB in practice: half a megabyte.
    size_t max_remembered = 256;
    Millis remember_for{600'000};
    RetryWindow while_away{Millis(5'000), Millis(30'000)};  // when to ask again while there is no uplink
  };
  EnrolmentRelay(HopClient& uplink, const Clock& clock, Options options);
  EnrolmentRelay(HopClient& uplink, const Clock& clock) : EnrolmentRelay(uplink, clock, Options()) {}
  ~EnrolmentRelay() override;

  void Request(const Digest& id, Bytes sealed_request, const DeviceId& via,
               std::function<void(const EnrolmentAnswer&)> answer) override;

 private:
  using Answer = std::function<void(const EnrolmentAnswer&)>;
  struct Remembered {
    Digest id;
    EnrolmentAnswer answer;
    Millis until;
  };

  void OnAnswer(const Digest& id, const EnrolmentAnswer& answer);
  void Remember(const Digest& id, const EnrolmentAnswer& answer);
  const EnrolmentAnswer* Recall(const Digest& id);
  EnrolmentAnswer PutOff(const Error& why) const;

  HopClient& uplink_;
  const Clock& clock_;
  Options options_;
  std::unordered_map<Digest, std::vector<Answer>, IdHash> under_way_;
  std::list<Remembered> remembered_;  // oldest first
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tributary
