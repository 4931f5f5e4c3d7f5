#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "device/import/deal.h"
#include "device/import/example_reader.h"
#include "device/import/image_file.h"
#include "device/import/table_rows.h"
#include "protocol/base/file.h"

namespace tributary {

enum class FileFormat : uint8_t { kByName, kCsv, kNumpy, kImages, kSql, kIdx, kText };

// The options of the data command.
struct DataArguments {
  Path config;
  std::string device;  // of a fleet
  std::string collection = "examples";
  std::vector<std::string> files;
  FileFormat format = FileFormat::kByName;
  bool keep_good = false, no_header = false, text = false;
  // Of a collection that is made, or changed.
  std::string purpose;
  Retention retention;
  double held_out_share = 0.1;
  std::vector<std::string> given;  // the options of an import, each as --name
  // Of tables.
  std::vector<std::string> fields, targets;
  TableOptions table;
  std::string delimiter = ",", sql;
  uint64_t length = 64;
  bool stride_given = false;
  // Of images.
  std::string size;
  Resize resize = Resize::kRefuse;
  bool grey = false;
  // Of a fleet: how examples are dealt out to all devices.
  Deal deal;
  bool deals = false;
  // Of remove.
  std::string id, group;
  bool whole = false;
};

// The kind of a file, as it was given or as its name says.
FileFormat FormatOf(const DataArguments& arguments, const Path& file);
// The file's reader. kInvalidArgument: an option that its kind does not take; those of the readers.
Result<std::unique_ptr<ExampleReader>> OpenFile(const DataArguments& arguments, const Path& file);

}  // namespace tributary
