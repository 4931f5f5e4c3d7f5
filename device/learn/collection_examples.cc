#include "device/learn/collection_examples.h"

#include <algorithm>
#include <utility>

namespace tributary {
namespace {

Error Missing(const TaskManifest& manifest, const std::string& filled_by) {
  return {Code::kMissingField, fmt::format("the device has no collection '{0}'; fill it with `{1} --collection {0} FILE`",
                                           manifest.collection, filled_by)};
}

}  // namespace

TaskExamples AllHeldOut(TaskExamples examples) {
  auto& held_out = examples.held_out.indices;
  held_out.insert(held_out.end(), examples.training.indices.begin(), examples.training.indices.end());
  std::ranges::sort(held_out);
  examples.training.indices.clear();
  return examples;
}

Result<CollectionStore*> CollectionExamples::OpenIn(std::unique_ptr<CollectionStore>& store) const {
  if (!store) {
    ASSIGN_OR_RETURN(store, CollectionStore::OpenIfThere(options_.folder));
  }
  return store.get();
}

Result<TaskExamples> CollectionExamples::Load(const TaskManifest& manifest) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(CollectionStore* const store, Store());
  const Error missing = Missing(manifest, options_.filled_by);
  if (!store) return LoadFallback(manifest, missing);
  const auto there = store->Find(manifest.collection);
  if (!there && there.error().code == Code::kNotFound) return LoadFallback(manifest, missing);
  if (!there) return Fail(there.error());
  std::vector<std::string> fields;
  TextNumbers numbers;
  for (const TaskInput& input : manifest.inputs) {
    fields.push_back(input.field);
    const bool by_class = input.role == TaskInput::Role::kTarget && input.categories.empty();
    const std::vector<std::string>& texts = by_class ? manifest.classes : input.categories;
    if (!texts.empty()) numbers[input.field] = texts;
  }
  ASSIGN_OR_RETURN(TaskExamples examples, store->Load(manifest.collection, fields, clock_.Now(), numbers));
  if (options_.evaluates_all) examples = AllHeldOut(std::move(examples));
  if (examples.training.size() + examples.held_out.size() == 0) {
    return Fail(Code::kFewExamples, "the collection {} is empty, the task asks for {} examples", manifest.collection,
                manifest.min_examples);
  }
  RETURN_IF_ERROR(CheckExamples(manifest, examples));
  return examples;
}

Result<TaskExamples> CollectionExamples::LoadFallback(const TaskManifest& manifest, const Error& missing) {
  if (manifest.collection != TaskManifest().collection || !options_.fallback) return Fail(missing);
  auto examples = options_.fallback();
  if (!examples) {
    return Fail(missing.code, "{} (nor can the examples of the configuration be read: {})", missing.message,
                examples.error().message);
  }
  RETURN_IF_ERROR(CheckExamples(manifest, *examples));
  return examples;
}

Result<uint64_t> CollectionExamples::Generation(const TaskManifest& manifest) {
  const std::lock_guard lock(generation_mutex_);
  ASSIGN_OR_RETURN(CollectionStore* const store, OpenIn(generation_store_));
  return store ? store->Generation(manifest.collection) : 0;
}

std::string CollectionExamples::Stamp() {
  const std::lock_guard lock(generation_mutex_);
  const auto store = OpenIn(generation_store_);
  const Result<std::string> known = !store ? Fail(store.error()) : *store ? (*store)->Stamp() : std::string();
  std::error_code absent;
  const auto written = std::filesystem::last_write_time(options_.fallback_folder, absent);
  return fmt::format("{} {}", known ? *known : known.error().ToString(),
                     absent ? 0 : written.time_since_epoch().count());
}

Status CollectionExamples::Sweep() {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(CollectionStore* const store, Store());
  if (store) RETURN_IF_ERROR(store->Sweep(clock_.Now()));
  return {};
}

}  // namespace tributary
