#include "device/import/image_file.h"

#include <png.h>
#include <turbojpeg.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace tributary {
namespace {

constexpr size_t kChannels = 3;

Status CheckSize(uint64_t width, uint64_t height) {
  if (width > 0 && height > 0 && width <= kPixels && height <= kPixels / width) return {};
  return Fail(Code::kTooLarge, "an image of {} x {} pixels; between 1 and {} pixels are taken", width, height, kPixels);
}

Result<Picture> DecodePng(ByteView bytes) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  const auto damaged = [&] {
    const std::string why = image.message;
    png_image_free(&image);
    return Fail(Code::kCorrupt, "a damaged PNG: {}", why);
  };
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) return damaged();
  if (const Status size = CheckSize(image.width, image.height); !size) {
    png_image_free(&image);
    return Fail(size.error());
  }
  image.format = PNG_FORMAT_RGB;
  Picture picture{image.width, image.height, Bytes(kChannels * image.width * image.height)};
  const png_color black{};
  if (png_image_finish_read(&image, &black, picture.pixels.data(), 0, nullptr) == 0) return damaged();
  return picture;
}

struct DestroyDecoder {
  void operator()(void* decoder) const { tjDestroy(decoder); }
};

Result<Picture> DecodeJpeg(ByteView bytes) {
  const std::unique_ptr<void, DestroyDecoder> decoder(tjInitDecompress());
  const auto damaged = [&] { return Fail(Code::kCorrupt, "a damaged JPEG: {}", tjGetErrorStr2(decoder.get())); };
  int width = 0, height = 0, sampling = 0, colours = 0;
  if (!decoder ||
      tjDecompressHeader3(decoder.get(), bytes.data(), bytes.size(), &width, &height, &sampling, &colours) != 0) {
    return damaged();
  }
  RETURN_IF_ERROR(CheckSize(static_cast<uint64_t>(std::max(0, width)), static_cast<uint64_t>(std::max(0, height))));
  if (colours == TJCS_CMYK || colours == TJCS_YCCK)
    return Fail(Code::kNotSupported, "a JPEG in CMYK, for print; save it as RGB");
  Picture picture{static_cast<uint32_t>(width), static_cast<uint32_t>(height), {}};
  picture.pixels.resize(kChannels * picture.width * picture.height);
  // The exact transform, so that every machine reads the same bytes; a warning is a file that is cut short.
  if (tjDecompress2(decoder.get(), bytes.data(), bytes.size(), picture.pixels.data(), width, 0, height, TJPF_RGB,
                    TJFLAG_ACCURATEDCT) != 0) {
    return damaged();
  }
  return picture;
}

// The sum of `from` over [begin, end) of an axis whose pixels are `unit` long, for both axes: exact in whole numbers.
Picture ByArea(const Picture& from, uint32_t width, uint32_t height) {
  // Along each row first, then along the columns; a pixel of the result covers from.width / width pixels.
  std::vector<uint64_t> rows(kChannels * size_t{width} * from.height);
  const auto spread = [](uint64_t length, uint64_t result, auto&& add) {
    for (uint64_t to = 0; to < result; ++to) {
      const uint64_t begin = to * length, end = begin + length;  // in units of 1 / result of a pixel
      for (uint64_t pixel = begin / result; pixel * result < end; ++pixel)
        add(to, pixel, std::min(end, (pixel + 1) * result) - std::max(begin, pixel * result));
    }
  };
  for (size_t row = 0; row < from.height; ++row) {
    spread(from.width, width, [&](uint64_t to, uint64_t pixel, uint64_t part) {
      for (size_t channel = 0; channel < kChannels; ++channel) {
        rows[kChannels * (row * width + to) + channel] +=
            part * from.pixels[kChannels * (row * from.width + pixel) + channel];
      }
    });
  }
  Picture picture{width, height, Bytes(kChannels * size_t{width} * height)};
  std::vector<uint64_t> sums(kChannels * size_t{width} * height);
  spread(from.height, height, [&](uint64_t to, uint64_t pixel, uint64_t part) {
    for (size_t i = 0; i < kChannels * width; ++i)
      sums[to * kChannels * width + i] += part * rows[pixel * kChannels * width + i];
  });
  const uint64_t whole = uint64_t{from.width} * from.height;
  std::ranges::transform(sums, picture.pixels.begin(),
                         [&](uint64_t sum) { return static_cast<uint8_t>((sum + whole / 2) / whole); });
  return picture;
}

Picture ByNearest(const Picture& from, uint32_t width, uint32_t height) {
  Picture picture{width, height, Bytes(kChannels * size_t{width} * height)};
  for (uint64_t row = 0; row < height; ++row) {
    const uint64_t from_row = (2 * row + 1) * from.height / (2 * uint64_t{height});
    for (uint64_t column = 0; column < width; ++column) {
      const uint64_t from_column = (2 * column + 1) * from.width / (2 * uint64_t{width});
      std::copy_n(&from.pixels[kChannels * (from_row * from.width + from_column)], kChannels,
                  &picture.pixels[kChannels * (row * width + column)]);
    }
  }
  return picture;
}

}  // namespace

Result<Picture> DecodePicture(ByteView bytes) {
  constexpr std::string_view kPng = "\x89PNG", kJpeg = "\xFF\xD8\xFF";
  if (AsText(bytes).starts_with(kPng)) return DecodePng(bytes);
  if (AsText(bytes).starts_with(kJpeg)) return DecodeJpeg(bytes);
  return Fail(Code::kNotSupported, "neither a PNG nor a JPEG");
}

Result<Picture> Resized(Picture picture, uint32_t width, uint32_t height, Resize how) {
  if (picture.width == width && picture.height == height) return picture;
  if (how == Resize::kRefuse) {
    return Fail(Code::kBadExample,
                "the image is {} high and {} wide, {} and {} are asked for; --resize area or --resize nearest fits it",
                picture.height, picture.width, height, width);
  }
  return how == Resize::kArea ? ByArea(picture, width, height) : ByNearest(picture, width, height);
}

Bytes ChannelsOf(const Picture& picture, bool grey) {
  const size_t pixels = picture.pixels.size() / kChannels;
  Bytes channels((grey ? 1 : kChannels) * pixels);
  for (size_t i = 0; i < pixels; ++i) {
    const uint8_t* from = &picture.pixels[kChannels * i];
    if (grey) {
      // 0.299, 0.587 and 0.114 in 256ths; they sum to 256, so that grey stays as it is.
      channels[i] = static_cast<uint8_t>((77 * from[0] + 150 * from[1] + 29 * from[2] + 128) / 256);
    } else {
      for (size_t channel = 0; channel < kChannels; ++channel) channels[channel * pixels + i] = from[channel];
    }
  }
  return channels;
}

}  // namespace tributary
