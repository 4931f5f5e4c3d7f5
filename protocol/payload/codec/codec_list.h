#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base/random.h"
#include "protocol/base/result.h"
#include "protocol/envelope/envelope.h"
#include "protocol/payload/codec/block_codec.h"
#include "protocol/payload/codec/linear.h"

namespace tributary {

// The codecs of updates by their names in a plan. Another one is a file beside this, a number in envelope.h, and its
// line in codec_list.cc.
std::string CodecName(Codec codec);                      // empty: it carries no updates
std::optional<Codec> CodecNamed(std::string_view name);  // nullopt: this build does not know it

// The first of a plan's codecs that this build knows. kUnknownCodec: it knows none of them.
Result<Codec> FirstKnown(std::span<const std::string> names);
// kUnknownCodec: an update came in a codec that the plan does not list.
Status CheckListed(Codec codec, std::span<const std::string> names);
// Whether a new task may list these: some, each known here and named once; a linear one alone, since its sums are of
// another vector. kInvalidArgument.
Status CheckCodecs(std::span<const std::string> names);
// Whether the codec leaves out what its device must add to the next update; the others are unbiased.
constexpr bool KeepsResidual(Codec codec) { return codec == Codec::kTop1 || codec == Codec::kTop5; }
// The bits of the linear codec that is the plan's only one; nullopt: it has others.
std::optional<int> LinearBitsOf(std::span<const std::string> names);

// For updates that are encoded, with the generator that rounds, and decoded; null for float32, which needs no codec.
// `round` is of a linear codec, and null for others.
std::unique_ptr<BlockCodec> MakeBlockEncoder(Codec codec, Random& random, const LinearRound* round = nullptr);
std::unique_ptr<BlockCodec> MakeBlockDecoder(Codec codec, const LinearRound* round = nullptr);

}  // namespace tributary
