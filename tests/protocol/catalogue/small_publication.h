#pragma once

#include <string>

#include "protocol/catalogue/publication.h"
#include "protocol/trust/seal/digest.h"
#include "tests/support/outcome.h"
#include "tests/support/test_fleet.h"

// A catalogue of one task, for the tests of this folder and the seeds of the fuzz targets.
namespace tributary {

inline TensorTable SmallTable() {
  return TensorTable{{{"weight", {2, 3}, 0, 6}, {"bias", {2}, 6, 2}, {"scale", {}, 8, 1}}};
}

inline PublishedTask SmallTask() {
  PublishedTask task;
  task.id = TestTask("digits");
  task.table = SmallTable();
  task.module = {Sha256(AsBytes(std::string_view("module"))), 6};
  task.latest = ModelVersion{3};
  task.weights = {Sha256(AsBytes(std::string_view("weights"))), 36};
  task.accepted = {ModelVersion{2}, ModelVersion{3}};
  task.round = RoundAnnouncement{5, {1, 2, 3}, 0.5, kTestStart + Millis(60'000)};
  task.value_bound = 1.0;
  task.norm_bound = 10.0;
  return task;
}

inline Publication SmallPublication(uint64_t number = 7) {
  Publication publication;
  publication.number = number;
  publication.root_version = 1;
  publication.created = kTestStart;
  publication.expires = kTestStart + Millis(3'600'000);
  publication.sealing_key = Bytes(32, 0x42);
  publication.tasks = {SmallTask()};
  return publication;
}

}  // namespace tributary
