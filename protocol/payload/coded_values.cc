#include "protocol/payload/coded_values.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tributary {

std::vector<ValueRun> RunsOf(uint64_t count, std::span<const ValueRange> exact) {
  std::vector<ValueRun> runs;
  const auto add = [&](uint64_t size, bool is_exact) {
    if (size > 0) runs.push_back({size, is_exact});
  };
  uint64_t at = 0;
  for (const ValueRange& range : exact) {
    const uint64_t first = std::min(range.first, count);
    const uint64_t end = std::min(range.first + range.size, count);
    add(first - at, false);
    add(end - first, true);
    at = end;
  }
  add(count - at, false);
  return runs;
}

Status CodedEncoder::Encode(std::span<const float> block, Bytes& update) {
  const size_t before = update.size();
  update.resize(before + codec_->BytesFor(block.size()));
  return codec_->Encode(block, MutableByteView(update).subspan(before));
}

Status CodedEncoder::Add(std::span<const float> values, Bytes& update) {
  if (!std::exchange(head_written_, true)) {
    const size_t head = update.size();
    update.resize(head + codec_->head_bytes());
    codec_->WriteHead(MutableByteView(update).subspan(head));
  }
  while (!values.empty()) {
    while (run_ < runs_.size() && runs_[run_].size == 0) ++run_;
    TRIBUTARY_CHECK(run_ < runs_.size()) << values.size() << " values too many";
    ValueRun& run = runs_[run_];
    const uint64_t whole = run.exact ? run.size : std::min<uint64_t>(codec_->block(), begun_.size() + run.size);
    const auto part = values.first(std::min<size_t>(whole - begun_.size(), values.size()));
    values = values.subspan(part.size());
    run.size -= part.size();
    if (run.exact) {
      Append(update, AsBytes(part));
    } else if (part.size() == whole) {
      RETURN_IF_ERROR(Encode(part, update));
    } else {
      begun_.insert(begun_.end(), part.begin(), part.end());
      if (begun_.size() < whole) break;
      RETURN_IF_ERROR(Encode(begun_, update));
      begun_.clear();
    }
  }
  return {};
}

CodedDecoder::CodedDecoder(std::unique_ptr<BlockCodec> codec, std::vector<ValueRange> exact, CountOf count_of,
                           Sink& sink)
    : codec_(std::move(codec)), exact_(std::move(exact)), count_of_(std::move(count_of)), sink_(&sink) {
  TRIBUTARY_CHECK(codec_->block() <= values_.size()) << codec_->block();
}

Status CodedDecoder::Feed(ByteView part) {
  if (status_) status_ = Take(part);
  return status_;
}

Status CodedDecoder::Finish() {
  if (status_) status_ = CheckComplete();
  return status_;
}

Status CodedDecoder::Take(ByteView part) {
  if (!meta_) {
    ASSIGN_OR_RETURN(meta_, head_.Feed(part));
    if (!meta_) return {};
    RETURN_IF_ERROR(sink_->OnMeta(*meta_));
    count_ = count_of_(meta_->parameter_count);
    runs_ = RunsOf(count_, exact_);
    head_read_ = codec_->head_bytes() == 0;
  }
  while (!part.empty()) {
    const size_t count = NextBlock();
    if (count == 0 && head_read_)
      return Fail(Code::kWrongTensorCount, "more than the announced {} values came", meta_->parameter_count);
    const size_t size = head_read_ ? BytesFor(count) : codec_->head_bytes();
    if (decoded_ + count > values_.size()) RETURN_IF_ERROR(Flush());
    ByteView whole = part;
    if (!split_.empty() || part.size() < size) {
      const size_t more = std::min(part.size(), size - split_.size());
      Append(split_, part.first(more));
      part = part.subspan(more);
      if (split_.size() < size) break;
      whole = split_;
    } else {
      part = part.subspan(size);
    }
    if (head_read_) {
      RETURN_IF_ERROR(DecodeBlock(whole.first(size), count));
    } else {
      codec_->ReadHead(whole.first(size));
      head_read_ = true;
    }
    split_.clear();
  }
  return Flush();
}

size_t CodedDecoder::NextBlock() {
  if (run_ < runs_.size() && of_run_ == runs_[run_].size) {
    ++run_;
    of_run_ = 0;
  }
  if (run_ == runs_.size()) return 0;
  const uint64_t left = runs_[run_].size - of_run_;
  return static_cast<size_t>(std::min<uint64_t>(codec_->block(), left));
}

size_t CodedDecoder::BytesFor(size_t count) const {
  return runs_[run_].exact ? count * sizeof(float) : codec_->BytesFor(count);
}

Status CodedDecoder::DecodeBlock(ByteView bytes, size_t count) {
  const auto to = std::span(values_).subspan(decoded_, count);
  if (runs_[run_].exact) {
    std::memcpy(to.data(), bytes.data(), bytes.size());
  } else {
    RETURN_IF_ERROR(codec_->Decode(bytes, to));
  }
  decoded_ += count;
  of_run_ += count;
  return {};
}

Status CodedDecoder::Flush() {
  if (decoded_ == 0) return {};
  const uint64_t first = next_;
  const size_t count = std::exchange(decoded_, 0);
  next_ += count;
  return sink_->OnValues(first, std::span<const float>(values_).first(count));
}

Status CodedDecoder::CheckComplete() const {
  if (!meta_) return Fail(Code::kMalformed, "the update ended in its head");
  if (!split_.empty() || !head_read_) return Fail(Code::kMalformed, "the update ended within a block");
  if (next_ != count_)
    return Fail(Code::kWrongTensorCount, "{} values came instead of the announced {}", next_, count_);
  return {};
}

}  // namespace tributary
