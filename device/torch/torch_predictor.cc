#include "device/torch/torch_predictor.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include <fmt/ranges.h>

#include "device/torch/task_methods.h"
#include "device/torch/torch_module.h"

namespace tributary {
namespace {

constexpr uint64_t kPredictionSeed = 1;  // as evaluations
constexpr std::string_view kCannotPredict = "the model cannot predict for these examples";

// kNotSupported: a type that no manifest has.
Result<DType> DTypeOf(const std::string& name, const at::Tensor& tensor) {
  for (const DType dtype : {DType::kFp32, DType::kInt64, DType::kBool, DType::kUint8, DType::kInt8, DType::kInt16,
                            DType::kInt32, DType::kFp64}) {
    if (ScalarTypeOf(dtype) == tensor.scalar_type()) return dtype;
  }
  return Fail(Code::kNotSupported, "forward's output '{}' is {}; call .float() on it", name,
              toString(tensor.scalar_type()));
}

class TorchPredictor final : public LoadedModel {
 public:
  TorchPredictor(std::unique_ptr<Model> model, TaskMethods methods, std::vector<Scale> scales, EvaluatedModel which,
                 ModelVersion version)
      : model_(std::move(model)),
        methods_(std::move(methods)),
        scales_(std::move(scales)),
        which_(which),
        version_(version) {
    for (size_t i = 0; i < model_->manifest().inputs.size(); ++i) used_.push_back(methods_.forward().Takes(i));
  }

  Result<Prediction> Predict(const ExampleSet& request) override {
    const TaskManifest& manifest = model_->manifest();
    RETURN_IF_ERROR(CheckRequest(manifest, request));
    for (size_t i = 0; i < used_.size(); ++i) {
      const TaskInput& input = manifest.inputs[i];
      if (used_[i] && !request.Find(input.field))
        return Fail(Code::kMissingField, "the method forward takes the input {}, of field '{}'", input.name,
                    input.field);
    }
    UseOneThread();
    return CatchTorch(Code::kInvalidArgument, kCannotPredict, [&] { return Forward(request); });
  }

 private:
  Result<Prediction> Forward(const ExampleSet& request) {
    const auto start = std::chrono::steady_clock::now();
    Batcher batcher(model_->manifest(), used_, request, scales_);
    std::vector<uint32_t> indices(request.count);
    std::iota(indices.begin(), indices.end(), 0);
    ASSIGN_OR_RETURN(const Batch batch, batcher.Make(indices));
    const auto lock = HoldRandom(model_->module(), kPredictionSeed);
    const at::NoGradGuard no_grad;
    ASSIGN_OR_RETURN(auto outputs, methods_.Outputs(batch));
    Prediction prediction{.model = which_, .version = version_, .outputs = {}};
    RETURN_IF_ERROR(InOrder(outputs));
    for (const auto& [name, tensor] : outputs) {
      ASSIGN_OR_RETURN(const DType dtype, DTypeOf(name, tensor));
      const at::Tensor whole = tensor.contiguous();
      const ByteView values(static_cast<const uint8_t*>(whole.data_ptr()), whole.nbytes());
      prediction.outputs.push_back({{name, dtype, whole.sizes().vec()}, ToBytes(values)});
    }
    const auto spent = std::chrono::steady_clock::now() - start;
    prediction.millis = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(spent).count());
    return prediction;
  }
  // Those that the manifest declares, in its order.
  Status InOrder(std::vector<std::pair<std::string, at::Tensor>>& outputs) const {
    const std::vector<TaskOutput>& declared = model_->manifest().outputs;
    for (size_t i = 0; i < declared.size(); ++i) {
      const auto found =
          std::find_if(outputs.begin() + static_cast<ptrdiff_t>(std::min(i, outputs.size())), outputs.end(),
                       [&](const auto& output) { return output.first == declared[i].name; });
      if (found == outputs.end())
        return Fail(Code::kInvalidArgument, "forward does not return the output '{}'", declared[i].name);
      std::iter_swap(outputs.begin() + static_cast<ptrdiff_t>(i), found);
    }
    if (!declared.empty()) outputs.resize(declared.size());
    return {};
  }

  const std::unique_ptr<Model> model_;
  TaskMethods methods_;
  const std::vector<Scale> scales_;
  const EvaluatedModel which_;
  const ModelVersion version_;
  std::vector<bool> used_;
};

}  // namespace

Result<std::unique_ptr<LoadedModel>> MakeTorchPredictor(std::unique_ptr<Model> model, const LearnOrder& order,
                                                        const Examples& scaled_by) {
  const TaskManifest& manifest = model->manifest();
  if (NeedsExamples(manifest) && scaled_by.size() == 0) {
    return Fail(Code::kFewExamples, "the inputs are scaled by the device's own examples, and there are none");
  }
  return CatchTorch(Code::kInvalidArgument, kCannotPredict, [&]() -> Result<std::unique_ptr<LoadedModel>> {
    ASSIGN_OR_RETURN(TaskMethods methods, TaskMethods::Bind(model->module().script, manifest, order.task.plan.loss));
    const bool own = order.personal && !order.personal->uses_global();
    auto scales = MeasureScales(manifest, scaled_by.set ? scaled_by : Examples{std::make_shared<ExampleSet>(), {}});
    return std::make_unique<TorchPredictor>(std::move(model), std::move(methods), std::move(scales),
                                            own ? EvaluatedModel::kPersonal : EvaluatedModel::kGlobal,
                                            order.task.latest);
  });
}

}  // namespace tributary
