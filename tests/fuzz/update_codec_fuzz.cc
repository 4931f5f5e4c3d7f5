#include <algorithm>
#include <iterator>

#include "protocol/payload/update_codec.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using namespace tributary;

// Takes everything and checks the order.
class CountingSink final : public UpdateDecoder::Sink {
 public:
  Status OnMeta(const UpdateMeta& meta) override {
    TRIBUTARY_CHECK(!meta_seen) << "meta twice";
    meta_seen = true;
    announced = meta.parameter_count;
    return {};
  }
  Status OnValues(uint64_t first, std::span<const float> values) override {
    TRIBUTARY_CHECK(meta_seen && first == count && !values.empty()) << first << " after " << count;
    count += values.size();
    // A rotated vector is filled up to a whole block.
    TRIBUTARY_CHECK(count <= announced + 4096) << count << " of " << announced;
    return {};
  }
  bool meta_seen = false;
  uint64_t announced = 0;
  uint64_t count = 0;
};

// The verdict and the values do not depend on how the plaintext was cut.
std::pair<bool, uint64_t> Decode(const UpdateFormat& format, ByteView input, size_t step) {
  CountingSink sink;
  const auto decoder = MakeUpdateDecoder(format, sink);
  TRIBUTARY_CHECK(decoder) << "no decoder";
  bool good = true;
  for (size_t at = 0; good && at < input.size(); at += step) {
    good = (*decoder)->Feed(input.subspan(at, std::min(step, input.size() - at))).has_value();
  }
  const bool finished = (*decoder)->Finish().has_value();
  TRIBUTARY_CHECK(good || !finished) << "an error was forgotten";
  TRIBUTARY_CHECK(!finished || sink.count >= sink.announced) << sink.count << " of " << sink.announced;
  return {finished, finished ? sink.count : 0};
}

}  // namespace

TRIBUTARY_FUZZ_TARGET(update_codec) {
  if (size < 2) return 0;
  const ByteView plaintext(data + 2, size - 2);
  constexpr Codec kCodecs[] = {Codec::kFloat32Dense, Codec::kFloat16, Codec::kBfloat16, Codec::kBlock8,
                               Codec::kBlock4,       Codec::kEden1,   Codec::kEden2,    Codec::kEden4,
                               Codec::kTop1,         Codec::kTop5,    LinearCodec(6)};
  UpdateFormat format(kCodecs[data[1] % std::size(kCodecs)], {{1, 1}, {70, 5}});
  format.linear = {{}, 0x1p-10, 1, 1};
  const auto whole = Decode(format, plaintext, std::max<size_t>(plaintext.size(), 1));
  const auto cut = Decode(format, plaintext, size_t{data[0]} + 1);
  TRIBUTARY_CHECK(whole == cut) << "in steps of " << data[0] + 1;
  return 0;
}
