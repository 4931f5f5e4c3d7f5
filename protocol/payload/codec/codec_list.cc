#include "protocol/payload/codec/codec_list.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "protocol/payload/codec/eden.h"
#include "protocol/payload/codec/half.h"
#include "protocol/payload/codec/scaled_block.h"
#include "protocol/payload/codec/top_k.h"

namespace tributary {
namespace {

// The maker gets null for a decoder.
struct CodecLine {
  Codec codec;
  std::string_view name;
  std::unique_ptr<BlockCodec> (*make)(Random* random);
};

std::unique_ptr<RoundingBits> Rounding(Random* random) {
  return random == nullptr ? nullptr : std::make_unique<RoundingBits>(*random);
}

constexpr CodecLine kCodecs[] = {
    {Codec::kFloat32Dense, "float32", [](Random*) { return std::unique_ptr<BlockCodec>(); }},
    {Codec::kFloat16, "float16", [](Random* random) { return MakeFloat16(Rounding(random)); }},
    {Codec::kBfloat16, "bfloat16", [](Random* random) { return MakeBfloat16(Rounding(random)); }},
    {Codec::kBlock8, "block8", [](Random* random) { return MakeScaledBlock(8, Rounding(random)); }},
    {Codec::kBlock4, "block4", [](Random* random) { return MakeScaledBlock(4, Rounding(random)); }},
    {Codec::kEden1, "eden1", [](Random* random) { return MakeEden(1, random); }},
    {Codec::kEden2, "eden2", [](Random* random) { return MakeEden(2, random); }},
    {Codec::kEden4, "eden4", [](Random* random) { return MakeEden(4, random); }},
    {Codec::kTop1, "top1", [](Random*) { return MakeTopK(1); }},
    {Codec::kTop5, "top5", [](Random*) { return MakeTopK(5); }},
};
constexpr std::string_view kLinearName = "linear";  // and the bits

std::unique_ptr<BlockCodec> Make(Codec codec, Random* random, const LinearRound* round) {
  if (IsLinear(codec)) return MakeLinear(LinearBits(codec), *round, Rounding(random));
  const auto line = std::ranges::find(kCodecs, codec, &CodecLine::codec);
  return line == std::end(kCodecs) ? nullptr : line->make(random);
}

// "float32, float16, … and linear4 to linear24".
std::string AllNames() {
  std::vector<std::string_view> names;
  for (const CodecLine& line : kCodecs) names.push_back(line.name);
  return fmt::format("{} and {}{} to {}{}", fmt::join(names, ", "), kLinearName, int{kLeastLinearBits}, kLinearName,
                     int{kMostLinearBits});
}

}  // namespace

std::string CodecName(Codec codec) {
  if (IsLinear(codec)) return fmt::format("{}{}", kLinearName, LinearBits(codec));
  const auto line = std::ranges::find(kCodecs, codec, &CodecLine::codec);
  return std::string(line == std::end(kCodecs) ? std::string_view() : line->name);
}

std::optional<Codec> CodecNamed(std::string_view name) {
  for (int bits = kLeastLinearBits; bits <= kMostLinearBits; ++bits) {
    if (name == CodecName(LinearCodec(bits))) return LinearCodec(bits);
  }
  const auto line = std::ranges::find(kCodecs, name, &CodecLine::name);
  return line == std::end(kCodecs) ? std::nullopt : std::optional(line->codec);
}

Result<Codec> FirstKnown(std::span<const std::string> names) {
  for (const std::string& name : names) {
    if (const auto codec = CodecNamed(name)) return *codec;
  }
  return Fail(Code::kUnknownCodec,
              "the plan takes updates as {} only, which this device does not know; a newer device would",
              fmt::join(names, ", "));
}

Status CheckListed(Codec codec, std::span<const std::string> names) {
  if (std::ranges::find(names, CodecName(codec)) != names.end()) return {};
  return Fail(Code::kUnknownCodec, "an update in codec {} ({}); the plan takes {}", static_cast<unsigned>(codec),
              CodecName(codec), fmt::join(names, ", "));
}

Status CheckCodecs(std::span<const std::string> names) {
  if (names.empty()) return Fail(Code::kInvalidArgument, "plan.update_codec must name at least one codec");
  for (size_t i = 0; i < names.size(); ++i) {
    const auto codec = CodecNamed(names[i]);
    if (!codec)
      return Fail(Code::kInvalidArgument, "plan.update_codec must be of {}, not '{}'", AllNames(),
                  names[i].substr(0, 80));
    if (IsLinear(*codec) && names.size() > 1)
      return Fail(Code::kInvalidArgument, "plan.update_codec has {} beside others; a linear codec stands alone",
                  names[i]);
    if (std::ranges::find(names.first(i), names[i]) != names.first(i).end())
      return Fail(Code::kInvalidArgument, "plan.update_codec names {} twice", names[i]);
  }
  return {};
}

std::optional<int> LinearBitsOf(std::span<const std::string> names) {
  const auto codec = names.size() == 1 ? CodecNamed(names.front()) : std::nullopt;
  return codec && IsLinear(*codec) ? std::optional(LinearBits(*codec)) : std::nullopt;
}

std::unique_ptr<BlockCodec> MakeBlockEncoder(Codec codec, Random& random, const LinearRound* round) {
  return Make(codec, &random, round);
}

std::unique_ptr<BlockCodec> MakeBlockDecoder(Codec codec, const LinearRound* round) {
  return Make(codec, nullptr, round);
}

}  // namespace tributary
