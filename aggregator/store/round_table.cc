#include "aggregator/store/round_table.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace tributary {
namespace {

#define TRIBUTARY_ROUND_COLUMNS                                                                                  \
  "task, number, state, base, result, nonce, opened, deadline, closed, reports, total_weight, bytes_up, "        \
  "aggregate_digest, checkpoint, generation, bytes_in, bytes_written, shortfall, norm_bound, statistics_bound, " \
  "weight_bound, scaled, capped, asks, asked, counted, staleness, extended, inclusion"

Result<std::vector<uint64_t>> ReadNames(ByteView bytes) {
  auto names = NamesFromBytes(bytes);
  if (!names) return Fail(Code::kCorrupt, "a round's list of devices: {}", names.error().message);
  return names;
}

std::string CountsText(const std::vector<uint64_t>& counts) { return fmt::format("{}", fmt::join(counts, ",")); }

Result<std::vector<uint64_t>> ReadCounts(std::string_view text) {
  std::vector<uint64_t> counts;
  while (!text.empty()) {
    uint64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc() || counts.size() > limits::kAcceptedVersions)
      return Fail(Code::kCorrupt, "a round's staleness \"{}\"", text);
    counts.push_back(count);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (text.starts_with(',')) text.remove_prefix(1);
  }
  return counts;
}

Result<StoredRound> ReadRound(const Row& row) {
  StoredRound round;
  RoundRecord& record = round.record;
  Bytes nonce, asked, counted;
  std::string staleness;
  RETURN_IF_ERROR(row.Into(record.task, record.number, record.state, record.base, record.result, nonce, record.opened,
                           record.deadline, record.closed, record.contributions, record.total_weight, record.bytes_up,
                           record.aggregate_digest, round.checkpoint, round.generation, round.bytes_in,
                           round.bytes_written, record.shortfall, record.bounds.norm, record.bounds.statistics,
                           record.bounds.weight, record.scaled, record.capped, record.again.times, asked, counted,
                           staleness, record.extended, record.inclusion));
  ASSIGN_OR_RETURN(record.staleness, ReadCounts(staleness));
  ASSIGN_OR_RETURN(record.again.asked, ReadNames(asked));
  ASSIGN_OR_RETURN(record.again.counted, ReadNames(counted));
  if (nonce.size() != record.nonce.size()) return Fail(Code::kCorrupt, "a round's nonce has another size");
  std::ranges::copy(nonce, record.nonce.begin());
  return round;
}

}  // namespace

Status RoundTable::Insert(const StoredRound& round) {
  const RoundRecord& record = round.record;
  RETURN_IF_ERROR(database_.Write(
      "INSERT INTO rounds (" TRIBUTARY_ROUND_COLUMNS
      ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      record.task, record.number, record.state, record.base, record.result, ByteView(record.nonce), record.opened,
      record.deadline, record.closed, record.contributions, record.total_weight, record.bytes_up,
      record.aggregate_digest, round.checkpoint, round.generation, round.bytes_in, round.bytes_written,
      record.shortfall, record.bounds.norm, record.bounds.statistics, record.bounds.weight, record.scaled,
      record.capped, record.again.times, NamesToBytes(record.again.asked), NamesToBytes(record.again.counted),
      CountsText(record.staleness), record.extended, record.inclusion));
  return SaveRefusals(record);
}

Status RoundTable::Save(const StoredRound& round) {
  const RoundRecord& record = round.record;
  RETURN_IF_ERROR(database_.Write(
      "UPDATE rounds SET state = ?, result = ?, closed = ?, reports = ?, total_weight = ?, bytes_up = ?, "
      "aggregate_digest = ?, checkpoint = ?, generation = ?, bytes_in = ?, bytes_written = ?, shortfall = ?, "
      "scaled = ?, capped = ?, asks = ?, asked = ?, counted = ?, staleness = ?, deadline = ?, extended = ? "
      "WHERE task = ? AND number = ?",
      record.state, record.result, record.closed, record.contributions, record.total_weight, record.bytes_up,
      record.aggregate_digest, round.checkpoint, round.generation, round.bytes_in, round.bytes_written,
      record.shortfall, record.scaled, record.capped, record.again.times, NamesToBytes(record.again.asked),
      NamesToBytes(record.again.counted), CountsText(record.staleness), record.deadline, record.extended, record.task,
      record.number));
  return SaveRefusals(record);
}

Status RoundTable::SaveRefusals(const RoundRecord& round) {
  for (const auto& [code, amount] : round.refused) {
    RETURN_IF_ERROR(
        database_.Write("INSERT INTO round_refusals (task, round, code, amount) VALUES (?, ?, ?, ?) "
                        "ON CONFLICT (task, round, code) DO UPDATE SET amount = excluded.amount",
                        round.task, round.number, code, amount));
  }
  return {};
}

