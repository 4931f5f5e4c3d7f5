#include "device/import/byte_source.h"

#include <zip.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tributary {
namespace {

constexpr size_t kPiece = 1 << 20;
constexpr int64_t kEntries = 1'000;

class GzSource final : public ByteSource {
 public:
  GzSource(std::string name, gzFile file) : ByteSource(std::move(name)), file_(file) { gzbuffer(file, 1 << 16); }
  ~GzSource() override { gzclose_r(file_); }

  Result<size_t> Read(MutableByteView out) override {
    size_t done = 0;
    while (done < out.size()) {
      const auto piece = static_cast<unsigned>(std::min(kPiece, out.size() - done));
      const int got = gzread(file_, out.data() + done, piece);
      int code = Z_OK;
      const char* text = gzerror(file_, &code);
      if (code == Z_ERRNO) return Fail(Code::kIo, "{}: {}", name(), std::strerror(errno));
      if (got < 0 || code != Z_OK) return Fail(Code::kCorrupt, "{}: broken gzip: {}", name(), text);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

 private:
  const gzFile file_;
};

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
using Archive = std::shared_ptr<zip_t>;

class ZipSource final : public ByteSource {
 public:
  ZipSource(std::string name, Archive archive, zip_file_t* file)
      : ByteSource(std::move(name)), archive_(std::move(archive)), file_(file) {}
  ~ZipSource() override { zip_fclose(file_); }

  Result<size_t> Read(MutableByteView out) override {
    size_t done = 0;
    while (done < out.size()) {
      const zip_int64_t got = zip_fread(file_, out.data() + done, std::min(kPiece, out.size() - done));
      if (got < 0) return Fail(Code::kCorrupt, "{}: {}", name(), zip_error_strerror(zip_file_get_error(file_)));
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

 private:
  const Archive archive_;
  zip_file_t* const file_;
};

Status CheckRegular(const Path& file) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (status.type() == std::filesystem::file_type::not_found)
    return Fail(Code::kMissingData, "there is no file {}", file.string());
  if (!error && status.type() != std::filesystem::file_type::regular)
    return Fail(Code::kIo, "{} is not a regular file", file.string());
  return {};
}

}  // namespace

Status ByteSource::ReadExactly(MutableByteView out, std::string_view what) {
  ASSIGN_OR_RETURN(const size_t got, Read(out));
  if (got == out.size()) return {};
  return Fail(Code::kCorrupt, "{}: {} is cut short: {} of {} bytes are there", name(), what, got, out.size());
}

Result<std::unique_ptr<ByteSource>> OpenSource(const Path& file) {
  RETURN_IF_ERROR(CheckRegular(file));
  errno = 0;
  const gzFile opened = gzopen(file.c_str(), "rb");
  if (!opened) {
    return Fail(errno == EACCES ? Code::kPermissions : Code::kIo, "cannot open {}: {}", file.string(),
                std::strerror(errno));
  }
  return std::make_unique<GzSource>(file.string(), opened);
}

Result<std::vector<std::unique_ptr<ByteSource>>> OpenArchive(const Path& file, std::string_view suffix) {
  RETURN_IF_ERROR(CheckRegular(file));
  int code = 0;
  const Archive archive(zip_open(file.c_str(), ZIP_RDONLY, &code), CloseArchive());
  if (!archive) {
    const Code kind = errno == EACCES && code == ZIP_ER_OPEN ? Code::kPermissions : Code::kCorrupt;
    return Fail(kind, "{} cannot be read as a ZIP archive (libzip error {})", file.string(), code);
  }
  const zip_int64_t entries = zip_get_num_entries(archive.get(), 0);
  if (entries > kEntries)
    return Fail(Code::kTooLarge, "{} has {} entries, at most {}", file.string(), entries, kEntries);
  std::vector<std::unique_ptr<ByteSource>> sources;
  for (zip_int64_t entry = 0; entry < entries; ++entry) {
    const char* name = zip_get_name(archive.get(), static_cast<zip_uint64_t>(entry), ZIP_FL_ENC_RAW);
    if (!name || !std::string_view(name).ends_with(suffix)) continue;
    zip_file_t* opened = zip_fopen_index(archive.get(), static_cast<zip_uint64_t>(entry), 0);
    if (!opened) {
      return Fail(Code::kCorrupt, "{}: {} cannot be read: {}", file.string(), name, zip_strerror(archive.get()));
    }
    sources.push_back(std::make_unique<ZipSource>(name, archive, opened));
  }
  return sources;
}

}  // namespace tributary
