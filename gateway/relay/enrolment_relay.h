#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "protocol/hop/client/client.h"
#include "protocol/hop/server/owner.h"

namespace tributary {

// A gateway's desk: passes requests for certificates up through its own client and the answers down. It keeps no
// request: who asked and was told to wait asks again with the same bytes, so nothing is lost by a restart, and nothing
// piles up while the uplink is away. Final answers are remembered for a while, since an applicant whose connection
// broke comes back for the one it missed. All on the loop's thread; client and clock must outlive it. Does not promise
// that a callback is called after its own end.
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
  struct Counts {
    uint64_t passed_up = 0;
    uint64_t issued = 0;
    uint64_t refused = 0;  // for good
    uint64_t put_off = 0;  // told to ask again, here or above
  };

  EnrolmentRelay(HopClient& uplink, const Clock& clock, Options options);
  EnrolmentRelay(HopClient& uplink, const Clock& clock) : EnrolmentRelay(uplink, clock, Options()) {}
  ~EnrolmentRelay() override;

  void Request(const Digest& id, Bytes sealed_request, const DeviceId& via,
               std::function<void(const EnrolmentAnswer&)> answer) override;
  const Counts& counts() const { return counts_; }
  size_t remembered() const { return remembered_.size(); }

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
  EnrolmentAnswer PutOff(const Error& why);

  HopClient& uplink_;
  const Clock& clock_;
  Options options_;
  std::unordered_map<Digest, std::vector<Answer>, IdHash> under_way_;
  std::list<Remembered> remembered_;  // oldest first
  Counts counts_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tributary
