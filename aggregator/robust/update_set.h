#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/result.h"

// The updates of one round, whole, for rules that must see all of them at once. They are read in blocks of columns: a block
// has the same values of every update, so memory is bounded whatever the model's size.
namespace tributary {

// In an order that does not depend on when the updates came. Const methods may be called from one thread.
class UpdateSet {
 public:
  virtual ~UpdateSet() = default;
  virtual size_t size() const = 0;
  virtual uint64_t parameter_count() const = 0;
  // Examples that the update counts as.
  virtual uint64_t weight(size_t update) const = 0;
  // Its values from `first` on, as the sum's integers (protocol/payload/fixed_point.h).
  virtual Status Read(size_t update, uint64_t first, std::span<int64_t> values) const = 0;
};

// Groups of updates, each taken for one: the mean by their weights, rounded to nearest even, with the weight of all. It
// borrows `updates`.
class GroupedUpdates final : public UpdateSet {
 public:
  // Each group names updates and has at least one; the weights of all together are those of one sum.
  GroupedUpdates(const UpdateSet& updates, std::vector<std::vector<size_t>> groups);
  size_t size() const override { return groups_.size(); }
  uint64_t parameter_count() const override { return updates_.parameter_count(); }
  uint64_t weight(size_t group) const override { return weights_[group]; }
  Status Read(size_t group, uint64_t first, std::span<int64_t> values) const override;

 private:
  const UpdateSet& updates_;
  std::vector<std::vector<size_t>> groups_;
  std::vector<uint64_t> weights_;
};

// Buckets (Karimireddy, He, Jaggi 2022): the updates in an order that follows from `seed` and their names, `size` at a time;
// the last one may have fewer. Nobody knows the seed before the round opens. Of size 1: in the order of the updates.
std::vector<std::vector<size_t>> BucketsOf(std::span<const std::string> names, std::span<const uint8_t> seed,
                                           size_t size);
// Those with the same name together, in the order of the names.
std::vector<std::vector<size_t>> GroupsByName(std::span<const std::string> names);

// sum / count, rounded to nearest even. `count` is positive and below 2^63.
int64_t RoundedQuotient(int64_t sum, uint64_t count);

// Hands over consecutive blocks of columns: `rows[i]` has the values of update i from `first` on. At most about 32 MiB are
// held, or `columns` of each update when that is not 0. Its first error ends it.
using VisitBlock = std::function<Status(uint64_t first, std::span<const std::span<int64_t>> rows)>;
Status VisitBlocks(const UpdateSet& updates, const VisitBlock& visit, size_t columns = 0);

}  // namespace tributary
