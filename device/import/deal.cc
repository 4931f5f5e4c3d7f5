#include "device/import/deal.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "device/examples/field_value.h"
#include "device/import/example_reader.h"

namespace tributary {
namespace {

Result<std::vector<uint32_t>> DealtLabels(CollectionStore& store, const std::string& collection,
                                          const std::string& label) {
  ASSIGN_OR_RETURN(const CollectionSummary summary, store.Summarise(collection));
  const auto& fields = summary.info.settings.fields;
  const auto field = std::ranges::find(fields, label, &ExampleField::name);
  TextNumbers numbers;
  if (field != fields.end()) {
    for (const auto& [number, text] : summary.fields[static_cast<size_t>(field - fields.begin())].names)
      numbers[label].push_back(text);
  }
  const auto wanted = std::to_array({label});
  ASSIGN_OR_RETURN(const TaskExamples loaded, store.Load(collection, wanted, SystemClock().Now(), numbers));
  const ExampleColumn& column = loaded.training.set->columns.front();
  if (column.field.elements() != 1 || column.field.varies())
    return Fail(Code::kInvalidArgument, "examples are dealt out by one whole number, and the field {} is {}", label,
                FieldText(column.field));
  std::vector<uint32_t> labels;
  for (const uint32_t index : loaded.training.indices) {
    const double value = RealAt(column.field.dtype, column.At(index).data());
    if (!(value >= 0 && value <= UINT32_MAX && value == std::floor(value)))
      return Fail(Code::kInvalidArgument,
                  "examples are dealt out by one whole number from 0 on, and {} is {} in one of them", label, value);
    labels.push_back(static_cast<uint32_t>(value));
  }
  return labels;
}

}  // namespace

Result<std::vector<uint32_t>> TurnsOf(const Deal& deal, uint32_t devices, CollectionStore& store,
                                      const std::string& collection, const std::vector<bool>& taken) {
  std::vector<uint32_t> labels(static_cast<size_t>(std::ranges::count(taken, true)));
  if (deal.plan.kind != PartitionKind::kIid) {
    ASSIGN_OR_RETURN(labels, DealtLabels(store, collection, deal.label));
  }
  PartitionPlan plan = deal.plan;
  plan.devices = devices;
  plan.held_out_share = 0;
  ASSIGN_OR_RETURN(const auto shares, Partition(labels, plan));
  std::vector<uint32_t> owners(labels.size(), ExampleSink::kNobody);
  for (uint32_t device = 0; device < shares.size(); ++device) {
    for (const uint32_t example : shares[device].training) owners[example] = device;
  }
  std::vector<uint32_t> turns(taken.size(), ExampleSink::kNobody);
  for (size_t row = 0, example = 0; row < taken.size(); ++row) {
    if (taken[row]) turns[row] = owners[example++];
  }
  return turns;
}

}  // namespace tributary
