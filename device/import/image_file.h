#pragma once

#include <cstdint>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace tributary {

// Three bytes a pixel, red, green and blue; row after row from the top.
struct Picture {
  uint32_t width = 0;
  uint32_t height = 0;
  Bytes pixels;
};

// The most pixels that an image may announce; checked before they are allocated.
inline constexpr uint64_t kPixels = uint64_t{1} << 26;
// The most bytes of an image file.
inline constexpr uint64_t kImageFileBytes = uint64_t{64} << 20;

// A PNG or JPEG, by its first bytes; what is transparent is seen on black. kCorrupt: damaged; kTooLarge: over kPixels;
// kNotSupported: neither, or a JPEG for print (CMYK).
Result<Picture> DecodePicture(ByteView bytes);

enum class Resize : uint8_t {
  kRefuse,   // another size is an error
  kArea,     // each pixel is the mean of the area that it covers: for making smaller
  kNearest,  // the value of the nearest pixel
};

// kBadExample: another size, and `how` is kRefuse.
Result<Picture> Resized(Picture picture, uint32_t width, uint32_t height, Resize how);

// The channels one after another, as models take them: [3, height, width], or with `grey` [1, height, width] (ITU-R
// BT.601).
Bytes ChannelsOf(const Picture& picture, bool grey);

}  // namespace tributary
