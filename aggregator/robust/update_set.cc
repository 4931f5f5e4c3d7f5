#include "aggregator/robust/update_set.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "protocol/base/limits.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr size_t kBlockBytes = 32 * limits::kMiB;
constexpr size_t kMostColumns = 65'536;

}  // namespace

GroupedUpdates::GroupedUpdates(const UpdateSet& updates, std::vector<std::vector<size_t>> groups)
    : updates_(updates), groups_(std::move(groups)) {
  for (const auto& group : groups_) {
    uint64_t weight = 0;
    for (const size_t member : group) weight += updates_.weight(member);
    TRIBUTARY_CHECK(weight > 0) << "a group without updates";
    weights_.push_back(weight);
  }
}

Status GroupedUpdates::Read(size_t group, uint64_t first, std::span<int64_t> values) const {
  const auto& members = groups_[group];
  if (members.size() == 1) return updates_.Read(members.front(), first, values);
  std::ranges::fill(values, 0);
  std::vector<int64_t> one(values.size());
  for (const size_t member : members) {
    RETURN_IF_ERROR(updates_.Read(member, first, one));
    const auto weight = static_cast<int64_t>(updates_.weight(member));
    for (size_t i = 0; i < values.size(); ++i) values[i] += one[i] * weight;
  }
  for (int64_t& value : values) value = RoundedQuotient(value, weights_[group]);
  return {};
}

std::vector<std::vector<size_t>> BucketsOf(std::span<const std::string> names, std::span<const uint8_t> seed,
                                           size_t size) {
  if (size == 1) {
    std::vector<std::vector<size_t>> alone;
    for (size_t i = 0; i < names.size(); ++i) alone.push_back({i});
    return alone;
  }
  std::vector<std::pair<Digest, size_t>> order;
  for (size_t i = 0; i < names.size(); ++i) {
    Bytes drawn(seed.begin(), seed.end());
    Append(drawn, AsBytes(std::string_view(names[i])));
    order.emplace_back(Sha256(drawn), i);
  }
  std::ranges::sort(order);
  std::vector<std::vector<size_t>> buckets;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i % size == 0) buckets.emplace_back();
    buckets.back().push_back(order[i].second);
  }
  return buckets;
}

std::vector<std::vector<size_t>> GroupsByName(std::span<const std::string> names) {
  std::map<std::string, std::vector<size_t>> by_name;
  for (size_t i = 0; i < names.size(); ++i) by_name[names[i]].push_back(i);
  std::vector<std::vector<size_t>> groups;
  for (auto& [name, members] : by_name) groups.push_back(std::move(members));
  return groups;
}

int64_t RoundedQuotient(int64_t sum, uint64_t count) {
  const auto divisor = static_cast<int64_t>(count);
  int64_t quotient = sum / divisor, rest = sum % divisor;
  if (rest < 0) {
    --quotient;
    rest += divisor;
  }
  // rest / divisor against a half, without doubling.
  const int64_t other = divisor - rest;
  return quotient + (rest > other || (rest == other && quotient % 2 != 0) ? 1 : 0);
}

Status VisitBlocks(const UpdateSet& updates, const VisitBlock& visit, size_t columns) {
  const size_t count = updates.size();
  const uint64_t parameters = updates.parameter_count();
  if (count == 0) return {};
  if (columns == 0) columns = std::clamp<size_t>(kBlockBytes / sizeof(int64_t) / count, 256, kMostColumns);
  std::vector<int64_t> block(count * columns);
  std::vector<std::span<int64_t>> rows(count);
  for (uint64_t first = 0; first < parameters; first += columns) {
    const auto here = static_cast<size_t>(std::min<uint64_t>(columns, parameters - first));
    for (size_t i = 0; i < count; ++i) {
      rows[i] = std::span(block).subspan(i * columns, here);
      RETURN_IF_ERROR(updates.Read(i, first, rows[i]));
    }
    RETURN_IF_ERROR(visit(first, rows));
  }
  return {};
}

}  // namespace tributary
