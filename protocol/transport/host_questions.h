#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/base/result.h"

namespace tributary {

// The questions to name servers that are under way for one loop. A question blocks a thread for as long as the name
// server likes, so there is one for each host, whoever asks, and at most kAtOnce in all: a hundred virtual devices with
// one gateway ask once. Legal on the loop's thread only, which must outlive it.
class HostQuestions {
 public:
  static constexpr size_t kAtOnce = 4;
  using Answer = Result<std::vector<std::string>>;
  using Ask = std::function<Answer()>;  // blocks, on a thread of its own
  using Answered = std::function<void(const Answer& answer)>;

  explicit HostQuestions(Executor& loop);
  // Nobody waits for a question that is under way then; nothing can end it.
  ~HostQuestions();

  // Calls back on the loop's thread, unless it is forgotten before. While the host is being asked for, the answer to
  // that is the answer to this too. The number is for Forget.
  uint64_t Put(const std::string& host, Ask ask, Answered answered);
  void Forget(uint64_t question);

 private:
  struct Line;  // to the loop, shared with the threads that ask
  struct Host {
    Ask ask;
    std::map<uint64_t, Answered> waiting;
    bool under_way = false;
  };
  void BeginNext();
  void OnAnswer(const std::string& host, const Answer& answer);

  std::shared_ptr<Line> line_;
  std::map<std::string, Host> hosts_;
  std::deque<std::string> queue_;  // hosts that nobody asks for yet
  size_t under_way_ = 0;
  uint64_t last_ = 0;
};

}  // namespace tributary
