#pragma once

#include <array>
#include <cstdint>

#include "protocol/hop/gateway_state.h"
#include "protocol/hop/wire_fields.h"

// A GatewayState to and from the wire; for messages.cc only. Numbers over their limit are written as the limit, and a
// longer trouble is cut, so that no gateway state makes a check-in fail. Read, each of these is an error: kMalformed
// for a number over its limit, and for an id, code, kind or purpose that does not exist or comes twice; kTooLarge for a
// text.
namespace tributary::hop {

void Fields(Of<LinkBytes>, auto& io, auto& m) {
  io.Counter(HOP_FIELD(Up), m.up);
  io.Counter(HOP_FIELD(Down), m.down);
  io.Counter(HOP_FIELD(Resent), m.resent);
}

template <class Io, class Counts>
void CodeCounts(Io& io, auto field, Counts& counts) {
  if constexpr (Io::kWrites) {
    auto list = field.init(io.at(), static_cast<unsigned>(counts.size()));
    unsigned i = 0;
    for (const auto& [code, count] : counts) {
      list[i].setCode(static_cast<uint16_t>(code));
      FieldWriter(list[i++]).Counter(HOP_FIELD(Count), count);
    }
  } else {
    for (const auto entry : field.get(io.at())) {
      const auto code = CodeByNumber(entry.getCode());
      if (!code || counts.contains(*code)) {
        return io.Note(Fail(Code::kMalformed, "a gateway state with code {} unknown or twice", entry.getCode()));
      }
      FieldReader count(entry);
      count.Counter(HOP_FIELD(Count), counts[*code]);
      io.Note(count.status());
    }
  }
}

void Fields(Of<KindAccount>, auto& io, auto& m) {
  io.Counter(HOP_FIELD(Offered), m.offered);
  io.Counter(HOP_FIELD(Delivered), m.delivered);
  io.Counter(HOP_FIELD(Spooled), m.spooled);
  io.Counter(HOP_FIELD(InFlight), m.in_flight);
  io.Counter(HOP_FIELD(Duplicate), m.duplicate);
  CodeCounts(io, HOP_FIELD(Refused), m.refused);
  CodeCounts(io, HOP_FIELD(Dropped), m.dropped);
}

template <class Io, class M>
void Uplink(Io& io, M& uplink) {
  if constexpr (Io::kWrites) {
    auto list = io.at().initUplink(static_cast<unsigned>(uplink.size()));
    unsigned i = 0;
    for (const auto& [purpose, bytes] : uplink) {
      list[i].setPurpose(static_cast<schema::LinkPurpose>(purpose));
      FieldWriter to(list[i++]);
      Fields(Of<LinkBytes>{}, to, bytes);
    }
  } else {
    for (const auto entry : io.at().getUplink()) {
      const auto number = static_cast<uint16_t>(entry.getPurpose());
      const auto* purpose =
          std::ranges::find(kLinkPurposes, number, [](LinkPurpose one) { return static_cast<uint16_t>(one); });
      if (purpose == kLinkPurposes.end() || uplink.contains(*purpose)) {
        return io.Note(Fail(Code::kMalformed, "a gateway state with purpose {} unknown or twice", number));
      }
      FieldReader bytes(entry);
      Fields(Of<LinkBytes>{}, bytes, uplink[*purpose]);
      io.Note(bytes.status());
    }
  }
}

template <class Io, class M>
void Accounts(Io& io, M& accounts) {
  if constexpr (Io::kWrites) {
    auto list = io.at().initAccounts(static_cast<unsigned>(accounts.size()));
    for (unsigned i = 0; i < accounts.size(); ++i) {
      list[i].setKind(static_cast<uint8_t>(kUploadKinds[i]));
      FieldWriter to(list[i]);
      Fields(Of<KindAccount>{}, to, accounts[i]);
    }
  } else {
    std::array<bool, std::size(kUploadKinds)> seen{};
    for (const auto entry : io.at().getAccounts()) {
      const size_t place = static_cast<size_t>(entry.getKind()) - 1;
      if (place >= seen.size() || std::exchange(seen[place], true)) {
        return io.Note(Fail(Code::kMalformed, "a gateway state with kind {} unknown or twice", entry.getKind()));
      }
      FieldReader account(entry);
      Fields(Of<KindAccount>{}, account, accounts[place]);
      io.Note(account.status());
    }
  }
}

void Fields(Of<GatewayState>, auto& io, auto& m) {
  io.Name(HOP_FIELD(Gateway), m.gateway);
  io.NameOrNone(HOP_FIELD(Parent), m.parent);
  io.Counter(HOP_FIELD(PublicationNumber), m.publication_number);
  io.Counter(HOP_FIELD(SpoolBytes), m.spool_bytes);
  io.Counter(HOP_FIELD(SpoolLimitBytes), m.spool_limit_bytes);
  io.Counter(HOP_FIELD(DiskFreeBytes), m.disk_free_bytes);
  io.Counter(HOP_FIELD(DiskTotalBytes), m.disk_total_bytes);
  io.Counter(HOP_FIELD(DeadLetters), m.dead_letters);
  io.Counter(HOP_FIELD(OldestSpooledMillis), m.oldest_spooled_millis);
  io.Number(HOP_FIELD(ConnectedClients), m.connected_clients);
  io.CutText(HOP_FIELD(Trouble), m.trouble, limits::kTroubleBytes, "a gateway's trouble");
  io.Counter(HOP_FIELD(AgeMillis), m.age_millis);
  Uplink(io, m.uplink);
  Accounts(io, m.accounts);
}

}  // namespace tributary::hop
