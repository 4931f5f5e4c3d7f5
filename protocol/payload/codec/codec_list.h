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

namespace tributary {

// The codecs of updates by their names in a plan. Another one is a file beside this, a number in envelope.h, and its line
// in codec_list.cc.
std::string_view CodecName(Codec codec);                     // empty: it carries no updates
std::optional<Codec> CodecNamed(std::string_view name);      // nullopt: this build does not know it

// The first of a plan's codecs that this build knows. kUnknownCodec: it knows none of them.
Result<Codec> FirstKnown(std::span<const std::string> names);
// kUnknownCodec: an update came in a codec that the plan does not list.
Status CheckListed(Codec codec, std::span<const std::string> names);
// Whether a new task may list these: some, each known here and named once. kInvalidArgument.
Status CheckCodecs(std::span<const std::string> names);

// For updates that are encoded, with the generator that rounds; null for float32, which needs no codec.
std::unique_ptr<BlockCodec> MakeBlockEncoder(Codec codec, Random& random);
std::unique_ptr<BlockCodec> MakeBlockDecoder(Codec codec);

}  // namespace tributary
