#include "protocol/transport/host_questions.h"

#include <mutex>
#include <thread>
#include <utility>

namespace tributary {

// Outlives the questions when an answer comes after their end.
struct HostQuestions::Line {
  std::mutex mutex;
  Executor* loop = nullptr;            // null: nobody waits any more
  HostQuestions* questions = nullptr;  // touched on the loop's thread only
};

HostQuestions::HostQuestions(Executor& loop) : line_(std::make_shared<Line>()) {
  line_->loop = &loop;
  line_->questions = this;
}

HostQuestions::~HostQuestions() {
  line_->questions = nullptr;
  const std::lock_guard lock(line_->mutex);
  line_->loop = nullptr;
}

uint64_t HostQuestions::Put(const std::string& host, Ask ask, Answered answered) {
  const auto [at, is_new] = hosts_.try_emplace(host);
  if (is_new) {
    at->second.ask = std::move(ask);
    queue_.push_back(host);
  }
  at->second.waiting[++last_] = std::move(answered);
  const uint64_t question = last_;
  BeginNext();
  return question;
}

void HostQuestions::Forget(uint64_t question) {
  for (auto& [name, host] : hosts_) {
    if (host.waiting.erase(question) == 0) continue;
    if (!host.waiting.empty() || host.under_way) return;
    std::erase(queue_, name);
    hosts_.erase(name);
    return;
  }
}

void HostQuestions::BeginNext() {
  while (!queue_.empty() && under_way_ < kAtOnce) {
    const std::string name = std::move(queue_.front());
    queue_.pop_front();
    Host& host = hosts_.at(name);
    host.under_way = true;
    ++under_way_;
    // Detached: nothing can end a question, and nobody waits for it at the process's end.
    std::thread([line = line_, name, ask = std::move(host.ask)] {
      const Answer answer = ask();
      const std::lock_guard lock(line->mutex);
      if (line->loop == nullptr) return;
      line->loop->Post([line, name, answer] {
        if (line->questions != nullptr) line->questions->OnAnswer(name, answer);
      });
    }).detach();
  }
}

void HostQuestions::OnAnswer(const std::string& host, const Answer& answer) {
  --under_way_;
  const auto answered = hosts_.extract(host);
  BeginNext();
  // Whoever is called may ask again at once.
  for (const auto& [question, callback] : answered.mapped().waiting) callback(answer);
}

}  // namespace tributary
