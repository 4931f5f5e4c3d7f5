#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "device/examples/example_writer.h"

namespace tributary {

// Takes examples of files, and decides what becomes of a bad row.
class ExampleSink {
 public:
  static constexpr uint32_t kNobody = UINT32_MAX;

  // Keep_good: bad rows are left out and counted; else the first one ends the import. The writer must outlive it.
  ExampleSink(ExampleWriter& writer, bool keep_good) : writers_{&writer}, keep_good_(keep_good) {}
  // Each Put goes to one of the writers, or to nobody: `turns` has the writer's number for each, in their order.
  ExampleSink(std::vector<ExampleWriter*> writers, std::vector<uint32_t> turns, bool keep_good)
      : writers_(std::move(writers)), turns_(std::move(turns)), keep_good_(keep_good) {}

  // `where` names file and row for the error. Errors: Bad's; those of the database.
  Status Put(const NewExample& example, const std::string& where);
  // A row that cannot be taken. Ok: it was left out, go on.
  Status Bad(const Error& error, const std::string& where);
  // A row that is left out as it was asked for.
  void Skip() { ++skipped_; }
  // For the next Put.
  Result<int64_t> CodeOf(const std::string& field, const std::string& text);

  // Whether each Put was taken.
  const std::vector<bool>& taken() const { return taken_; }
  uint64_t left_out() const { return left_out_; }
  uint64_t skipped() const { return skipped_; }
  // Why the first row was left out.
  const std::string& first() const { return first_; }

 private:
  // Of the next Put; nullptr: it goes to nobody.
  ExampleWriter* Next() const;

  const std::vector<ExampleWriter*> writers_;
  const std::vector<uint32_t> turns_;  // empty: all go to the only writer
  const bool keep_good_;
  std::vector<bool> taken_;
  uint64_t left_out_ = 0, skipped_ = 0;
  std::string first_;
};

// Reads examples out of one file (or folder), one by one, so that memory does not grow with it. Call order: fields, then
// Read once. Errors name the file, the row and what to do: kMissingData (no such file), kPermissions, kIo, kCorrupt (not
// of the format, cut short), kTooLarge, kNotSupported, kBadExample (a row), kInvalidArgument (the options).
class ExampleReader {
 public:
  virtual ~ExampleReader() = default;
  virtual const std::vector<ExampleField>& fields() const = 0;
  virtual Status Read(ExampleSink& sink) = 0;
};

// A field that a person asked for: NAME=SOURCE[,SOURCE…][:TYPE[SHAPE]], or SOURCE alone, which is its name too.
struct FieldRequest {
  std::string name;
  std::vector<std::string> sources;  // columns of a table, arrays of an archive
  bool typed = false;                // the type was given
  DType dtype = DType::kFp32;
  std::vector<int64_t> shape = {};

  // kInvalidArgument says what is wrong.
  static Result<FieldRequest> Parse(std::string_view text);
};

// A name that a field may have, of any text: lower case, '_' for what is not allowed.
std::string FieldNameOf(std::string_view text);

// The most bytes of values that one file may announce.
inline constexpr uint64_t kImportBytes = uint64_t{4} << 30;

}  // namespace tributary
