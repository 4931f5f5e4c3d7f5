#pragma once

#include "protocol/hop/client.h"
#include "protocol/hop/courier.h"
#include "protocol/spool/upload_source.h"

namespace tributary {

// The connection to the parent and what goes up it: forwards the source's uploads until custody is taken above.
// All on the loop's thread. Everything given to the constructor must outlive it.
class Uplink {
 public:
  Uplink(const HopClient::Parts& parts, HopClient::Options options, HopClient::Hooks hooks, UploadSource& source);

  void Start() { client_.Start(); }
  void Stop() { client_.Stop(); }
  // Something new can be forwarded.
  void Nudge() { courier_.Nudge(); }

  HopClient& client() { return client_; }
  const HopClient& client() const { return client_; }
  const Courier::Counts& counts() const { return courier_.counts(); }
  size_t under_way() const { return courier_.under_way(); }

 private:
  HopClient client_;
  Courier courier_;
};

}  // namespace tributary
