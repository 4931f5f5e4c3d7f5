#include "device/learn/array_file.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "device/learn/learner_wire.h"
#include "protocol/catalogue/module_archive.h"

namespace tributary {
namespace {

constexpr std::string_view kArrayMagic = "tributary-arrays-1\n";

// Up to the end of the line, which is taken too.
Result<std::string_view> TakeTextLine(ByteView& from, std::string_view what) {
  const std::string_view text = AsText(from);
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return Fail(Code::kInvalidArgument, "the file of arrays ends before its {}", what);
  from = from.subspan(end + 1);
  return text.substr(0, end);
}

}  // namespace

bool IsArrayFile(ByteView file) { return AsText(file).starts_with(kArrayMagic); }

Result<ModelPackage> ReadArrayFile(ByteView file) {
  if (!IsArrayFile(file)) return Fail(Code::kInvalidArgument, "not a file of arrays");
  file = file.subspan(kArrayMagic.size());
  ModelPackage package;
  ASSIGN_OR_RETURN(const std::string_view manifest, TakeTextLine(file, "manifest"));
  ASSIGN_OR_RETURN(package.manifest, ParseTaskManifest(manifest));
  if (package.manifest.module != ModuleFormat::kNone)
    return Fail(Code::kInvalidArgument, R"({} of arrays must say "module": "none")", kManifestFile);
  if (!package.manifest.frozen.empty()) {
    return Fail(Code::kInvalidArgument,
                "{} of arrays has frozen tensors, and there is no module for them to lie in; leave these arrays out, and let "
                "the learner's program bring them",
                kManifestFile);
  }
  ASSIGN_OR_RETURN(const std::string_view tensors, TakeTextLine(file, "tensors"));
  auto table = learner::ReadTensors(AsBytes(tensors));
  if (!table) return Fail(Code::kInvalidArgument, "{}", table.error().message);
  package.table = std::move(*table);
  auto weights = ToFloats(file, package.table.parameter_count());
  if (!weights) {
    return Fail(Code::kInvalidArgument, "the file of arrays has {} bytes of values for {} parameters", file.size(),
                package.table.parameter_count());
  }
  package.weights = std::move(*weights);
  for (const TensorEntry& tensor : package.table.tensors) {
    const auto values = std::span(package.weights).subspan(tensor.offset, tensor.size);
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
      return Fail(Code::kNotFinite, "the array {} has values that are not finite", tensor.name);
  }
  package.module = ToBytes(AsBytes(kNoModule));
  return package;
}

}  // namespace tributary
