#include "aggregator/privacy/ledger.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr uint64_t kLedgerBytes = uint64_t{256} * limits::kMiB;  // a million lines

std::vector<std::string_view> WordsOf(std::string_view line) {
  std::vector<std::string_view> words;
  for (size_t from = 0; from <= line.size();) {
    const size_t end = std::min(line.find(' ', from), line.size());
    words.push_back(line.substr(from, end - from));
    from = end + 1;
  }
  return words;
}

std::optional<double> ToReal(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Reals are written with as many digits as it takes to read the same number again.
std::string TextOf(const TaskId& task, const PrivacyTerms& terms) {
  return fmt::format("terms {} {} {} {} {}", task.text(), kAccountingNames[static_cast<size_t>(terms.accounting)],
                     terms.epsilon, terms.delta, terms.participations);
}
std::string TextOf(const Charge& charge) {
  return fmt::format("{} {} {} {} {} {}", Charge::kKindNames[static_cast<size_t>(charge.kind)], charge.number,
                     charge.count, charge.multiplier, charge.inclusion, charge.noise.hex());
}

// nullopt: not the text of a charge, byte for byte.
std::optional<Charge> ChargeOf(std::string_view text) {
  const auto words = WordsOf(text);
  if (words.size() != 6) return std::nullopt;
  const auto kind = std::ranges::find(Charge::kKindNames, words[0]);
  const auto number = ToNumber(words[1]), count = ToNumber(words[2]);
  const auto multiplier = ToReal(words[3]), inclusion = ToReal(words[4]);
  const auto noise = Digest::FromHex(words[5]);
  if (kind == std::end(Charge::kKindNames) || !number || !count || !multiplier || !inclusion || !noise) {
    return std::nullopt;
  }
  const Charge charge{static_cast<Charge::Kind>(kind - std::begin(Charge::kKindNames)),
                      *number,
                      *count,
                      *multiplier,
                      *inclusion,
                      *noise};
  return charge.Check() && TextOf(charge) == text ? std::optional(charge) : std::nullopt;
}

Digest HashOf(const Digest& before, std::string_view line) { return Sha256(AsBytes(before.hex() + std::string(line))); }

}  // namespace

// `line`: without its line break.
Status Ledger::TakeLine(const TaskId& task, std::string_view line) {
  const auto damaged = [&](std::string_view why) {
    return Fail(Code::kCorrupt,
                "{}:{} {}. The {} lines before it are whole. Nothing more is published until the whole file is back",
                around_.file.string(), position_.sequence + 1, why, position_.sequence);
  };
  const size_t hash_at = line.rfind(' ') + 1;
  const auto hash = Digest::FromHex(line.substr(hash_at));
  if (!hash || *hash != HashOf(position_.hash, line.substr(0, hash_at))) {
    return damaged("was altered, or does not continue the line before it");
  }
  const auto words = WordsOf(line.substr(0, hash_at == 0 ? 0 : hash_at - 1));
  if (words.size() < 3 || words[0] != std::to_string(position_.sequence + 1)) return damaged("has another number");
  const std::string_view text =
      line.substr(words[0].size() + words[1].size() + 2, hash_at - words[0].size() - words[1].size() - 3);
  if (position_.sequence == 0) {
    if (text != TextOf(task, terms_)) {
      return Fail(Code::kConflict, "{} is the ledger of '{}', not of '{}'", around_.file.string(), text,
                  TextOf(task, terms_));
    }
  } else if (words[2] != "repaired") {
    const auto charge = ChargeOf(text);
    if (!charge) return damaged("is no charge that this version knows");
    charges_.push_back(*charge);
  }
  position_ = {position_.sequence + 1, *hash};
  hashes_.push_back(*hash);
  content_ += line;
  content_ += '\n';
  return {};
}

Status Ledger::Load(const TaskId& task) {
  ASSIGN_OR_RETURN(const Bytes bytes, OrIfAbsent(ReadFile(around_.files, around_.file, kLedgerBytes), {}));
  std::string_view rest = AsText(bytes);
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    // A write that a power cut interrupted leaves no line break, or a hole of zeros, and nothing whole behind it.
    const bool torn = end == std::string_view::npos || rest.substr(0, end).find('\0') != std::string_view::npos;
    if (torn && (end == std::string_view::npos || rest.find_first_not_of('\0', end + 1) == std::string_view::npos))
      break;
    RETURN_IF_ERROR(TakeLine(task, rest.substr(0, end)));
    rest.remove_prefix(end + 1);
  }
  torn_ = rest.size();
  spent_ = SpentEpsilon(terms_, charges_);
  return {};
}

