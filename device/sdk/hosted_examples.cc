#include "device/sdk/hosted_examples.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "device/examples/example_columns.h"
#include "device/examples/example_content.h"
#include "device/learn/collection_examples.h"

namespace tributary {
namespace {

tl::unexpected<Error> NotHosted(const std::string& name) {
  return Fail(Code::kNotFound, "this program hosts no collection '{}'", name);
}

}  // namespace

Status HostedExamples::Host(Collection collection) {
  const CollectionSettings& settings = collection.settings;
  RETURN_IF_ERROR(CheckCollectionSettings(settings));
  const auto kept = store_.Use([&](CollectionStore& store) { return store.Find(settings.name); });
  if (kept) {
    return Fail(Code::kAlreadyExists,
                "the device itself keeps a collection '{0}': drop it first, or host the examples under another name",
                settings.name);
  }
  if (kept.error().code != Code::kNotFound) return Fail(kept.error());
  const std::lock_guard lock(mutex_);
  collections_.insert_or_assign(std::string(settings.name), std::move(collection));
  ++changes_;
  return {};
}

std::optional<HostedExamples::Collection> HostedExamples::Find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = collections_.find(name);
  return found == collections_.end() ? std::nullopt : std::optional(found->second);
}

Status HostedExamples::NoteChange(const std::string& name) {
  if (!Has(name)) return NotHosted(name);
  ++changes_;
  return {};
}

Status HostedExamples::NoteErasure(const std::string& name) {
  if (!Has(name)) return NotHosted(name);
  RETURN_IF_ERROR(store_.Use([&](CollectionStore& store) { return store.NoteErasure(name); }));
  ++changes_;
  return {};
}

Result<TaskExamples> HostedExamples::Load(const Collection& collection, const TaskManifest& manifest) const {
  const CollectionSettings& settings = collection.settings;
  std::vector<std::string> fields;
  for (const TaskInput& input : manifest.inputs) {
    if (std::ranges::find(settings.fields, input.field, &ExampleField::name) == settings.fields.end()) {
      return Fail(Code::kMissingField, "the task needs the field '{}', which the program does not host in '{}'",
                  input.field, settings.name);
    }
    fields.push_back(input.field);
  }
  ASSIGN_OR_RETURN(const auto iterator, collection.open());
  ExampleColumns columns(settings.fields, fields);
  uint64_t bytes = 0;
  for (NewExample example;; example = {}) {
    if (interrupted_) return Fail(Code::kShuttingDown, "the device stops");
    ASSIGN_OR_RETURN(const bool is_one, iterator->Next(example));
    if (!is_one) return std::move(columns).Finish();
    RETURN_IF_ERROR(CheckNewExample(settings.fields, example));
    const Bytes content = EncodeContent(example);
    bytes += content.size();
    if (bytes > kLoadBytes) {
      return Fail(Code::kTooLarge, "the program gave over {} bytes of examples for '{}', a fit takes no more", kLoadBytes,
                  settings.name);
    }
    const std::string id = example.id.empty() ? MadeId(content) : example.id;
    RETURN_IF_ERROR(columns.Add(IsHeldOut(settings.name, id, settings.held_out_share), content));
  }
}

class HostedExamples::Source final : public ExampleSource {
 public:
  Source(HostedExamples& hosted, ExampleSource& of_folder, bool evaluates_all)
      : hosted_(hosted), of_folder_(of_folder), evaluates_all_(evaluates_all) {}

  Result<TaskExamples> Load(const TaskManifest& manifest) override {
    const auto hosted = hosted_.Find(manifest.collection);
    if (!hosted) return of_folder_.Load(manifest);
    ASSIGN_OR_RETURN(TaskExamples examples, hosted_.Load(*hosted, manifest));
    if (evaluates_all_) examples = AllHeldOut(std::move(examples));
    RETURN_IF_ERROR(CheckExamples(manifest, examples));
    return examples;
  }
  // The store counts for hosted collections too.
  Result<uint64_t> Generation(const TaskManifest& manifest) override { return of_folder_.Generation(manifest); }
  std::string Stamp() override { return fmt::format("{} {}", of_folder_.Stamp(), hosted_.changes_.load()); }

 private:
  HostedExamples& hosted_;
  ExampleSource& of_folder_;
  const bool evaluates_all_;
};

std::unique_ptr<ExampleSource> HostedExamples::Over(ExampleSource& of_folder, bool evaluates_all) {
  return std::make_unique<Source>(*this, of_folder, evaluates_all);
}

}  // namespace tributary
