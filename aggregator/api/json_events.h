#pragma once

#include <string>

#include "aggregator/enrol/enrolment.h"
#include "aggregator/round/coordinator.h"

// Events as openapi.yaml describes them. Every event has the same fields, those that say nothing of it null.
namespace tributary {

std::string ToJson(const CoordinatorEvent& event);
std::string ToJson(const EnrolmentEvent& event);

}  // namespace tributary
