#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// The limits of a learner. The bounds of the settings are in learner_options.cc.
struct LearnerLimits {
  uint64_t memory_bytes = uint64_t{4096} << 20;  // address space, its libraries included
  uint32_t cores = 1;
  Millis wall{3'600'000};  // for one piece of work
  Millis answer{30'000};   // for one prediction
  int niceness = 5;        // training takes what others leave
};

// The process of a learner: it has the socket pair's other end as descriptor 3, and the limits; it changes no file (see
// KeepsFilesSafe) and never leaves its process group. A process that waits beside it ends the whole group with the
// thread that started it, also when this process is killed. Resource type, one thread; the destructor ends it and
// everything it has started, and reaps it.
class LearnerChild {
 public:
  // `command`: a path, or a name that is looked up in PATH, and its arguments. kChildFailed: it cannot be started.
  static Result<LearnerChild> Start(const std::vector<std::string>& command, const LearnerLimits& limits);
  LearnerChild(LearnerChild&& other) noexcept;
  LearnerChild& operator=(LearnerChild&&) = delete;
  ~LearnerChild();

  int socket() const { return socket_.get(); }
  // Reads what it wrote to standard output and error; the last of it is kept. To be called now and then, or its pipe is
  // full and it waits.
  void ReadLog();
  // The process itself; what it started may go on.
  bool HasEnded() const;
  // Waits for its end up to `grace`, then ends it by force.
  void End(Millis grace);
  // After End: why it ended, of the codes of a learner. Its last words are in the message.
  Error WhyItEnded() const;
  // After End: it ended by itself, and said by its exit code that all is well.
  bool ended_well() const { return !forced_ && status_ == 0; }

 private:
  LearnerChild(pid_t pid, Descriptor process, Descriptor socket, Descriptor log);

  pid_t pid_;
  Descriptor process_;  // readable when it has ended
  Descriptor socket_;
  Descriptor log_;
  std::string last_words_;
  bool forced_ = false;
  int status_ = 0;  // as waitpid gives it
};

// Whether this kernel has Landlock. Without it a learner's program may empty, rename and remove what this user may.
bool KeepsFilesSafe();

// The program of that name beside this one's executable.
Path ProgramBeside(const std::string& name);

}  // namespace tributary
