#include "protocol/payload/codec/codec_list.h"

#include <algorithm>
#include <utility>

#include <fmt/ranges.h>

#include "protocol/payload/codec/half.h"
#include "protocol/payload/codec/scaled_block.h"

namespace tributary {
namespace {

struct CodecLine {
  Codec codec;
  std::string_view name;
  std::unique_ptr<BlockCodec> (*make)(std::unique_ptr<RoundingBits> rounding);
};

using Rounding = std::unique_ptr<RoundingBits>;

constexpr CodecLine kCodecs[] = {
    {Codec::kFloat32Dense, "float32", [](Rounding) { return std::unique_ptr<BlockCodec>(); }},
    {Codec::kFloat16, "float16", MakeFloat16},
    {Codec::kBfloat16, "bfloat16", MakeBfloat16},
    {Codec::kBlock8, "block8", [](Rounding rounding) { return MakeScaledBlock(8, std::move(rounding)); }},
    {Codec::kBlock4, "block4", [](Rounding rounding) { return MakeScaledBlock(4, std::move(rounding)); }},
};

std::unique_ptr<BlockCodec> Make(Codec codec, Rounding rounding) {
  const auto line = std::ranges::find(kCodecs, codec, &CodecLine::codec);
  return line == std::end(kCodecs) ? nullptr : line->make(std::move(rounding));
}

}  // namespace

std::string_view CodecName(Codec codec) {
  const auto line = std::ranges::find(kCodecs, codec, &CodecLine::codec);
  return line == std::end(kCodecs) ? std::string_view() : line->name;
}

std::optional<Codec> CodecNamed(std::string_view name) {
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
    if (!CodecNamed(names[i])) {
      std::vector<std::string_view> known;
      for (const CodecLine& line : kCodecs) known.push_back(line.name);
      return Fail(Code::kInvalidArgument, "plan.update_codec must be of {}, not '{}'", fmt::join(known, ", "),
                  names[i].substr(0, 80));
    }
    if (std::ranges::find(names.first(i), names[i]) != names.first(i).end())
      return Fail(Code::kInvalidArgument, "plan.update_codec names {} twice", names[i]);
  }
  return {};
}

std::unique_ptr<BlockCodec> MakeBlockEncoder(Codec codec, Random& random) {
  return Make(codec, std::make_unique<RoundingBits>(random));
}

std::unique_ptr<BlockCodec> MakeBlockDecoder(Codec codec) { return Make(codec, nullptr); }

}  // namespace tributary
