#pragma once

#include <map>
#include <optional>

#include "device/learn/personal_model.h"
#include "protocol/base/file.h"

namespace tributary {

// The personal models of a device, in files of one folder: "fashion.7.model" is the one of the task fashion that is in
// force, on version 7. "fashion.8.next" was made by a fit whose uploads are not all in the outbox yet: a fit that a kill
// cut off is done again from the model in force, to the same bits, and then nothing of the first try may be left. Each
// file is a personal model (device/learn/personal_model.h), then its SHA-256; each is whole or not there.
//
// Load and Prepare may be called on any thread; the rest on one.
class PersonalStore {
 public:
  PersonalStore(FileSystem& files, Path folder) : files_(files), folder_(std::move(folder)) {}

  // nullopt: there is none. A damaged file is set aside as "*.damaged", and the log says so: the device begins afresh.
  Result<std::optional<PersonalModel>> Load(const TaskId& task) const;
  // The model of a version that is in force. kNotFound, kCorrupt. Changes nothing.
  Result<PersonalModel> Read(const TaskId& task, ModelVersion version) const;
  // Durable on return, and not in force.
  Status Prepare(const PersonalModel& model) const;
  // What was prepared for the version is in force now, durable on return; without it nothing changes. What was prepared for
  // other versions is removed.
  Status Adopt(const TaskId& task, ModelVersion version) const;
  // In force at once, in place of the former one.
  Status Replace(const PersonalModel& model) const;
  // Removes everything of the task. Durable on return.
  Status Erase(const TaskId& task) const;
  // The version of each task's model in force. Reads names only.
  Result<std::map<TaskId, ModelVersion>> Bases() const;

 private:
  Status RemoveAllBut(const TaskId& task, const std::string& name) const;

  FileSystem& files_;
  Path folder_;
};

}  // namespace tributary
