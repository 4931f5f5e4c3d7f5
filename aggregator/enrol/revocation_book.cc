#include "aggregator/enrol/revocation_book.h"

#include <algorithm>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

// A list's own dates are for other programs (openssl crl): here the publication's freshness counts.
constexpr Millis kLifetime = std::chrono::hours(24 * 30);
// A certificate that ended is refused for that; it stays in the list for as long as clocks may be wrong.
constexpr Millis kListedAfterEnd = std::chrono::hours(24 * 30);

}  // namespace

Result<RevocationBook> RevocationBook::Open(const Parts& parts) {
  RevocationBook book(parts);
  ASSIGN_OR_RETURN(book.lists_, parts.table.Lists());
  RETURN_IF_ERROR(book.Believe(book.TextOf(book.lists_, {})));
  RETURN_IF_ERROR(book.ReadCaFile());
  return book;
}

Result<bool> RevocationBook::ReadCaFile() {
  if (parts_.ca_file.empty()) return false;
  auto bytes = ReadFile(parts_.files, parts_.ca_file, limits::kRevocationBytes);
  if (!bytes && bytes.error().code != Code::kNotFound) return Fail(bytes.error());
  const std::string read = bytes ? std::string(AsText(*bytes)) : std::string();
  if (read == ca_text_) return false;
  const auto alone = ReadRevocations(read, parts_.anchor);
  const Status believed = alone ? Believe(TextOf(lists_, read)) : Fail(alone.error());
  if (!believed) {
    return Fail(believed.error().code, parts_.ca_file.string() + ": " + believed.error().message +
                                           "; the lists that were here go on being published");
  }
  ca_text_ = read;
  return true;
}

Result<RevocationBook::Revision> RevocationBook::Next(WallTime now, bool forgets) {
  TRIBUTARY_CHECK(parts_.issuer != nullptr) << "a revocation list without an issuer";
  StoredRevocations list;
  list.issuer_public_key = parts_.issuer->public_key;
  list.number = std::max(number(), floor_) + 1;
  for (const Certificate& above : parts_.issuer->authority.chain()) list.chain.push_back(above.der);
  list.ends = now + kLifetime;
  const WallTime ended_after = forgets ? now + -kListedAfterEnd : WallTime{};
  ASSIGN_OR_RETURN(const auto serials, parts_.table.Revoked(list.issuer_public_key, ended_after));
  ASSIGN_OR_RETURN(list.crl, SignRevocations(parts_.issuer->authority, list.number, serials, now, kLifetime));
  std::string text = TextOf(With(list), ca_text_);
  if (text.size() > limits::kRevocationBytes) {
    return Fail(Code::kTooLarge,
                "the revocation list would have {} bytes, the limit is {}; make a new issuer and revoke this one "
                "(tributary ca issuer, revoke-issuer)",
                text.size(), limits::kRevocationBytes);
  }
  ASSIGN_OR_RETURN(RevocationList read, ReadRevocations(text, parts_.anchor));
  RETURN_IF_ERROR(parts_.table.SaveList(list));
  return Revision{std::move(list), std::move(text), std::move(read)};
}

uint64_t RevocationBook::number() const {
  const StoredRevocations* const own = Own();
  return own != nullptr ? own->number : 0;
}

void RevocationBook::Adopt(Revision revision) {
  lists_ = With(std::move(revision.own));
  parts_.anchor.Revoke(revision.read);
  text_ = std::move(revision.text);
}

bool RevocationBook::RenewalDue(WallTime now) const {
  const StoredRevocations* const own = Own();
  if (own == nullptr) return false;
  constexpr Millis kSetRight = std::chrono::hours(1);
  return own->ends <= now + kLifetime / 3 || own->ends > now + kLifetime + kSetRight;
}

std::string RevocationBook::TextOf(const std::vector<StoredRevocations>& lists, const std::string& ca_text) const {
  std::string text;
  for (const StoredRevocations& list : lists) text += RevocationsToPem(list.chain, list.crl);
  return text + ca_text;
}

Status RevocationBook::Believe(std::string text) {
  ASSIGN_OR_RETURN(const RevocationList list, ReadRevocations(text, parts_.anchor));
  parts_.anchor.Revoke(list);
  text_ = std::move(text);
  return {};
}

std::vector<StoredRevocations> RevocationBook::With(StoredRevocations list) const {
  std::vector<StoredRevocations> lists = lists_;
  const auto same = std::ranges::find(lists, list.issuer_public_key, &StoredRevocations::issuer_public_key);
  if (same != lists.end()) {
    *same = std::move(list);
  } else {
    lists.push_back(std::move(list));
  }
  return lists;
}

const StoredRevocations* RevocationBook::Own() const {
  if (parts_.issuer == nullptr) return nullptr;
  const auto own = std::ranges::find(lists_, parts_.issuer->public_key, &StoredRevocations::issuer_public_key);
  return own == lists_.end() ? nullptr : &*own;
}

}  // namespace tributary
