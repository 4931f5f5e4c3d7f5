#pragma once

#include "gateway/forward/link_policy.h"
#include "protocol/hop/client/client.h"
#include "protocol/hop/client/courier.h"
#include "protocol/hop/client/pace.h"

namespace tributary {

// The link up to the parent: forwards the spool's uploads until custody is taken above, and opens and closes
// the session, as the policy of the link allows. All on the loop's thread. Everything in Parts must outlive it.
class Uplink {
 public:
  struct Parts {
    Loop& loop;
    const Clock& clock;
    Random& random;
    HopClient& client;
    UploadSource& spool;
  };
  Uplink(const Parts& parts, const LinkPolicy& policy);
  ~Uplink();

  void Start();
  void Stop();
  // Something new can be forwarded.
  void Nudge();
  void OnPublication(const Publication& publication) { courier_.OnPublication(publication); }

  const Courier::Counts& counts() const { return courier_.counts(); }
  // Uploads may be sent now, as far as the schedule goes.
  bool IsOpen() const { return policy_.schedule.IsOpen(parts_.clock.Now()); }

 private:
  // Zero, or how long until it is worth asking again.
  Millis WaitBefore(const SpooledUpload& upload) const;
  // Opens and closes the session with the schedule.
  void FollowSchedule();
  bool UrgentWaits() const;

  Parts parts_;
  LinkPolicy policy_;
  LinkBudget up_budget_;
  Courier courier_;
  bool started_ = false;
  Loop::TimerId schedule_timer_ = 0;
};

}  // namespace tributary
