#include "device/import/data_arguments.h"

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>

#include "device/import/csv_reader.h"
#include "device/import/idx_reader.h"
#include "device/import/image_folder.h"
#include "device/import/npy_reader.h"
#include "device/import/sql_reader.h"
#include "device/import/text_reader.h"

namespace tributary {
namespace {

Result<std::vector<FieldRequest>> ParseRequests(const std::vector<std::string>& texts) {
  std::vector<FieldRequest> requests;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(FieldRequest request, FieldRequest::Parse(text));
    requests.push_back(std::move(request));
  }
  return requests;
}

Result<ImageOptions> ImageOptionsOf(const DataArguments& arguments) {
  ImageOptions options{.resize = arguments.resize, .grey = arguments.grey};
  if (arguments.size.empty()) return options;
  std::istringstream text(arguments.size);
  char x = 0, more = 0;
  if (text >> options.height >> x >> options.width && x == 'x' && !(text >> more)) return options;
  return Fail(Code::kInvalidArgument, "--size is HEIGHTxWIDTH, as 32x32, not '{}'", arguments.size);
}

// An option that the file's kind does not take was meant for something.
Status CheckOptionsSuit(const DataArguments& arguments, FileFormat format) {
  using enum FileFormat;
  struct Suits {
    std::string_view option;
    std::initializer_list<FileFormat> formats;
    std::string_view kinds;
  };
  static const Suits kSuits[] = {
      {"--field", {kCsv, kSql, kNumpy}, "CSV, SQLite and NumPy"},
      {"--category", {kCsv, kSql}, "CSV and SQLite"},
      {"--id", {kCsv, kSql}, "CSV and SQLite"},
      {"--group", {kCsv, kSql}, "CSV and SQLite"},
      {"--missing", {kCsv, kSql}, "CSV and SQLite"},
      {"--rows", {kCsv, kSql}, "CSV and SQLite"},
      {"--horizon", {kCsv, kSql}, "CSV and SQLite"},
      {"--target", {kCsv, kSql}, "CSV and SQLite"},
      {"--stride", {kCsv, kSql, kText}, "CSV, SQLite and text"},
      {"--delimiter", {kCsv}, "CSV"},
      {"--no-header", {kCsv}, "CSV"},
      {"--length", {kText}, "text"},
      {"--size", {kImages}, "folders of images"},
      {"--resize", {kImages}, "folders of images"},
      {"--grey", {kImages}, "folders of images"},
  };
  for (const Suits& suits : kSuits) {
    const bool given = std::ranges::find(arguments.given, suits.option) != arguments.given.end();
    if (!given || std::ranges::find(suits.formats, format) != suits.formats.end()) continue;
    return Fail(Code::kInvalidArgument, "{} is for {}; leave it out, or say with --format what the file is",
                suits.option, suits.kinds);
  }
  return {};
}

}  // namespace

FileFormat FormatOf(const DataArguments& arguments, const Path& file) {
  if (arguments.format != FileFormat::kByName) return arguments.format;
  if (arguments.text) return FileFormat::kText;
  if (!arguments.sql.empty()) return FileFormat::kSql;
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) return FileFormat::kImages;
  const std::string name = file.filename().string();
  if (name.ends_with(".npz") || name.ends_with(".npy")) return FileFormat::kNumpy;
  return name.find("-ubyte") != name.npos || name.find(".idx") != name.npos ? FileFormat::kIdx : FileFormat::kCsv;
}

Result<std::unique_ptr<ExampleReader>> OpenFile(const DataArguments& arguments, const Path& file) {
  RETURN_IF_ERROR(CheckOptionsSuit(arguments, FormatOf(arguments, file)));
  TableOptions table = arguments.table;
  ASSIGN_OR_RETURN(table.fields, ParseRequests(arguments.fields));
  ASSIGN_OR_RETURN(table.targets, ParseRequests(arguments.targets));
  switch (FormatOf(arguments, file)) {
    case FileFormat::kNumpy:
      return OpenNumpy(file, table.fields);
    case FileFormat::kImages: {
      ASSIGN_OR_RETURN(const ImageOptions options, ImageOptionsOf(arguments));
      return OpenImageFolder(file, options);
    }
    case FileFormat::kSql:
      return OpenSelect(file, arguments.sql, std::move(table));
    case FileFormat::kText:
      return OpenText(file, arguments.length, arguments.stride_given ? table.stride : arguments.length);
    case FileFormat::kIdx:
      if (arguments.files.size() != 2)
        return Fail(Code::kInvalidArgument, "IDX takes two files: the images, then their labels");
      return OpenIdx(file, arguments.files[1]);
    case FileFormat::kByName:
    case FileFormat::kCsv:
      break;
  }
  const bool tabs = file.filename().string().find(".tsv") != std::string::npos || arguments.delimiter == "\\t";
  if (arguments.delimiter.size() != 1 && !tabs)
    return Fail(Code::kInvalidArgument, "--delimiter is one character, or \\t, not '{}'", arguments.delimiter);
  return OpenCsv(file, {.delimiter = tabs ? '\t' : arguments.delimiter[0], .has_header = !arguments.no_header},
                 std::move(table));
}

}  // namespace tributary
