#include "aggregator/operator/command/task_plan.h"

#include "protocol/base/process/config.h"

namespace tributary {

Status ReadTaskPlan(const Path& file, TaskRecord& task) {
  ASSIGN_OR_RETURN(ConfigReader config, ConfigReader::Load(file));
  config.Read(FieldsOf(task.plan), "training");
  config.Read(FieldsOf(task.policy), "round");
  config.Read(BoundsOf(task), "bounds");
  return config.Finish();
}

std::string TaskPlanManual() {
  TaskRecord defaults;
  return FieldsManual(FieldsOf(defaults.plan), "training") + FieldsManual(FieldsOf(defaults.policy), "round") +
         FieldsManual(BoundsOf(defaults), "bounds");
}

}  // namespace tributary
