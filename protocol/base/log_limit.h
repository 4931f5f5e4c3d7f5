#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/recent.h"
#include "protocol/base/token_bucket.h"

namespace tributary {

// Keeps whoever causes lines from filling the log: of one event, one peer has 60 lines and then one in five seconds;
// all peers together have 300, and then two a second. Lines that are held back are counted, and a minute later a line
// log.held_back says how many there were. The log asks it for every line, unless its level is debug; the peer is the
// first field that is called member, device, gateway, address or id. One thread.
class LogLimit {
 public:
  // `who`: whom the line is about; empty: nobody in particular.
  bool Allow(std::string_view event, std::string_view who, Millis now);

  struct HeldBack {
    std::string event;
    uint64_t lines = 0;
  };
  // The lines that were held back since the last time, once a minute has passed since the first of it.
  std::vector<HeldBack> Due(Millis now);

 private:
  Recent<TokenBucket> peers_{4'096};
  Recent<TokenBucket> events_{1'024};
  std::map<std::string, uint64_t, std::less<>> held_back_;
  Millis first_{0};  // of held_back_
};

}  // namespace tributary
