#include "device/torch/builtin_loss.h"

#include <limits>
#include <vector>

#include <fmt/ranges.h>

namespace tributary {
namespace {

std::string Text(at::IntArrayRef shape) { return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", ")); }

std::vector<int64_t> WithoutOnes(at::IntArrayRef shape) {
  std::vector<int64_t> kept;
  for (const int64_t dimension : shape) {
    if (dimension != 1) kept.push_back(dimension);
  }
  return kept;
}

constexpr int64_t kAllCount = std::numeric_limits<int64_t>::min();

bool IsWhole(const at::Tensor& tensor) { return !tensor.is_floating_point() && !tensor.is_complex(); }

// One loss per element of `target`, or their mean.
at::Tensor Apply(Loss loss, const at::Tensor& output, const at::Tensor& target, int64_t uncounted, int64_t reduction) {
  switch (loss) {
    case Loss::kCrossEntropy:
      return at::cross_entropy_loss(output, target, {}, reduction, uncounted);
    case Loss::kMeanSquaredError:
      return at::mse_loss(output, target, reduction);
    case Loss::kBinaryCrossEntropy:
      return at::binary_cross_entropy_with_logits(output, target, {}, {}, reduction);
    case Loss::kL1:
      return at::l1_loss(output, target, reduction);
    case Loss::kHuber:
      break;
  }
  return at::huber_loss(output, target, reduction);
}

// Logits [m, C] and classes [m], or values of one shape; `right` says which elements are hit, for a classifier.
struct Aligned {
  at::Tensor output, target;
  bool classes = false;
  bool classifier = false;
};

Status CheckClasses(const at::Tensor& target, int64_t classes, int64_t uncounted) {
  const int64_t* value = target.data_ptr<int64_t>();
  for (int64_t i = 0; i < target.numel(); ++i) {
    if (value[i] == uncounted || (value[i] >= 0 && value[i] < classes)) continue;
    return Fail(Code::kBadExample, "an example has the class {}, the model has {} classes, numbered from 0", value[i],
                classes);
  }
  return {};
}

Result<Aligned> AlignClasses(const Comparison& from, int64_t uncounted) {
  const at::Tensor& output = from.output;
  if (!IsWhole(from.target)) {
    return Fail(Code::kInvalidArgument, "cross entropy needs a target of whole numbers, not {}; set its dtype to INT64",
                toString(from.target.scalar_type()));
  }
  if (output.dim() < 2 || WithoutOnes(output.sizes().slice(0, output.dim() - 1)) != WithoutOnes(from.target.sizes())) {
    return Fail(Code::kInvalidArgument,
                "cross entropy takes logits [n, …, classes] and targets [n, …]; the output is {}, the target {}",
                Text(output.sizes()), Text(from.target.sizes()));
  }
  const int64_t classes = output.size(-1);
  Aligned to{output, from.target.to(at::kLong).contiguous(), true, true};
  if (output.dim() != 2 || to.target.dim() != 1) {
    to.output = output.reshape({-1, classes});
    to.target = to.target.reshape(-1);
  }
  RETURN_IF_ERROR(CheckClasses(to.target, classes, uncounted));
  return to;
}

Result<Aligned> AlignValues(const Comparison& from) {
  const at::Tensor& output = from.output;
  if (WithoutOnes(output.sizes()) == WithoutOnes(from.target.sizes()))
    return Aligned{output.reshape(from.target.sizes()), from.target.to(output.scalar_type())};
  const bool classes = from.loss == Loss::kMeanSquaredError && IsWhole(from.target) && output.dim() >= 2 &&
                       WithoutOnes(output.sizes().slice(0, output.dim() - 1)) == WithoutOnes(from.target.sizes());
  if (!classes) {
    return Fail(Code::kInvalidArgument, "the output {} and the target {} must have one shape, dimensions of 1 aside",
                Text(output.sizes()), Text(from.target.sizes()));
  }
  const at::Tensor target = from.target.to(at::kLong).contiguous();
  RETURN_IF_ERROR(CheckClasses(target, output.size(-1), kAllCount));
  return Aligned{output, at::one_hot(target, output.size(-1)).reshape(output.sizes()).to(output.scalar_type()), false, true};
}

Status CheckShares(const at::Tensor& target) {
  const at::Tensor wrong = at::logical_not(target.ge(0).logical_and(target.le(1)));
  if (!wrong.any().item<bool>()) return {};
  return Fail(Code::kBadExample,
              "an example has the target {}, binary cross entropy takes 0 to 1 for the model's two classes",
              target.masked_select(wrong)[0].item<double>());
}

at::Tensor Hits(const Comparison& from, const Aligned& aligned) {
  if (from.loss == Loss::kBinaryCrossEntropy) return aligned.output.gt(0).eq(aligned.target.gt(0.5));
  if (aligned.classes) return aligned.output.argmax(1).eq(aligned.target);
  return aligned.output.argmax(-1).eq(aligned.target.argmax(-1));
}

}  // namespace

Result<BatchLoss> Compare(const Comparison& from, std::optional<TaskMetric>* accuracy) {
  if (!from.output.is_floating_point())
    return Fail(Code::kInvalidArgument, "forward's output is {}, not real", toString(from.output.scalar_type()));
  const bool cross = from.loss == Loss::kCrossEntropy;
  const int64_t uncounted = from.uncounted.value_or(-100);  // LibTorch's own
  Result<Aligned> found = cross ? AlignClasses(from, from.uncounted.value_or(kAllCount)) : AlignValues(from);
  if (!found) return Fail(std::move(found).error());
  Aligned& aligned = *found;
  const bool binary = from.loss == Loss::kBinaryCrossEntropy;
  if (binary) {
    RETURN_IF_ERROR(CheckShares(aligned.target));
    aligned.classifier = true;
  }
  const auto examples = static_cast<double>(from.target.size(0));
  // Tokens count one by one, all else by the example.
  const bool tokens = cross && from.target.numel() != from.target.size(0);
  const at::Tensor counted = tokens ? aligned.target.ne(uncounted) : at::Tensor();
  if (from.weights.defined()) {
    const int64_t n = from.target.size(0);
    const auto each = [&](const at::Tensor& values) { return values.reshape({n, -1}).to(at::kFloat); };
    const at::Tensor losses = each(Apply(from.loss, aligned.output, aligned.target, uncounted, at::Reduction::None));
    const at::Tensor counts = counted.defined() ? each(counted).sum(1) : at::ones({n});
    const at::Tensor weights = from.weights.reshape(n).to(at::kFloat);
    const at::Tensor total = (weights * counts).sum();
    const at::Tensor sums = counted.defined() ? losses.sum(1) : losses.mean(1);
    if (accuracy && aligned.classifier) {
      const at::Tensor hits = each(Hits(from, aligned));
      *accuracy = TaskMetric{(weights * (counted.defined() ? hits.sum(1) : hits.mean(1))).sum().item<double>(),
                             total.item<double>()};
    }
    return BatchLoss{(weights * sums).sum() / total.clamp_min(1e-12), total.item<double>()};
  }
  const double weight = counted.defined() ? counted.sum().item<double>() : examples;
  if (accuracy && aligned.classifier) {
    const at::Tensor hits = Hits(from, aligned);
    const double all = counted.defined() ? weight : static_cast<double>(hits.numel());
    *accuracy = TaskMetric{hits.sum().item<double>() * weight / all, weight};
  }
  return BatchLoss{Apply(from.loss, aligned.output, aligned.target, uncounted, at::Reduction::Mean), weight};
}

}  // namespace tributary
