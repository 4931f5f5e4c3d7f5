#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "device/learn/learner_child.h"
#include "protocol/base/field.h"

namespace tributary {

// The settings [learner] of a configuration file: the program that learns, and what its process may use. Value type.
struct LearnerOptions {
  std::vector<std::string> command;
  int64_t memory_mib = 4096;
  int64_t cores = 1;
  int64_t wall_seconds = 3'600;

  // `help`: of the command; it says what an empty one means.
  std::vector<Field> Fields(std::string_view help);
  LearnerLimits Limits() const;
  // Warns in the log when the kernel does not keep files safe from the command.
  void WarnOfFiles() const;
};

}  // namespace tributary
