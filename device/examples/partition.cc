#include "device/examples/partition.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>

#include "device/examples/repeatable_random.h"

namespace tributary {
namespace {

using Indices = std::vector<uint32_t>;

template <class... Values>
tl::unexpected<Error> Bad(fmt::format_string<Values...> what, Values&&... values) {
  return Fail(Code::kInvalidArgument, "partition: " + fmt::format(what, std::forward<Values>(values)...));
}

Status Check(size_t examples, const PartitionPlan& plan) {
  if (plan.devices < 1) return Bad("devices is 0, at least 1 is needed");
  if (plan.total > examples) return Bad("total is {}, the data set has {} examples", plan.total, examples);
  if (!(plan.alpha > 0 && plan.alpha <= 1e6)) return Bad("alpha is not within (0, 1e6]");
  if (!(plan.held_out_share >= 0 && plan.held_out_share <= 0.9)) return Bad("held_out_share is not within [0, 0.9]");
  const uint64_t used = plan.total ? plan.total : examples;
  const uint32_t minimum = std::max(1u, plan.minimum_examples);
  if (uint64_t{plan.devices} * minimum > used) {
    return Bad("{} examples are too few for {} devices with at least {} each", used, plan.devices, minimum);
  }
  if (plan.kind != PartitionKind::kShards) return {};
  if (plan.shards_per_device < 1) return Bad("shards_per_device is 0, at least 1 is needed");
  const uint64_t shards = uint64_t{plan.devices} * plan.shards_per_device;
  if (used / shards == 0 || used / shards * plan.shards_per_device < plan.minimum_examples) {
    return Bad("{} examples are too few for {} shards", used, shards);
  }
  return {};
}

// `total` of the examples in a random order.
Indices Sample(size_t examples, const PartitionPlan& plan) {
  Indices all(examples);
  std::iota(all.begin(), all.end(), 0);
  RepeatableRandom random(DeriveSeed(plan.seed, "sample"));
  random.Shuffle(all);
  if (plan.total) all.resize(plan.total);
  return all;
}

std::vector<Indices> DealEqually(const Indices& sample, uint32_t devices) {
  std::vector<Indices> dealt(devices);
  for (size_t i = 0; i < sample.size(); ++i) dealt[i % devices].push_back(sample[i]);
  return dealt;
}

// A draw from the symmetric Dirichlet(alpha). Normalised from logarithms, because at a small alpha every gamma variate
// may underflow; the largest then is exactly 1 before division, so the sum is never 0.
std::vector<double> DrawDirichlet(uint32_t count, double alpha, RepeatableRandom& random) {
  std::vector<double> shares(count);
  for (double& share : shares) share = random.LogGamma(alpha);
  const double largest = *std::max_element(shares.begin(), shares.end());
  double sum = 0;
  for (double& share : shares) sum += share = std::exp(share - largest);
  for (double& share : shares) share /= sum;
  return shares;
}

std::vector<Indices> DealDirichlet(const Indices& sample, std::span<const uint32_t> labels, const PartitionPlan& plan) {
  std::map<uint32_t, Indices> by_label;
  for (const uint32_t index : sample) by_label[labels[index]].push_back(index);
  RepeatableRandom random(DeriveSeed(plan.seed, "dirichlet"));
  std::vector<Indices> dealt(plan.devices);
  for (const auto& [label, members] : by_label) {
    const std::vector<double> shares = DrawDirichlet(plan.devices, plan.alpha, random);
    double sum = 0;
    size_t begin = 0;
    for (uint32_t device = 0; device < plan.devices; ++device) {
      sum += shares[device];
      const bool last = device + 1 == plan.devices;
      const auto cut = static_cast<size_t>(std::floor(sum * static_cast<double>(members.size())));
      const size_t end = last ? members.size() : std::clamp(cut, begin, members.size());
      dealt[device].insert(dealt[device].end(), members.begin() + begin, members.begin() + end);
      begin = end;
    }
  }
  return dealt;
}

std::vector<Indices> DealShards(Indices sample, std::span<const uint32_t> labels, const PartitionPlan& plan) {
  std::sort(sample.begin(), sample.end(),
            [labels](uint32_t a, uint32_t b) { return labels[a] != labels[b] ? labels[a] < labels[b] : a < b; });
  Indices shards(size_t{plan.devices} * plan.shards_per_device);
  std::iota(shards.begin(), shards.end(), 0);
  RepeatableRandom random(DeriveSeed(plan.seed, "shards"));
  random.Shuffle(shards);
  const size_t length = sample.size() / shards.size();
  std::vector<Indices> dealt(plan.devices);
  for (size_t i = 0; i < shards.size(); ++i) {
    const auto begin = sample.begin() + static_cast<ptrdiff_t>(shards[i] * length);
    Indices& device = dealt[i / plan.shards_per_device];
    device.insert(device.end(), begin, begin + static_cast<ptrdiff_t>(length));
  }
  return dealt;
}

// Gives each device its minimum, one example at a time from whoever has most. Ends, because Check saw that there is
// enough.
void RaiseToMinimum(std::vector<Indices>& dealt, uint32_t minimum) {
  for (Indices& device : dealt) {
    while (device.size() < std::max(1u, minimum)) {
      Indices& largest = *std::max_element(dealt.begin(), dealt.end(),
                                           [](const Indices& a, const Indices& b) { return a.size() < b.size(); });
      device.push_back(largest.back());
      largest.pop_back();
    }
  }
}

DeviceShare HoldOut(Indices examples, double share, RepeatableRandom random) {
  std::sort(examples.begin(), examples.end());
  random.Shuffle(examples);
  auto count = static_cast<size_t>(std::floor(share * static_cast<double>(examples.size())));
  if (share > 0 && examples.size() >= 2) count = std::max<size_t>(count, 1);
  const auto cut = examples.begin() + static_cast<ptrdiff_t>(count);
  DeviceShare result{{cut, examples.end()}, {examples.begin(), cut}};
  std::sort(result.training.begin(), result.training.end());
  std::sort(result.held_out.begin(), result.held_out.end());
  return result;
}

}  // namespace

Result<std::vector<DeviceShare>> Partition(std::span<const uint32_t> labels, const PartitionPlan& plan) {
  RETURN_IF_ERROR(Check(labels.size(), plan));
  const Indices sample = Sample(labels.size(), plan);
  std::vector<Indices> dealt;
  switch (plan.kind) {
    case PartitionKind::kIid:
      dealt = DealEqually(sample, plan.devices);
      break;
    case PartitionKind::kDirichlet:
      dealt = DealDirichlet(sample, labels, plan);
      break;
    case PartitionKind::kShards:
      dealt = DealShards(sample, labels, plan);
      break;
  }
  RaiseToMinimum(dealt, plan.minimum_examples);
  std::vector<DeviceShare> shares;
  for (uint32_t device = 0; device < plan.devices; ++device) {
    const uint64_t seed = DeriveSeed(plan.seed, "held-out", device);
    shares.push_back(HoldOut(std::move(dealt[device]), plan.held_out_share, RepeatableRandom(seed)));
  }
  return shares;
}

}  // namespace tributary
