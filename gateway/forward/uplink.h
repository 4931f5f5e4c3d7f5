#pragma once

#include "gateway/forward/link_policy.h"
#include "protocol/hop/client/client.h"
#include "protocol/hop/client/courier.h"
#include "protocol/hop/client/pace.h"

namespace tributary {

// The connection to the parent and what goes up it: forwards the spool's uploads until custody is taken above, as the
// policy of the link allows. All on the loop's thread. Everything given to the constructor must outlive it.
class Uplink {
 public:
  Uplink(const HopClient::Parts& parts, HopClient::Options options, HopClient::Hooks hooks, UploadSource& spool,
         const LinkPolicy& policy = {});
  ~Uplink();

  void Start();
  void Stop();
  // Something new can be forwarded.
  void Nudge();

  HopClient& client() { return client_; }
  const HopClient& client() const { return client_; }
  const Courier::Counts& counts() const { return courier_.counts(); }
  size_t under_way() const { return courier_.under_way(); }
  // For the Fetcher on this link.
  LinkBudget& down_budget() { return down_budget_; }
  // Uploads may be sent now, as far as the schedule goes.
  bool IsOpen() const { return policy_.schedule.IsOpen(parts_.clock.Now()); }

 private:
  // Zero, or how long until it is worth asking again.
  Millis WaitBefore(const SpooledUpload& upload) const;
  // Opens and closes the session with the schedule.
  void FollowSchedule();
  bool UrgentWaits() const;

  HopClient::Parts parts_;
  LinkPolicy policy_;
  UploadSource& spool_;
  LinkBudget up_budget_;
  LinkBudget down_budget_;
  HopClient client_;
  Courier courier_;
  bool started_ = false;
  Loop::TimerId schedule_timer_ = 0;
};

}  // namespace tributary
