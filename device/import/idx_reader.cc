#include "device/import/idx_reader.h"

#include <utility>

#include "device/examples/idx.h"

namespace tributary {
namespace {

class IdxReader final : public ExampleReader {
 public:
  IdxReader(std::string file, std::shared_ptr<const ExampleSet> set) : file_(std::move(file)), set_(std::move(set)) {
    for (const ExampleColumn& column : set_->columns) fields_.push_back(column.field);
  }
  const std::vector<ExampleField>& fields() const override { return fields_; }

  Status Read(ExampleSink& sink) override {
    for (size_t number = 0; number < set_->count; ++number) {
      NewExample example;
      for (const ExampleColumn& column : set_->columns) Append(example.values, column.At(number));
      RETURN_IF_ERROR(sink.Put(example, fmt::format("{}: image {}", file_, number)));
    }
    return {};
  }

 private:
  const std::string file_;
  const std::shared_ptr<const ExampleSet> set_;
  std::vector<ExampleField> fields_;
};

}  // namespace

Result<std::unique_ptr<ExampleReader>> OpenIdx(const Path& images, const Path& labels) {
  ASSIGN_OR_RETURN(auto set, LoadIdxFiles(images, labels));
  return std::make_unique<IdxReader>(images.string(), std::move(set));
}

}  // namespace tributary