Status Ledger::Settle(const TaskId& task) {
  if (position_.sequence == 0) RETURN_IF_ERROR(Append(TextOf(task, terms_)));
  if (torn_ == 0) return {};
  unsynced_ = true;
  return Append(fmt::format("repaired {}", std::exchange(torn_, 0)));
}

bool Ledger::Holds(const LedgerPosition& known) const {
  return known.sequence == 0 || (known.sequence <= hashes_.size() && hashes_[known.sequence - 1] == known.hash);
}

Result<Ledger> Ledger::Open(const Surroundings& around, const TaskId& task, const PrivacyTerms& terms,
                            const LedgerPosition& known) {
  RETURN_IF_ERROR(terms.Check());
  Ledger ledger(around, terms);
  RETURN_IF_ERROR(ledger.Load(task));
  if (!ledger.Holds(known)) {
    return Fail(Code::kRollback,
                "{} ends at line {} and does not have line {} with the hash {}: it was restored from a backup, or lost "
                "its end. What is missing was spent. Put the newer file back, or charge the rounds that are missing",
                around.file.string(), ledger.position_.sequence, known.sequence, known.hash.hex());
  }
  RETURN_IF_ERROR(ledger.Settle(task));
  return ledger;
}

Result<Ledger> Ledger::OpenWithLost(const Surroundings& around, const TaskId& task, const PrivacyTerms& terms,
                                    const Charge& lost) {
  RETURN_IF_ERROR(terms.Check());
  RETURN_IF_ERROR(lost.Check());
  Ledger ledger(around, terms);
  RETURN_IF_ERROR(ledger.Load(task));
  RETURN_IF_ERROR(ledger.Settle(task));
  if (lost.kind != Charge::Kind::kLost) return Fail(Code::kInvalidArgument, "what is charged is not lost");
  RETURN_IF_ERROR(ledger.Append(TextOf(lost)));  // whatever the budget: it was spent
  ledger.charges_.push_back(lost);
  ledger.spent_ = SpentEpsilon(terms, ledger.charges_);
  return ledger;
}

Status Ledger::Rewrite() {
  RETURN_IF_ERROR(WriteFileAtomically(around_.files, around_.file, AsBytes(content_)));
  unsynced_ = false;
  return {};
}

Status Ledger::Append(const std::string& text) {
  if (unsynced_) RETURN_IF_ERROR(Rewrite());
  std::string line = fmt::format("{} {} {} ", position_.sequence + 1, around_.clock.Now().unix_millis, text);
  const Digest hash = HashOf(position_.hash, line);
  line += hash.hex() + "\n";
  unsynced_ = true;
  {
    ASSIGN_OR_RETURN(const auto file, around_.files.OpenForWrite(around_.file));
    RETURN_IF_ERROR(file->WriteAt(content_.size(), AsBytes(line)));
    RETURN_IF_ERROR(file->Sync());
  }
  if (content_.empty()) RETURN_IF_ERROR(around_.files.SyncFolder(around_.file.parent_path()));
  unsynced_ = false;
  content_ += line;
  position_ = {position_.sequence + 1, hash};
  hashes_.push_back(hash);
  return {};
}

const Charge* Ledger::Find(Charge::Kind kind, uint64_t number) const {
  const auto found = std::ranges::find_if(
      charges_, [&](const Charge& charge) { return charge.kind == kind && charge.number == number; });
  return found == charges_.end() ? nullptr : &*found;
}

double Ledger::SpentWith(const Charge& charge) const {
  std::vector<Charge> charges = charges_;
  charges.push_back(charge);
  return SpentEpsilon(terms_, charges);
}

Result<LedgerPosition> Ledger::Record(const Charge& charge) {
  RETURN_IF_ERROR(charge.Check());
  if (const Charge* there = Find(charge.kind, charge.number); there && charge.kind != Charge::Kind::kLost) {
    if (*there == charge) return position_;
    return Fail(Code::kConflict,
                "{} {} has its noise already, {}: a sum that is seen under two noises tells more than either",
                Charge::kKindNames[static_cast<size_t>(charge.kind)], charge.number, there->noise.hex());
  }
  const double then = SpentWith(charge);
  if (!(then <= terms_.epsilon)) {
    return Fail(
        Code::kConflict,
        "the privacy budget does not hold {} {}: epsilon would be {:.4g} of {:.4g} at delta {:g}, and is {:.4g}",
        Charge::kKindNames[static_cast<size_t>(charge.kind)], charge.number, then, terms_.epsilon, terms_.delta,
        spent_);
  }
  RETURN_IF_ERROR(Append(TextOf(charge)));
  charges_.push_back(charge);
  spent_ = then;
  return position_;
}

}  // namespace tributary
