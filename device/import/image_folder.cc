#include "device/import/image_folder.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "device/examples/collection.h"

namespace tributary {
namespace {

constexpr size_t kClasses = 10'000;
constexpr uint32_t kLongestSide = 16'384;

bool IsPicture(const Path& file) {
  std::string suffix = file.extension().string();
  std::ranges::transform(suffix, suffix.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return suffix == ".png" || suffix == ".jpg" || suffix == ".jpeg";
}

// The names in a folder of the entries for which `wanted` is true, sorted.
template <class Wanted>
Result<std::vector<std::string>> NamesIn(const Path& folder, const Wanted& wanted) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (wanted(*at)) names.push_back(at->path().filename().string());
  }
  if (error) return Fail(Code::kMissingData, "{} cannot be listed: {}", folder.string(), error.message());
  std::ranges::sort(names);
  return names;
}

Result<std::vector<std::string>> PicturesIn(const Path& folder) {
  return NamesIn(folder, [](const std::filesystem::directory_entry& entry) {
    std::error_code error;
    return IsPicture(entry.path()) && entry.is_regular_file(error);
  });
}

Result<Picture> ReadPicture(const Path& file) {
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(RealFileSystem(), file, kImageFileBytes));
  return DecodePicture(bytes);
}

class ImageFolderReader final : public ExampleReader {
 public:
  ImageFolderReader(Path folder, std::vector<std::string> classes, const ImageOptions& options)
      : folder_(std::move(folder)),
        classes_(std::move(classes)),
        options_(options),
        fields_{{"image", DType::kUint8, {options.grey ? 1 : 3, options.height, options.width}},
                {"label", DType::kInt64, {}}} {}
  const std::vector<ExampleField>& fields() const override { return fields_; }

  Status Read(ExampleSink& sink) override {
    for (const std::string& name : classes_) {
      // The sorted classes are numbered once and for all, also for a later import with more of them.
      ASSIGN_OR_RETURN(const int64_t label, sink.CodeOf("label", name));
      ASSIGN_OR_RETURN(const auto files, PicturesIn(folder_ / name));
      for (const std::string& file : files) {
        const Path path = folder_ / name / file;
        auto picture = ReadPicture(path);
        if (picture) picture = Resized(std::move(*picture), options_.width, options_.height, options_.resize);
        if (!picture) {
          RETURN_IF_ERROR(sink.Bad(picture.error(), path.string()));
          continue;
        }
        NewExample example{.id = name + "/" + file};
        example.values = ChannelsOf(*picture, options_.grey);
        AppendU64(example.values, static_cast<uint64_t>(label));
        RETURN_IF_ERROR(sink.Put(example, path.string()));
      }
    }
    return {};
  }

 private:
  const Path folder_;
  const std::vector<std::string> classes_;
  const ImageOptions options_;
  const std::vector<ExampleField> fields_;
};

}  // namespace

Result<std::unique_ptr<ExampleReader>> OpenImageFolder(const Path& folder, const ImageOptions& options) {
  ASSIGN_OR_RETURN(auto classes, NamesIn(folder, [](const std::filesystem::directory_entry& entry) {
                     std::error_code error;
                     return entry.is_directory(error);
                   }));
  if (classes.size() > kClasses)
    return Fail(Code::kTooLarge, "{} has {} folders, at most {} classes are taken", folder.string(), classes.size(),
                kClasses);
  ImageOptions sized = options;
  for (const std::string& name : classes) {
    if (sized.width > 0 && sized.height > 0) break;
    ASSIGN_OR_RETURN(const auto files, PicturesIn(folder / name));
    if (files.empty()) continue;
    const auto first = InFile(ReadPicture(folder / name / files.front()), folder / name / files.front());
    if (!first) return Fail(first.error());
    sized.width = first->width;
    sized.height = first->height;
  }
  if (sized.width < 1 || sized.height < 1) {
    return Fail(Code::kBadExample, "{} has no folders with PNG or JPEG files; it needs one folder for each class",
                folder.string());
  }
  if (sized.width > kLongestSide || sized.height > kLongestSide)
    return Fail(Code::kTooLarge, "images of {} x {}; a side has at most {}", sized.width, sized.height, kLongestSide);
  if (uint64_t{3} * sized.width * sized.height > kExampleBytes)
    return Fail(Code::kTooLarge, "images of {} x {} in three colours; an example has at most {} bytes", sized.width,
                sized.height, kExampleBytes);
  return std::make_unique<ImageFolderReader>(folder, std::move(classes), sized);
}

}  // namespace tributary
