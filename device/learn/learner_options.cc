#include "device/learn/learner_options.h"

#include "protocol/base/limits.h"
#include "protocol/base/log.h"

namespace tributary {

std::vector<Field> LearnerOptions::Fields(std::string_view help) {
  return {
      {"learner.command", &command, help},
      {"learner.memory_mib", &memory_mib, "most address space of its process, the libraries included", Between(64, 1e7),
       "MiB"},
      {"learner.cores", &cores, "threads of its libraries; its processor time may be so many times wall_seconds",
       Between(1, 1024)},
      {"learner.wall_seconds", &wall_seconds, "the longest that one fit or evaluation may take", Between(1, 604'800),
       "s"},
  };
}

LearnerLimits LearnerOptions::Limits() const {
  return {static_cast<uint64_t>(memory_mib) * limits::kMiB, static_cast<uint32_t>(cores), Millis(wall_seconds * 1000)};
}

void LearnerOptions::WarnOfFiles() const {
  if (command.empty() || KeepsFilesSafe()) return;
  LogWarning("learner.may_change_files",
             {{"reason",
               "this kernel has no Landlock, so the program that learner.command names can empty, rename and remove "
               "what this user may; run it with Linux 5.13 or newer, or the device as a user of its own"}});
}

}  // namespace tributary
