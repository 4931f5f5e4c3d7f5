#pragma once

#include <string>

#include "device/learn/learner.h"

namespace tributary {

// The learner's side of PROTOCOL.md: answers on `socket` what an agent asks, with `learner`, until the agent says bye or
// closes its end. A failure of the work is an answer. Errors: kLearnerProtocol, kTooLarge: the agent sent what the protocol does
// not have.
Status ServeLearner(int socket, Learner& learner, const std::string& program);

}  // namespace tributary
