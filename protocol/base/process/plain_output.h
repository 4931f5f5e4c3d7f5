#pragma once

#include <iosfwd>
#include <memory>

namespace tributary {

// For as long as it lives, std::cout and std::cerr print plain text only (protocol/base/plain_text.h) and line breaks:
// a name on a disk, a peer's sentence or a damaged row that a tool prints moves no cursor. One in each main.
class PlainOutput {
 public:
  PlainOutput();
  ~PlainOutput();
  PlainOutput(const PlainOutput&) = delete;
  PlainOutput& operator=(const PlainOutput&) = delete;

 private:
  class Filter;
  std::unique_ptr<Filter> out_, error_;
};

}  // namespace tributary
