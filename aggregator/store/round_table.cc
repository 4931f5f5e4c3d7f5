#include "aggregator/store/round_table.h"

#include <algorithm>

namespace tributary {
namespace {

#define TRIBUTARY_ROUND_COLUMNS                                                                           \
  "task, number, state, base, result, nonce, opened, deadline, closed, reports, total_weight, bytes_up, " \
  "aggregate_digest, checkpoint, generation, bytes_in, bytes_written"

uint64_t Unsigned(const Row& row, size_t column) { return static_cast<uint64_t>(row.Int(column)); }

Result<StoredRound> ReadRound(const Row& row) {
  StoredRound round;
  RoundRecord& record = round.record;
  ASSIGN_OR_RETURN(record.task, TaskId::Parse(row.Text(0)));
  record.number = Unsigned(row, 1);
  record.state = static_cast<RoundState>(row.Int(2));
  record.base = ModelVersion{Unsigned(row, 3)};
  record.result = ModelVersion{Unsigned(row, 4)};
  if (row.Blob(5).size() != record.nonce.size()) return Fail(Code::kCorrupt, "a round's nonce has another size");
  std::ranges::copy(row.Blob(5), record.nonce.begin());
  record.opened = {row.Int(6)};
  record.deadline = {row.Int(7)};
  record.closed = {row.Int(8)};
  record.contributions = Unsigned(row, 9);
  record.total_weight = Unsigned(row, 10);
  record.bytes_up = Unsigned(row, 11);
  if (!row.IsNull(12)) {
    ASSIGN_OR_RETURN(record.aggregate_digest, Digest::FromBytes(row.Blob(12)));
  }
  round.checkpoint = row.Text(13);
  round.generation = Unsigned(row, 14);
  round.bytes_in = Unsigned(row, 15);
  round.bytes_written = Unsigned(row, 16);
  return round;
}

}  // namespace

Status RoundTable::Insert(const StoredRound& round) {
  const RoundRecord& record = round.record;
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO rounds (" TRIBUTARY_ROUND_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      record.task, record.number, record.state, record.base, record.result, ByteView(record.nonce),
      record.opened.unix_millis, record.deadline.unix_millis, record.closed.unix_millis, record.contributions,
      record.total_weight, record.bytes_up, record.aggregate_digest, round.checkpoint, round.generation, round.bytes_in,
      round.bytes_written));
  return SaveRefusals(record);
}

Status RoundTable::Save(const StoredRound& round) {
  const RoundRecord& record = round.record;
  RETURN_IF_ERROR(database_.Execute(
      "UPDATE rounds SET state = ?, result = ?, closed = ?, reports = ?, total_weight = ?, bytes_up = ?, "
      "aggregate_digest = ?, checkpoint = ?, generation = ?, bytes_in = ?, bytes_written = ? "
      "WHERE task = ? AND number = ?",
      record.state, record.result, record.closed.unix_millis, record.contributions, record.total_weight,
      record.bytes_up, record.aggregate_digest, round.checkpoint, round.generation, round.bytes_in, round.bytes_written,
      record.task, record.number));
  return SaveRefusals(record);
}

Status RoundTable::SaveRefusals(const RoundRecord& round) {
  for (const auto& [code, amount] : round.refused) {
    RETURN_IF_ERROR(
        database_.Execute("INSERT INTO round_refusals (task, round, code, amount) VALUES (?, ?, ?, ?) "
                          "ON CONFLICT (task, round, code) DO UPDATE SET amount = excluded.amount",
                          round.task, round.number, code, amount));
  }
  return {};
}

Status RoundTable::AddBytes(const TaskId& task, uint64_t number, uint64_t bytes) {
  RETURN_IF_ERROR(database_.Execute("UPDATE rounds SET bytes_up = bytes_up + ? WHERE task = ? AND number = ?", bytes,
                                    task, number));
  return {};
}

Result<std::vector<StoredRound>> RoundTable::All(const TaskId& task) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT " TRIBUTARY_ROUND_COLUMNS " FROM rounds WHERE task = ? ORDER BY number", task));
  return ReadAll(rows);
}

Result<StoredRound> RoundTable::Get(const TaskId& task, uint64_t number) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT " TRIBUTARY_ROUND_COLUMNS " FROM rounds WHERE task = ? AND number = ?", task, number));
  if (rows.empty()) {
    return Fail(Code::kNotFound, "task {} has no round {}", task.text(), number);
  }
  ASSIGN_OR_RETURN(auto rounds, ReadAll(rows));
  return std::move(rounds.front());
}

Result<std::vector<StoredRound>> RoundTable::Open() {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT " TRIBUTARY_ROUND_COLUMNS
                                                    " FROM rounds WHERE state = ? OR state = ? ORDER BY task, number",
                                                    RoundState::kCollecting, RoundState::kClosing));
  return ReadAll(rows);
}

Result<uint64_t> RoundTable::LastNumber(const TaskId& task) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT number FROM rounds WHERE task = ? ORDER BY number DESC LIMIT 1", task));
  return rows.empty() ? 0 : Unsigned(rows.front(), 0);
}

Result<uint64_t> RoundTable::LastOnBase(const TaskId& task, ModelVersion base) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT number FROM rounds WHERE task = ? AND base = ? ORDER BY number DESC LIMIT 1",
                                   task, base));
  return rows.empty() ? 0 : Unsigned(rows.front(), 0);
}

Result<std::vector<StoredRound>> RoundTable::ReadAll(const std::vector<Row>& rows) {
  std::vector<StoredRound> rounds;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(StoredRound round, ReadRound(row));
    ASSIGN_OR_RETURN(const auto refusals,
                     database_.Query("SELECT code, amount FROM round_refusals WHERE task = ? AND round = ?",
                                     round.record.task, round.record.number));
    for (const Row& refusal : refusals) {
      round.record.refused[static_cast<Code>(refusal.Int(0))] = Unsigned(refusal, 1);
    }
    rounds.push_back(std::move(round));
  }
  return rounds;
}

// ---- Contributions

Status ContributionTable::Insert(const ContributionRecord& contribution) {
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO contributions (task, base_version, device, upload, weight, round) VALUES (?, ?, ?, ?, ?, ?)",
      contribution.task, contribution.base, contribution.device, contribution.upload, contribution.weight,
      contribution.round));
  return {};
}

Result<bool> ContributionTable::Has(const TaskId& task, ModelVersion base, const DeviceId& device) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT 1 FROM contributions WHERE task = ? AND base_version = ? AND device = ?",
                                   task, base, device));
  return !rows.empty();
}

Result<uint64_t> ContributionTable::CountOfRound(const TaskId& task, uint64_t round) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT COUNT(*) FROM contributions WHERE task = ? AND round = ?", task, round));
  return static_cast<uint64_t>(rows.front().Int(0));
}

Status ContributionTable::ForgetBefore(const TaskId& task, ModelVersion oldest) {
  RETURN_IF_ERROR(database_.Execute("DELETE FROM contributions WHERE task = ? AND base_version < ?", task, oldest));
  return {};
}

}  // namespace tributary
