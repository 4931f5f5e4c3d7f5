#pragma once

#include <string>

namespace tributary {

// Every code with its sentence and remedy, as openapi.yaml describes it.
std::string CodesToJson();

}  // namespace tributary
