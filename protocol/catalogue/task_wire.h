#pragma once

#include <span>
#include <string_view>

#include "protocol/base/field.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/tensor_table.h"
#include "protocol/plan/task_manifest.h"
#include "protocol/schema/publication.capnp.h"

// A task's training plan and tensor table on the wire, for the .cc files of this folder and their tests.
// The plan goes by its table of fields. A field whose name the schema has (learning_rate is learningRate there) stands in
// its own place; these are the fields of 0.1.0. Every other field stands in the list `more` when it is not at its
// default, so a plan that uses no newer field has the bytes that it always had, and older devices read it.
namespace tributary {

// `defaults` is the table of an object that has the defaults. Lists of strings have no form here (CHECK).
void WritePlan(std::span<const Field> fields, std::span<const Field> defaults, schema::TrainingPlan::Builder to);
// Into an object that has the defaults. kMalformed names the field and its bounds; kTooLarge: too many entries;
// kVersionUnsupported: the plan has a field that this program does not know and may not ignore.
Status ReadPlan(schema::TrainingPlan::Reader from, std::span<const Field> fields);

void WriteTensors(const TensorTable& table, capnp::List<schema::Tensor>::Builder to);
// Offsets and sizes follow from the shapes; the table is checked. Errors: those of CheckTensorTable.
Result<TensorTable> ReadTensors(capnp::List<schema::Tensor>::Reader from);

// A manifest as a task or package carries it. kMalformed, kTooLarge.
Result<TaskManifest> ReadManifest(std::string_view text);

}  // namespace tributary
