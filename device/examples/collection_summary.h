#pragma once

#include <string>
#include <vector>

#include "device/examples/example_content.h"

namespace tributary {

// Sums up a collection from its examples, one by one: Add for each, Name for each text of a category, Finish.
class CollectionSummariser {
 public:
  explicit CollectionSummariser(const CollectionInfo& info);
  // kCorrupt: the content is not of the collection's fields.
  Status Add(bool held_out, WallTime added, ByteView content);
  void Name(const std::string& field, int64_t code, const std::string& text);
  CollectionSummary Finish() && { return std::move(summary_); }

 private:
  CollectionSummary summary_;
  std::vector<bool> too_many_labels_;
  std::vector<ContentPart> parts_;
};

// For people: the fields, shares, labels and bounds, over several lines.
std::string DescribeSummary(const CollectionSummary& summary, WallTime now);
// One line for each collection, under a heading.
std::string DescribeCollections(const std::vector<CollectionInfo>& collections);

}  // namespace tributary
