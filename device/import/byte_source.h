#pragma once

#include <memory>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// Bytes that are read once, from front to back. Errors name the file.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills `out`, but for the end; how many bytes it was. kCorrupt: broken compression; kIo.
  virtual Result<size_t> Read(MutableByteView out) = 0;
  // kCorrupt: cut short.
  Status ReadExactly(MutableByteView out, std::string_view what);
  const std::string& name() const { return name_; }

 protected:
  explicit ByteSource(std::string name) : name_(std::move(name)) {}

 private:
  const std::string name_;
};

// A file, plain or gzip. kMissingData, kPermissions, kIo.
Result<std::unique_ptr<ByteSource>> OpenSource(const Path& file);

// The entries of a ZIP archive whose names end with `suffix`, all open at once, in the archive's order. kCorrupt: no ZIP
// archive, or damaged; kTooLarge: over 1,000 entries.
Result<std::vector<std::unique_ptr<ByteSource>>> OpenArchive(const Path& file, std::string_view suffix);

}  // namespace tributary
