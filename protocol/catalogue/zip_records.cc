#include "protocol/catalogue/zip_records.h"

#include <zlib.h>

#include <algorithm>
#include <set>

namespace tributary {
namespace {

// APPNOTE.TXT of PKWARE, sections 4.3.7 to 4.3.16. All numbers are little endian.
constexpr uint32_t kLocalHeader = 0x04034b50, kEntry = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kLocator64 = 0x07064b50;
constexpr size_t kLocalHeaderBytes = 30, kEntryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;
// Encrypted, a patch, strongly encrypted, a masked directory.
constexpr uint64_t kRefusedFlags = 0x0001 | 0x0020 | 0x0040 | 0x2000;
constexpr uint64_t kStored = 0, kDeflated = 8;
// LibTorch looks for the mark of a flatbuffer ("PTMF") in the fifth to eighth byte before it looks for a zip, and a
// flatbuffer's code runs unchecked. Here stand the version that is needed (at most 6.3 in APPNOTE.TXT, 4.4.3) and flags.
constexpr uint64_t kNewestVersion = 63;

// The caller has checked that it lies within the bytes.
uint64_t Number(ByteView bytes, size_t at, size_t width) {
  uint64_t value = 0;
  for (size_t i = 0; i < width; ++i) value |= uint64_t{bytes[at + i]} << (8 * i);
  return value;
}
uint64_t U16(ByteView bytes, size_t at) { return Number(bytes, at, 2); }
uint64_t U32(ByteView bytes, size_t at) { return Number(bytes, at, 4); }
uint64_t U64(ByteView bytes, size_t at) { return Number(bytes, at, 8); }

tl::unexpected<Error> OddArchive(std::string_view what) {
  return Fail(Code::kModelRefused,
              "the archive {}, as torch.jit.save never writes it; nothing of it was loaded. Save the model again with "
              "torch.jit.script(model).save(\"model.pt\")",
              what);
}

struct Directory {
  ByteView entries;
  uint64_t count = 0;
  uint64_t offset = 0;  // in the archive; the records lie before it
};

// The directory ends where its end record begins, and that is the archive's end: there is one place to look.
Result<Directory> FindDirectory(ByteView archive) {
  if (archive.size() < kLocalHeaderBytes + kEntryBytes + kEndBytes || U32(archive, 0) != kLocalHeader) {
    return Fail(Code::kMalformed, "not a zip archive");
  }
  const size_t end = archive.size() - kEndBytes;
  if (U32(archive, end) != kEnd)
    return Fail(Code::kMalformed, "a zip archive without its end: the file was cut off, or has more behind it");
  Directory found{{}, U16(archive, end + 10), U32(archive, end + 16)};
  uint64_t size = U32(archive, end + 12), behind = end, disks = U32(archive, end + 4), here = U16(archive, end + 8);
  if (end >= kEnd64Bytes + kLocator64Bytes && U32(archive, end - kLocator64Bytes) == kLocator64) {
    behind = end - kLocator64Bytes - kEnd64Bytes;
    if (U32(archive, behind) != kEnd64 || U64(archive, end - kLocator64Bytes + 8) != behind) {
      return OddArchive("has a second end record in an odd place");
    }
    found = {{}, U64(archive, behind + 32), U64(archive, behind + 48)};
    size = U64(archive, behind + 40), disks |= U64(archive, behind + 16), here = U64(archive, behind + 24);
  }
  if (disks != 0 || here != found.count || U16(archive, end + 20) != 0) {
    return OddArchive("has parts in other files, or a comment");
  }
  if (size > behind || found.offset != behind - size) return OddArchive("has a gap around its directory");
  found.entries = archive.subspan(found.offset, size);
  return found;
}

bool IsPlainName(std::string_view name) {
  const auto odd = [](unsigned char letter) { return letter < 0x20 || letter == 0x7f || letter == '\\'; };
  if (name.empty() || std::ranges::any_of(name, odd)) return false;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t slash = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, slash - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = slash + 1;
  }
  return true;
}

// One entry of the directory and, through it, the record in the archive. Takes the entry off `entries`.
Result<ZipRecord> TakeEntry(ByteView archive, const Directory& directory, ByteView& entries) {
  if (entries.size() < kEntryBytes || U32(entries, 0) != kEntry) return OddArchive("has a broken directory");
  const size_t name_size = U16(entries, 28), whole = kEntryBytes + name_size + U16(entries, 30) + U16(entries, 32);
  if (whole > entries.size()) return OddArchive("has a broken directory");
  ZipRecord record{std::string(AsText(entries.subspan(kEntryBytes, name_size))), {}, U32(entries, 24)};
  if (!IsPlainName(record.name)) return OddArchive(fmt::format("has a record with an odd name ({} bytes)", name_size));
  const uint64_t flags = U16(entries, 8), method = U16(entries, 10), packed = U32(entries, 20), at = U32(entries, 42);
  const auto odd = [&](std::string_view what) { return OddArchive(fmt::format("{} ({})", what, record.name)); };
  if ((flags & kRefusedFlags) != 0) return odd("has an encrypted record");
  if (method != kStored && method != kDeflated) return odd("has a record with an unknown compression");
  record.deflated = method == kDeflated;
  if (std::max({record.size, packed, at}) == UINT32_MAX || U16(entries, 34) != 0)
    return odd("has a record of over 4 GiB");
  if (!record.deflated && packed != record.size) return odd("has a record of two sizes");
  if (at + kLocalHeaderBytes > directory.offset || U32(archive, at) != kLocalHeader)
    return odd("has a record without a header");
  const uint64_t local_flags = U16(archive, at + 6), sizes_follow = 0x0008;
  if (U16(archive, at + 4) > kNewestVersion || local_flags != flags || U16(archive, at + 8) != method)
    return odd("has a record whose two headers differ");
  const uint64_t data = at + kLocalHeaderBytes + U16(archive, at + 26) + U16(archive, at + 28);
  if (data + packed > directory.offset) return odd("has a record that runs into the directory");
  // Sizes that follow the record are 0 in its header.
  const uint64_t local_packed = U32(archive, at + 18), local_size = U32(archive, at + 22);
  const bool as_in_directory = local_packed == packed && local_size == record.size;
  if (!as_in_directory && !((flags & sizes_follow) != 0 && local_packed == 0 && local_size == 0))
    return odd("has a record whose two headers differ");
  if (U16(archive, at + 26) != name_size ||
      !std::ranges::equal(archive.subspan(at + kLocalHeaderBytes, name_size), AsBytes(record.name))) {
    return odd("has a record of two names");
  }
  record.packed = archive.subspan(data, packed);
  entries = entries.subspan(whole);
  return record;
}

}  // namespace

