#include "protocol/catalogue/npz_file.h"

#include <zlib.h>

#include <string>

#include <fmt/ranges.h>

namespace tributary {
namespace {

// APPNOTE.TXT of PKWARE, sections 4.3.7 to 4.3.16: version 2.0, names in UTF-8, stored, 1980-01-01.
constexpr uint32_t kRecord = 0x04034b50, kDirectoryEntry = 0x02014b50, kDirectoryEnd = 0x06054b50;
constexpr uint16_t kVersionNeeded = 20, kUtf8 = 0x0800, kFirstDay = 0x0021;
constexpr size_t kArrayAlignment = 64;

void AppendU16(Bytes& to, size_t value) {
  to.push_back(static_cast<uint8_t>(value));
  to.push_back(static_cast<uint8_t>(value >> 8));
}

// The head of a .npy file.
Bytes HeadOf(const TensorEntry& tensor) {
  // A tuple of one has a comma behind it.
  std::string text = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}{}), }}",
                                 fmt::join(tensor.shape, ", "), tensor.shape.size() == 1 ? "," : "");
  constexpr std::string_view kNpyMagic("\x93NUMPY\x01\0", 8);
  const size_t before = kNpyMagic.size() + 2 + text.size() + 1;
  text.append((kArrayAlignment - before % kArrayAlignment) % kArrayAlignment, ' ');
  text += '\n';
  Bytes head = ToBytes(AsBytes(kNpyMagic));
  AppendU16(head, text.size());
  Append(head, AsBytes(text));
  return head;
}

// What a record's own header and its entry in the directory have in common.
void AppendFacts(Bytes& to, uint32_t checksum, size_t size, size_t name_size) {
  AppendU16(to, kVersionNeeded);
  AppendU16(to, kUtf8);
  AppendU16(to, 0);  // stored
  AppendU16(to, 0);  // midnight
  AppendU16(to, kFirstDay);
  AppendU32(to, checksum);
  AppendU32(to, static_cast<uint32_t>(size));
  AppendU32(to, static_cast<uint32_t>(size));
  AppendU16(to, name_size);
  AppendU16(to, 0);  // nothing extra
}

}  // namespace

Result<Bytes> EncodeNpz(const TensorTable& table, std::span<const float> weights) {
  TRIBUTARY_CHECK(weights.size() == table.parameter_count())
      << weights.size() << " weights, " << table.parameter_count() << " in the table";
  // The names and heads stay below a kilobyte for each tensor.
  if (weights.size_bytes() + table.tensors.size() * 1024 > UINT32_MAX)
    return Fail(Code::kTooLarge, "{} bytes of weights are too many for one .npz", weights.size_bytes());
  Bytes file, directory;
  for (const TensorEntry& tensor : table.tensors) {
    const std::string name = tensor.name + ".npy";
    const Bytes head = HeadOf(tensor);
    const ByteView values = AsBytes(weights.subspan(tensor.offset, tensor.size));
    const auto checksum =
        static_cast<uint32_t>(crc32_z(crc32_z(0, head.data(), head.size()), values.data(), values.size()));
    const auto begin = static_cast<uint32_t>(file.size());
    const size_t size = head.size() + values.size();
    AppendU32(file, kRecord);
    AppendFacts(file, checksum, size, name.size());
    Append(file, AsBytes(name));
    Append(file, head);
    Append(file, values);
    AppendU32(directory, kDirectoryEntry);
    AppendU16(directory, kVersionNeeded);  // it was made by
    AppendFacts(directory, checksum, size, name.size());
    directory.insert(directory.end(), 10, 0);  // no comment, first disk, no attributes
    AppendU32(directory, begin);
    Append(directory, AsBytes(name));
  }
  const auto begin = static_cast<uint32_t>(file.size());
  Append(file, directory);
  AppendU32(file, kDirectoryEnd);
  AppendU32(file, 0);  // one disk
  AppendU16(file, table.tensors.size());
  AppendU16(file, table.tensors.size());
  AppendU32(file, static_cast<uint32_t>(directory.size()));
  AppendU32(file, begin);
  AppendU16(file, 0);  // no comment
  return file;
}

}  // namespace tributary
