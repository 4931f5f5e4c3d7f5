#include "protocol/base/process/plain_output.h"

#include <iostream>
#include <streambuf>

#include "protocol/base/plain_text.h"

namespace tributary {

// Hands on what it is given, cleaned, piece by piece: a text is written as one piece.
class PlainOutput::Filter final : public std::streambuf {
 public:
  explicit Filter(std::ostream& stream) : stream_(stream), to_(stream.rdbuf(this)) {}
  ~Filter() override { stream_.rdbuf(to_); }

 private:
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    const std::string plain = PlainText({text, static_cast<size_t>(size)}, LineBreaks::kKept);
    const auto length = static_cast<std::streamsize>(plain.size());
    return to_->sputn(plain.data(), length) == length ? size : 0;
  }
  int overflow(int c) override {
    const char letter = static_cast<char>(c);
    if (c == traits_type::eof()) return traits_type::not_eof(c);
    return xsputn(&letter, 1) == 1 ? c : traits_type::eof();
  }
  int sync() override { return to_->pubsync(); }

  std::ostream& stream_;
  std::streambuf* to_;
};

PlainOutput::PlainOutput() : out_(std::make_unique<Filter>(std::cout)), error_(std::make_unique<Filter>(std::cerr)) {}
PlainOutput::~PlainOutput() = default;

}  // namespace tributary
