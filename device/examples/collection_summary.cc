#include "device/examples/collection_summary.h"

#include <algorithm>

#include <fmt/format.h>

#include "device/examples/field_value.h"

namespace tributary {
namespace {

constexpr size_t kMostLabels = 64;

bool IsLabel(const ExampleField& field) {
  return field.shape.empty() && field.dtype != DType::kFp32 && field.dtype != DType::kFp64;
}

std::string RetentionText(const Retention& retention) {
  std::string text;
  const auto add = [&](uint64_t bound, std::string_view unit) {
    if (bound > 0) text += fmt::format("{}at most {} {}", text.empty() ? "" : ", ", bound, unit);
  };
  add(retention.max_age_seconds, "s");
  add(retention.max_count, "examples");
  add(retention.max_bytes, "bytes");
  return text.empty() ? "for ever" : text;
}

}  // namespace

CollectionSummariser::CollectionSummariser(const CollectionInfo& info) {
  summary_.info = info;
  summary_.fields.resize(info.settings.fields.size());
  too_many_labels_.resize(info.settings.fields.size());
}

Status CollectionSummariser::Add(bool held_out, WallTime added, ByteView content) {
  const auto& fields = summary_.info.settings.fields;
  RETURN_IF_ERROR(SplitContent(fields, content, parts_));
  ++(held_out ? summary_.held_out : summary_.training);
  if (!summary_.oldest || added < *summary_.oldest) summary_.oldest = added;
  const bool first = summary_.held_out + summary_.training == 1;
  for (size_t place = 0; place < fields.size(); ++place) {
    FieldSummary& of = summary_.fields[place];
    const ContentPart& part = parts_[place];
    of.shortest = first ? part.elements : std::min(of.shortest, part.elements);
    of.longest = std::max(of.longest, part.elements);
    const size_t size = SizeOf(fields[place].dtype);
    for (uint64_t i = 0; i < part.elements; ++i) {
      const double value = RealAt(fields[place].dtype, part.values.data() + i * size);
      of.least = of.values == 0 ? value : std::min(of.least, value);
      of.most = of.values == 0 ? value : std::max(of.most, value);
      ++of.values;
    }
    if (!IsLabel(fields[place]) || too_many_labels_[place]) continue;
    ++of.labels[static_cast<int64_t>(RealAt(fields[place].dtype, part.values.data()))];
    too_many_labels_[place] = of.labels.size() > kMostLabels;
    if (too_many_labels_[place]) of.labels.clear();
  }
  return {};
}

void CollectionSummariser::Name(const std::string& field, int64_t code, const std::string& text) {
  const auto& fields = summary_.info.settings.fields;
  const auto found = std::ranges::find(fields, field, &ExampleField::name);
  if (found != fields.end()) summary_.fields[static_cast<size_t>(found - fields.begin())].names[code] = text;
}

std::string DescribeSummary(const CollectionSummary& summary, WallTime now) {
  const CollectionSettings& settings = summary.info.settings;
  std::string text = fmt::format("collection {}\n", settings.name);
  if (!settings.purpose.empty()) text += fmt::format("purpose    {}\n", settings.purpose);
  text += fmt::format("examples   {} to train on, {} held out, {} bytes\n", summary.training, summary.held_out,
                      summary.info.bytes);
  text += fmt::format("kept       {}", RetentionText(settings.retention));
  if (summary.oldest) {
    text += fmt::format("; the oldest is {} s old",
                        std::max<int64_t>(0, now.unix_millis - summary.oldest->unix_millis) / 1000);
  }
  text += "\n";
  for (size_t place = 0; place < settings.fields.size(); ++place) {
    const FieldSummary& of = summary.fields[place];
    text += fmt::format("field      {}", FieldText(settings.fields[place]));
    if (settings.fields[place].varies() && summary.oldest)
      text += fmt::format(", {} to {} values", of.shortest, of.longest);
    if (of.values > 0) text += fmt::format(", from {} to {}", of.least, of.most);
    text += "\n";
    for (const auto& [label, count] : of.labels) {
      const auto name = of.names.find(label);
      text += fmt::format("  {:>8}  {}{}\n", label, count, name == of.names.end() ? "" : "  " + name->second);
    }
  }
  return text;
}

std::string DescribeCollections(const std::vector<CollectionInfo>& collections) {
  std::string text = fmt::format("{:<20} {:>10} {:>14}  fields\n", "collection", "examples", "bytes");
  for (const CollectionInfo& info : collections) {
    std::string fields;
    for (const ExampleField& field : info.settings.fields) fields += (fields.empty() ? "" : " ") + FieldText(field);
    text += fmt::format("{:<20} {:>10} {:>14}  {}\n", info.settings.name, info.examples, info.bytes, fields);
  }
  return text;
}

}  // namespace tributary