Result<std::vector<ZipRecord>> ReadZipRecords(ByteView archive, size_t most) {
  ASSIGN_OR_RETURN(const Directory directory, FindDirectory(archive));
  if (directory.count > most) {
    return Fail(Code::kModelRefused, "the archive has {} records, and a model may have {}; nothing of it was loaded",
                directory.count, most);
  }
  std::vector<ZipRecord> records;
  std::set<std::string> names;
  std::string top;
  uint64_t stored = 0;
  for (ByteView entries = directory.entries; records.size() < directory.count;) {
    ASSIGN_OR_RETURN(ZipRecord record, TakeEntry(archive, directory, entries));
    if (records.empty()) top = record.name.substr(0, record.name.find('/') + 1);
    if (top.empty() || !record.name.starts_with(top)) return OddArchive("has records beside its one top folder");
    // LibTorch's reader does not tell upper from lower case.
    std::string name = record.name.substr(top.size());
    std::ranges::transform(name, name.begin(),
                           [](char letter) { return letter >= 'A' && letter <= 'Z' ? letter + 32 : letter; });
    if (!names.insert(name).second) return OddArchive(fmt::format("has two records of one name ({})", record.name));
    record.name = std::move(name);
    // Records that share bytes would unpack to more than there is.
    stored += record.packed.size();
    if (stored > archive.size()) return OddArchive("has records that lie over each other");
    records.push_back(std::move(record));
    if (records.size() == directory.count && !entries.empty())
      return OddArchive("has more in its directory than it says");
  }
  return records;
}

Result<std::string> Unpack(const ZipRecord& record, uint64_t limit) {
  if (record.size > limit) {
    return Fail(Code::kTooLarge, "record {} of the archive has {} bytes; the limit is {}", record.name, record.size,
                limit);
  }
  if (!record.deflated) return std::string(AsText(record.packed));
  std::string text(record.size, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return Fail(Code::kIo, "zlib does not start");
  // zlib takes pointers to what it does not write as pointers to what it may.
  stream.next_in = const_cast<Bytef*>(record.packed.data());
  stream.avail_in = static_cast<uInt>(record.packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  const int ended = inflate(&stream, Z_FINISH);
  const bool whole = ended == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  if (!whole) return OddArchive(fmt::format("has a record that is not what its size says ({})", record.name));
  return text;
}

}  // namespace tributary