Result<std::vector<StoredRound>> RoundTable::List(const TaskId& task, const Slice<uint64_t>& slice) {
  ASSIGN_OR_RETURN(auto rounds, database_.QueryAs(ReadRound,
                                                  "SELECT " TRIBUTARY_ROUND_COLUMNS
                                                  " FROM rounds WHERE task = ? AND number > ? ORDER BY number LIMIT ?",
                                                  task, slice.after, slice.most));
  RETURN_IF_ERROR(ReadRefusals(rounds));
  return rounds;
}

Result<StoredRound> RoundTable::Get(const TaskId& task, uint64_t number) {
  ASSIGN_OR_RETURN(
      auto found,
      database_.QueryFirst(ReadRound, "SELECT " TRIBUTARY_ROUND_COLUMNS " FROM rounds WHERE task = ? AND number = ?",
                           task, number));
  if (!found) return Fail(Code::kNotFound, "task {} has no round {}", task.text(), number);
  RETURN_IF_ERROR(ReadRefusals({&*found, 1}));
  return std::move(*found);
}

Result<std::vector<StoredRound>> RoundTable::Open() {
  ASSIGN_OR_RETURN(auto rounds, database_.QueryAs(ReadRound,
                                                  "SELECT " TRIBUTARY_ROUND_COLUMNS
                                                  " FROM rounds WHERE state = ? OR state = ? ORDER BY task, number",
                                                  RoundState::kCollecting, RoundState::kClosing));
  for (StoredRound& round : rounds) RETURN_IF_ERROR(ReadRefusals({&round, 1}));
  return rounds;
}

Result<std::map<std::string, uint64_t>> ContributionTable::CountsByPeer(const TaskId& task, uint64_t first_round) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query(
          "SELECT via, count(*) FROM contributions WHERE task = ? AND round >= ? AND via IS NOT NULL GROUP BY via",
          task, first_round));
  std::map<std::string, uint64_t> counts;
  for (const Row& row : rows) {
    std::string via;
    uint64_t count = 0;
    RETURN_IF_ERROR(row.Into(via, count));
    if (!via.empty()) counts[via] = count;
  }
  return counts;
}

Result<UpdateSize> ContributionTable::Median(const TaskId& task, uint64_t first_round) {
  UpdateSize median;
  const auto read = [&](std::string_view column, auto& into) -> Status {
    const std::string of = fmt::format("{} FROM contributions WHERE task = ? AND round >= ?", column);
    const auto cell = FirstCell<std::remove_reference_t<decltype(into)>>;
    ASSIGN_OR_RETURN(const auto found,
                     database_.QueryFirst(cell,
                                          fmt::format("SELECT {0} ORDER BY {1} LIMIT 1 OFFSET (SELECT (count(*) - 1) / "
                                                      "2 FROM (SELECT {0}))",
                                                      of, column),
                                          task, first_round, task, first_round));
    if (found) into = *found;
    return {};
  };
  RETURN_IF_ERROR(read("norm", median.norm));
  RETURN_IF_ERROR(read("statistics", median.statistics));
  RETURN_IF_ERROR(read("weight", median.weight));
  return median;
}

Result<std::vector<ContributionRecord>> ContributionTable::List(const TaskId& task, ModelVersion base, uint64_t round,
                                                                const Slice<DeviceId>& slice) {
  const auto read = [](const Row& row) -> Result<ContributionRecord> {
    ContributionRecord one;
    RETURN_IF_ERROR(row.Into(one.task, one.base, one.device, one.upload, one.size.weight, one.round, one.size.norm,
                             one.size.statistics, one.length, one.cosine, one.via));
    return one;
  };
  return database_.QueryAs(
      read,
      "SELECT task, base_version, device, upload, weight, round, norm, statistics, length, cosine, "
      "via FROM contributions WHERE task = :task AND round BETWEEN (SELECT min(number) FROM rounds WHERE task = :task AND "
      "base = :base) AND :round AND device > :after ORDER BY device, base_version LIMIT :most",
      task, base, round, slice.after, slice.most);
}

Status RoundTable::ReadRefusals(std::span<StoredRound> rounds) {
  if (rounds.empty()) return {};
  ASSIGN_OR_RETURN(
      const auto refusals,
      database_.Query("SELECT round, code, amount FROM round_refusals WHERE task = ? AND round BETWEEN ? "
                      "AND ? ORDER BY round",
                      rounds.front().record.task, rounds.front().record.number, rounds.back().record.number));
  auto round = rounds.begin();
  for (const Row& refusal : refusals) {
    uint64_t number = 0;
    Code code{};
    uint64_t amount = 0;
    RETURN_IF_ERROR(refusal.Into(number, code, amount));
    while (round != rounds.end() && round->record.number < number) ++round;
    if (round == rounds.end()) break;
    if (round->record.number == number) round->record.refused[code] = amount;
  }
  return {};
}

}  // namespace tributary
