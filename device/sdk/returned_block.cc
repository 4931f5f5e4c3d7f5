#include "device/sdk/returned_block.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace tributary {
namespace {

constexpr size_t Rounded(size_t size) {
  constexpr size_t kAlignment = alignof(std::max_align_t);
  return (size + kAlignment - 1) / kAlignment * kAlignment;
}

// The fields of a collection, and where their array will be.
ReturnedBlock::Place AddFields(ReturnedBlock& block, const std::vector<ExampleField>& fields,
                               std::vector<tributary_field>& given) {
  for (const ExampleField& field : fields) {
    given.push_back({.name = nullptr,
                     .dtype = static_cast<uint32_t>(field.dtype) + TRIBUTARY_BOOL,
                     .ndim = static_cast<uint32_t>(field.shape.size()),
                     .shape = nullptr});
  }
  const auto array = block.Add(std::span<const tributary_field>(given));
  for (size_t i = 0; i < fields.size(); ++i) {
    const auto one = array + i * sizeof(tributary_field);
    block.Point(one + offsetof(tributary_field, name), block.Add(fields[i].name));
    if (!fields[i].shape.empty())
      block.Point(one + offsetof(tributary_field, shape), block.Add(std::span<const int64_t>(fields[i].shape)));
  }
  return array;
}

}  // namespace

ReturnedBlock::Place ReturnedBlock::AddBytes(const void* bytes, size_t size) {
  parts_.emplace_back(bytes, size);
  return std::exchange(size_, size_ + Rounded(size));
}

void* ReturnedBlock::Make() const {
  auto* block = static_cast<char*>(std::malloc(std::max<size_t>(size_, 1)));
  if (!block) throw std::bad_alloc();
  size_t place = 0;
  for (const auto& [bytes, size] : parts_) {
    if (size > 0) std::memcpy(block + place, bytes, size);
    place += Rounded(size);
  }
  for (const auto& [pointer, to] : pointers_) {
    const char* target = block + to;
    std::memcpy(block + pointer, &target, sizeof(target));
  }
  return block;
}

char* ReturnedText(const std::string& text) {
  ReturnedBlock block;
  block.Add(text);
  return static_cast<char*>(block.Make());
}

tributary_prediction* ReturnedPrediction(const Prediction& prediction) {
  tributary_prediction given{};
  given.struct_size = sizeof(given);
  given.output_count = static_cast<uint32_t>(prediction.outputs.size());
  given.version = Number(prediction.version);
  given.personal = prediction.model == EvaluatedModel::kPersonal ? 1 : 0;
  std::vector<tributary_tensor> tensors;
  for (const auto& [description, values] : prediction.outputs) {
    tributary_tensor tensor{};
    tensor.dtype = static_cast<uint32_t>(description.dtype) + TRIBUTARY_BOOL;
    tensor.ndim = static_cast<uint32_t>(description.shape.size());
    tensor.bytes = values.size();
    tensors.push_back(tensor);
  }
  ReturnedBlock block;
  block.Add(std::span<const tributary_prediction>(&given, 1));
  const auto array = block.Add(std::span<const tributary_tensor>(tensors));
  block.Point(offsetof(tributary_prediction, outputs), array);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [description, values] = prediction.outputs[i];
    const auto one = array + i * sizeof(tributary_tensor);
    block.Point(one + offsetof(tributary_tensor, name), block.Add(description.name));
    block.Point(one + offsetof(tributary_tensor, shape), block.Add(std::span<const int64_t>(description.shape)));
    block.Point(one + offsetof(tributary_tensor, data), block.Add(std::span<const uint8_t>(values)));
  }
  return static_cast<tributary_prediction*>(block.Make());
}

tributary_collection_list* ReturnedList(std::span<const CollectionInfo> infos) {
  tributary_collection_list list{};
  list.struct_size = sizeof(list);
  list.count = static_cast<uint32_t>(infos.size());
  std::vector<tributary_collection> collections;
  std::vector<uint64_t> examples, bytes;
  for (const CollectionInfo& info : infos) {
    const auto& [name, fields, purpose, retention, share] = info.settings;
    tributary_collection one{};
    one.struct_size = sizeof(one);
    one.field_count = static_cast<uint32_t>(fields.size());
    one.max_age_seconds = retention.max_age_seconds;
    one.max_count = retention.max_count;
    one.max_bytes = retention.max_bytes;
    one.held_out_share = share > 0 ? share : -1;
    collections.push_back(one);
    examples.push_back(info.examples);
    bytes.push_back(info.bytes);
  }
  ReturnedBlock block;
  block.Add(std::span<const tributary_collection_list>(&list, 1));
  const auto array = block.Add(std::span<const tributary_collection>(collections));
  block.Point(offsetof(tributary_collection_list, collections), array);
  block.Point(offsetof(tributary_collection_list, examples), block.Add(std::span<const uint64_t>(examples)));
  block.Point(offsetof(tributary_collection_list, bytes), block.Add(std::span<const uint64_t>(bytes)));
  std::vector<std::vector<tributary_field>> fields(infos.size());
  for (size_t i = 0; i < infos.size(); ++i) {
    const CollectionSettings& settings = infos[i].settings;
    const auto one = array + i * sizeof(tributary_collection);
    block.Point(one + offsetof(tributary_collection, name), block.Add(settings.name));
    block.Point(one + offsetof(tributary_collection, purpose), block.Add(settings.purpose));
    block.Point(one + offsetof(tributary_collection, fields), AddFields(block, settings.fields, fields[i]));
  }
  return static_cast<tributary_collection_list*>(block.Make());
}

}  // namespace tributary
