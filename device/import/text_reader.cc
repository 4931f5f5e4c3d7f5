#include "device/import/text_reader.h"

#include <algorithm>
#include <utility>

#include "device/examples/field_value.h"
#include "device/import/byte_source.h"

namespace tributary {
namespace {

constexpr uint64_t kLongest = 1'000'000;

class TextReader final : public ExampleReader {
 public:
  TextReader(std::unique_ptr<ByteSource> source, uint64_t length, uint64_t stride)
      : source_(std::move(source)),
        length_(length),
        stride_(stride),
        fields_{{"tokens", DType::kInt64, {static_cast<int64_t>(length)}},
                {"next", DType::kInt64, {static_cast<int64_t>(length)}}} {}
  const std::vector<ExampleField>& fields() const override { return fields_; }

  Status Read(ExampleSink& sink) override {
    Bytes window(length_ + 1);
    size_t kept = 0;  // bytes of the window before that are the begin of this one
    uint64_t at = 0;
    while (true) {
      ASSIGN_OR_RETURN(const size_t got, source_->Read(MutableByteView(window).subspan(kept)));
      if (kept + got < window.size()) return {};
      NewExample example;
      example.values.reserve(2 * length_ * sizeof(int64_t));
      for (const size_t first : {size_t{0}, size_t{1}}) {
        for (size_t i = 0; i < length_; ++i) AppendU64(example.values, window[first + i]);
      }
      RETURN_IF_ERROR(sink.Put(example, fmt::format("{}: byte {}", source_->name(), at)));
      at += stride_;
      kept = stride_ < window.size() ? window.size() - stride_ : 0;
      std::copy(window.end() - static_cast<ptrdiff_t>(kept), window.end(), window.begin());
      for (uint64_t skip = stride_ > window.size() ? stride_ - window.size() : 0; skip > 0;) {
        const size_t piece = std::min<uint64_t>(skip, window.size());
        ASSIGN_OR_RETURN(const size_t skipped, source_->Read(MutableByteView(window).first(piece)));
        if (skipped < piece) return {};
        skip -= piece;
      }
    }
  }

 private:
  const std::unique_ptr<ByteSource> source_;
  const uint64_t length_;
  const uint64_t stride_;
  const std::vector<ExampleField> fields_;
};

}  // namespace

Result<std::unique_ptr<ExampleReader>> OpenText(const Path& file, uint64_t length, uint64_t stride) {
  if (length < 1 || length > kLongest || stride < 1 || stride > kLongest)
    return Fail(Code::kInvalidArgument, "--length and --stride of a text are 1 to {}", kLongest);
  ASSIGN_OR_RETURN(auto source, OpenSource(file));
  return std::make_unique<TextReader>(std::move(source), length, stride);
}

}  // namespace tributary
