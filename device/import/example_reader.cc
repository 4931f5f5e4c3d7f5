#include "device/import/example_reader.h"

#include <cctype>
#include <utility>

#include "device/examples/field_value.h"

namespace tributary {
namespace {

bool IsOfTheRow(Code code) {
  return code == Code::kBadExample || code == Code::kAlreadyExists || code == Code::kInvalidArgument ||
         code == Code::kTooLarge || code == Code::kCorrupt || code == Code::kNotSupported;
}

}  // namespace

Status ExampleSink::Put(const NewExample& example, const std::string& where) {
  ExampleWriter* const writer = Next();
  const Status put = writer ? writer->Put(example) : Status();
  taken_.push_back(put.has_value());
  if (put) return {};
  return IsOfTheRow(put.error().code) ? Bad(put.error(), where) : put;
}

Result<int64_t> ExampleSink::CodeOf(const std::string& field, const std::string& text) {
  ExampleWriter* const writer = Next();
  return writer ? writer->CodeOf(field, text) : 0;
}

ExampleWriter* ExampleSink::Next() const {
  if (turns_.empty()) return writers_.front();
  const uint32_t turn = taken_.size() < turns_.size() ? turns_[taken_.size()] : kNobody;
  return turn < writers_.size() ? writers_[turn] : nullptr;
}

Status ExampleSink::Bad(const Error& error, const std::string& where) {
  if (!keep_good_) {
    return Fail(error.code,
                "{}: {}. Nothing of this file was imported: correct it, or leave bad rows out with --keep-good", where,
                error.message);
  }
  if (left_out_++ == 0) first_ = where + ": " + error.message;
  return {};
}

Result<FieldRequest> FieldRequest::Parse(std::string_view text) {
  FieldRequest request;
  const size_t equals = text.find('=');
  if (equals != text.npos) {
    request.name = text.substr(0, equals);
    text.remove_prefix(equals + 1);
  }
  // A column's name may have colons; a type has none.
  const size_t colon = text.rfind(':');
  ExampleField type;
  if (colon != text.npos && ParseFieldType(text.substr(colon + 1), type)) {
    request.typed = true;
    request.dtype = type.dtype;
    request.shape = type.shape;
    text = text.substr(0, colon);
  }
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    request.sources.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  if (request.sources.empty()) {
    return Fail(Code::kInvalidArgument, "a field is NAME=COLUMN[,COLUMN...][:TYPE], as window=temp,humidity:FP32");
  }
  if (request.name.empty()) request.name = FieldNameOf(request.sources.front());
  return request;
}

std::string FieldNameOf(std::string_view text) {
  std::string name;
  for (const char c : text.substr(0, 64)) {
    const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool allowed =
        std::string_view("abcdefghijklmnopqrstuvwxyz0123456789._-").find(lower) != std::string_view::npos;
    name += allowed ? lower : '_';
  }
  if (name.empty() || std::string_view("._-").find(name.front()) != std::string_view::npos) name.insert(0, "f");
  return name.substr(0, 64);
}

}  // namespace tributary
