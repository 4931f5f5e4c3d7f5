#pragma once

#include "protocol/base/result.h"
#include "protocol/hop/gateway_state.h"
#include "protocol/schema/hop.capnp.h"

// A GatewayState to and from the wire. Between messages.cc and gateway_report_wire.cc only: shows Cap'n Proto's types.
namespace tributary::hop {

// Numbers over their limit are written as the limit, a longer trouble is cut: a report is never why a check-in fails.
void WriteGatewayState(schema::GatewayState::Builder to, const GatewayState& report);
// kMalformed: an id, code, kind or purpose that is none, or that comes twice; a number over its limit. kTooLarge: a
// text over its limit.
Result<GatewayState> ReadGatewayState(schema::GatewayState::Reader from);

}  // namespace tributary::hop
