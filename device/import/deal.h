#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/examples/collection_store.h"
#include "device/examples/partition.h"

namespace tributary {

// How the examples of files are dealt out to the devices of a fleet, each to one of them.
struct Deal {
  PartitionPlan plan;           // without the number of devices; each holds back its own share
  std::string label = "label";  // the field by which, one whole number from 0 to 2^32 - 1, or a category
};

// Whose example each is: the number of a device, or ExampleSink::kNobody where it is not in the sample. `taken`: which rows
// became examples of the collection, in the rows' order. Errors: of Partition; kMissingField, kInvalidArgument: the label.
Result<std::vector<uint32_t>> TurnsOf(const Deal& deal, uint32_t devices, CollectionStore& store,
                                      const std::string& collection, const std::vector<bool>& taken);

}  // namespace tributary
