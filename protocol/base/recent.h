#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>

namespace tributary {

// A table by name of at most `limit` entries: for one more, the entry that was asked for the longest time ago is
// forgotten. For tables that outsiders may fill. One thread.
template <class Value>
class Recent {
 public:
  explicit Recent(size_t limit) : limit_(limit) {}

  // nullptr: not known (any more). Valid until the next call.
  Value* Find(const std::string& name) {
    const auto found = places_.find(name);
    if (found == places_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->second;
  }
  Value& FindOrMake(const std::string& name, const Value& fresh) {
    if (Value* known = Find(name)) return *known;
    if (places_.size() >= limit_) {
      places_.erase(entries_.back().first);
      entries_.pop_back();
    }
    entries_.emplace_front(name, fresh);
    places_[name] = entries_.begin();
    return entries_.front().second;
  }
  void Erase(const std::string& name) {
    if (const auto place = places_.extract(name)) entries_.erase(place.mapped());
  }

 private:
  using Entries = std::list<std::pair<std::string, Value>>;
  size_t limit_;
  Entries entries_;  // the newest first
  std::unordered_map<std::string, typename Entries::iterator> places_;
};

}  // namespace tributary
