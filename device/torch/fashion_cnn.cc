#include "device/torch/fashion_cnn.h"

#include <cmath>
#include <utility>

#include "device/examples/repeatable_random.h"

namespace tributary {
namespace {

constexpr const char* kForward = R"(
def forward(self, x):
    x = torch.relu(torch.conv2d(x, self.conv1.weight, self.conv1.bias, [1, 1], [2, 2]))
    x = torch.max_pool2d(x, [2, 2])
    x = torch.relu(torch.conv2d(x, self.conv2.weight, self.conv2.bias, [1, 1], [2, 2]))
    x = torch.max_pool2d(x, [2, 2])
    x = torch.relu(torch.linear(torch.flatten(x, 1), self.hidden.weight, self.hidden.bias))
    return torch.linear(x, self.output.weight, self.output.bias)
)";

void AddLayer(ModelSource& source, const std::string& name, std::vector<int64_t> shape, RepeatableRandom& random) {
  const int64_t outputs = shape[0];
  int64_t fan_in = 1;
  for (size_t i = 1; i < shape.size(); ++i) fan_in *= shape[i];
  const double bound = std::sqrt(6.0 / static_cast<double>(fan_in));
  std::vector<float> weights(static_cast<size_t>(outputs * fan_in));
  for (float& weight : weights) weight = static_cast<float>((2 * random.Unit() - 1) * bound);
  source.parameters.push_back({name + ".weight", std::move(shape), std::move(weights)});
  source.parameters.push_back({name + ".bias", {outputs}, std::vector<float>(static_cast<size_t>(outputs))});
}

}  // namespace

Result<std::unique_ptr<Model>> BuildFashionCnn(uint64_t seed) {
  RepeatableRandom random(DeriveSeed(seed, "fashion-cnn"));
  ModelSource source{"FashionCnn", {}, kForward};
  AddLayer(source, "conv1", {16, 1, 5, 5}, random);
  AddLayer(source, "conv2", {32, 16, 5, 5}, random);
  AddLayer(source, "hidden", {128, 32 * 7 * 7}, random);
  AddLayer(source, "output", {10, 128}, random);
  return Model::FromSource(source);
}

}  // namespace tributary
