#include "aggregator/store/evaluation_table.h"

namespace tributary {

Status EvaluationTable::Insert(const EvaluationRecord& evaluation) {
  const EvaluationResult& result = evaluation.result;
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO evaluations (task, version, device, model, role, upload, examples, loss, accuracy, millis, "
      "received) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      evaluation.task, evaluation.version, evaluation.device, result.model, evaluation.role, evaluation.upload,
      result.examples, result.loss, result.accuracy, result.millis, evaluation.received.unix_millis));
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO evaluation_totals (task, version, role, model, reports, examples, correct) VALUES (?, ?, ?, ?, 1, "
      "?, ?) "
      "ON CONFLICT (task, version, role, model) DO UPDATE SET reports = evaluation_totals.reports + 1, "
      "examples = evaluation_totals.examples + excluded.examples, correct = evaluation_totals.correct + "
      "excluded.correct",
      evaluation.task, evaluation.version, evaluation.role, result.model, result.examples,
      result.accuracy * static_cast<double>(result.examples)));
  return {};
}

Result<bool> EvaluationTable::Has(const EvaluationRecord& evaluation) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT 1 FROM evaluations WHERE task = ? AND version = ? AND device = ? AND model = ?",
                      evaluation.task, evaluation.version, evaluation.device, evaluation.result.model));
  return !rows.empty();
}

Result<bool> EvaluationTable::HasUpload(const DeviceId& device, const UploadId& upload) {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT 1 FROM evaluations WHERE upload = ? AND device = ? LIMIT 1",
                                                    upload, device));
  return !rows.empty();
}

Result<EvaluationTotal> EvaluationTable::Total(const TaskId& task, ModelVersion version, const std::string& role,
                                               EvaluatedModel model) {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT reports, examples, correct FROM evaluation_totals "
                                                    "WHERE task = ? AND version = ? AND role = ? AND model = ?",
                                                    task, version, role, model));
  if (rows.empty()) return EvaluationTotal{};
  return EvaluationTotal{.reports = static_cast<uint64_t>(rows.front().Int(0)),
                         .examples = static_cast<uint64_t>(rows.front().Int(1)),
                         .correct = rows.front().Real(2)};
}

}  // namespace tributary
