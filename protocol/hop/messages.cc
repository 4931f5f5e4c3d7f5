#include "protocol/hop/messages.h"

#include <algorithm>

#include "protocol/hop/gateway_state_wire.h"
#include "protocol/hop/wire_fields.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/hop.capnp.h"

namespace tributary::hop {

// The messages in the order of the union, as the structs here and the members of the union are called. Goodbye, which
// has no content, is apart.
// clang-format off
#define TRIBUTARY_HOP_MESSAGES(DO) \
  DO(Hello, HELLO) DO(Challenge, CHALLENGE) DO(Proof, PROOF) DO(Welcome, WELCOME) DO(Refused, REFUSED) \
  DO(CheckIn, CHECK_IN) DO(Assignment, ASSIGNMENT) DO(Offer, OFFER) DO(Resume, RESUME) DO(Already, ALREADY) \
  DO(Refuse, REFUSE) DO(Chunk, CHUNK) DO(Credit, CREDIT) DO(Custody, CUSTODY) DO(Fetch, FETCH) DO(Piece, PIECE) \
  DO(FetchRefused, FETCH_REFUSED) DO(Notice, NOTICE) DO(Enrol, ENROL) DO(EnrolAnswer, ENROL_ANSWER)
// clang-format on

constexpr size_t kNonceBytes = 32;
constexpr size_t kDeviceClassBytes = 64;
// A reader takes no longer sentence; a writer cuts it.
constexpr size_t kSentenceBytes = 1024;

// ---- the fields of each message (wire_fields.h)

void Fields(Of<Hello>, auto& io, auto& m) {
  io.Number(HOP_FIELD(MinVersion), m.min_version);
  io.Number(HOP_FIELD(MaxVersion), m.max_version);
  // Version 1 had no nonce; it is read, so that its sender is told that its version is not spoken any more.
  io.ExactlyOrNone(HOP_FIELD(Nonce), m.nonce, kNonceBytes, "a nonce");
}

void Fields(Of<Challenge>, auto& io, auto& m) {
  io.Number(HOP_FIELD(Version), m.version);
  io.Exactly(HOP_FIELD(Nonce), m.nonce, kNonceBytes, "a nonce");
  io.Chain(HOP_FIELD(Chain), m.chain);
  io.Number(HOP_FIELD(MinVersion), m.min_version);
  io.Number(HOP_FIELD(MaxVersion), m.max_version);
}

void Fields(Of<Proof>, auto& io, auto& m) {
  io.Chain(HOP_FIELD(Chain), m.chain);
  io.Exactly(HOP_FIELD(Signature), m.signature, kSignatureBytes, "a signature");
}

// Welcome and assignment have these fields alike.
void Fields(Of<Terms>, auto& io, auto& m) {
  io.Number(HOP_FIELD(PublicationNumber), m.publication_number);
  io.Number(HOP_FIELD(CheckInMillis), m.check_in_millis);
  io.Path(HOP_FIELD(Path), m.path);
  io.Chain(HOP_FIELD(NextChain), m.next_chain);
}

void Fields(Of<Welcome>, auto& io, auto& m) {
  io.Name(HOP_FIELD(Server), m.server);
  Fields(Of<Terms>{}, io, m);
}

void Fields(Of<Refusal>, auto& io, auto& m) {
  io.ErrorCode(HOP_FIELD(Code), m.code);
  io.CutText(HOP_FIELD(Sentence), m.sentence, kSentenceBytes, "a sentence");
  io.Struct(HOP_FIELD(Retry), m.retry);
}

void Fields(Of<RetryWindow>, auto& io, auto& m) {
  io.Duration(HOP_FIELD(MinMillis), m.min);
  io.Duration(HOP_FIELD(MaxMillis), m.max);
}

void Fields(Of<Refused>, auto& io, auto& m) { Fields(Of<Refusal>{}, io, m.refusal); }
void Fields(Of<Already>, auto& io, auto& m) { io.Id(HOP_FIELD(Upload), m.upload); }
void Fields(Of<Custody>, auto& io, auto& m) { io.Id(HOP_FIELD(Upload), m.upload); }
void Fields(Of<Notice>, auto& io, auto& m) { io.Number(HOP_FIELD(PublicationNumber), m.publication_number); }

void Fields(Of<CheckIn>, auto& io, auto& m) {
  io.Number(HOP_FIELD(PublicationNumber), m.publication_number);
  io.Text(HOP_FIELD(DeviceClass), m.device_class, kDeviceClassBytes, "a device class");
  io.Number(HOP_FIELD(SpooledUploads), m.spooled_uploads);
  io.Number(HOP_FIELD(SpooledBytes), m.spooled_bytes);
  io.Number(HOP_FIELD(DeliveredUploads), m.delivered_uploads);
  io.Number(HOP_FIELD(ConnectedClients), m.connected_clients);
  io.Structs(HOP_FIELD(Reports), m.reports, limits::kGatewayReports, "gateway states");
  io.Number(HOP_FIELD(RootVersion), m.root_version);
  io.Number(HOP_FIELD(ClockUnixMillis), m.clock_unix_millis);
  io.Data(HOP_FIELD(Publication), m.publication, limits::kPublicationBytes, "a publication");
  io.IdOrNone(HOP_FIELD(PublicationDigest), m.publication_digest);
}

void Fields(Of<Assignment>, auto& io, auto& m) {
  Fields(Of<Terms>{}, io, m);
  io.Data(HOP_FIELD(Publication), m.publication, limits::kPublicationBytes, "a publication");
  io.Number(HOP_FIELD(WantsPublication), m.wants_publication);
}

void Fields(Of<Offer>, auto& io, auto& m) {
  io.Data(HOP_FIELD(Envelope), m.envelope, limits::kEnvelopeBytes, "an envelope");
}

void Fields(Of<Resume>, auto& io, auto& m) {
  io.Id(HOP_FIELD(Upload), m.upload);
  io.Number(HOP_FIELD(NextChunk), m.next_chunk);
}

void Fields(Of<Refuse>, auto& io, auto& m) {
  io.Id(HOP_FIELD(Upload), m.upload);
  io.Struct(HOP_FIELD(Refusal), m.refusal);
}

void Fields(Of<Chunk>, auto& io, auto& m) {
  io.Id(HOP_FIELD(Upload), m.upload);
  io.Number(HOP_FIELD(Index), m.index);
}

void Fields(Of<Credit>, auto& io, auto& m) {
  io.Number(HOP_FIELD(Bytes), m.bytes);
  io.IdOrNone(HOP_FIELD(Upload), m.upload);
  io.Number(HOP_FIELD(NextChunk), m.next_chunk);
}

void Fields(Of<Fetch>, auto& io, auto& m) {
  io.Id(HOP_FIELD(Digest), m.digest);
  io.Number(HOP_FIELD(Offset), m.offset);
  io.Number(HOP_FIELD(Size), m.size);
  io.Number(HOP_FIELD(Doubted), m.doubted);
}

void Fields(Of<Piece>, auto& io, auto& m) {
  io.Id(HOP_FIELD(Digest), m.digest);
  io.Number(HOP_FIELD(Offset), m.offset);
  io.Number(HOP_FIELD(BlobSize), m.blob_size);
}

void Fields(Of<FetchRefused>, auto& io, auto& m) {
  io.Id(HOP_FIELD(Digest), m.digest);
  io.Struct(HOP_FIELD(Refusal), m.refusal);
}

void Fields(Of<Enrol>, auto& io, auto& m) {
  io.Data(HOP_FIELD(Request), m.request, limits::kEnrolmentBytes, "an enrolment");
}

void Fields(Of<EnrolAnswer>, auto& io, auto& m) {
  using Kind = EnrolmentAnswer::Kind;
  const Kind& kind = m.answer.kind;
  io.Id(HOP_FIELD(Request), m.request);
  io.Number(HOP_FIELD(Kind), m.answer.kind);
  io.Chain(HOP_FIELD(Chain), m.answer.chain);
  if (kind != Kind::kIssued) io.Struct(HOP_FIELD(Refusal), m.answer.refusal);
  // A certificate is in one of them only.
  const bool known = kind == Kind::kIssued || kind == Kind::kPending || kind == Kind::kRefused;
  io.Check(known, "an answer to an enrolment of an unknown kind");
  io.Check((kind == Kind::kIssued) == !m.answer.chain.empty(), "an answer whose certificates do not go with its kind");
}

namespace {

struct Writer {
  schema::HopMessage::Builder to;

#define TRIBUTARY_WRITE(Type, MEMBER) \
  void operator()(const Type& m) {    \
    FieldWriter io(to.init##Type());  \
    Fields(Of<Type>{}, io, m);        \
  }
  TRIBUTARY_HOP_MESSAGES(TRIBUTARY_WRITE)
#undef TRIBUTARY_WRITE
  void operator()(const Goodbye&) { to.setGoodbye(); }
};

template <class M>
Result<Message> ReadFields(auto from) {
  FieldReader io(from);
  M message;
  Fields(Of<M>{}, io, message);
  if (!io.status()) return Fail(io.status().error());
  return Message(std::move(message));
}

Result<Message> Read(schema::HopMessage::Reader from) {
  switch (from.which()) {
#define TRIBUTARY_READ(Type, MEMBER) \
  case schema::HopMessage::MEMBER:   \
    return ReadFields<Type>(from.get##Type());
    TRIBUTARY_HOP_MESSAGES(TRIBUTARY_READ)
#undef TRIBUTARY_READ
    case schema::HopMessage::GOODBYE:
      return Goodbye{};
  }
  return Fail(Code::kMalformed, "a message this version does not know");
}

}  // namespace

Bytes Encode(const Message& message) {
  return wire::EncodeFramed<schema::HopMessage>(
      [&](schema::HopMessage::Builder to) { std::visit(Writer{to}, message); });
}

Result<Message> Decode(ByteView bytes) {
  if (bytes.size() > limits::kHopMessageBytes) return Fail(Code::kTooLarge, "a message of {} bytes", bytes.size());
  return wire::DecodeFramed<schema::HopMessage>(bytes, "a hop message", Read);
}

void CapRetry(Message& message, Millis most) {
  const auto cap = [most](Refusal& refusal) {
    refusal.retry = {std::min(refusal.retry.min, most), std::min(refusal.retry.max, most)};
  };
  const auto look = [&cap](auto& one) {
    if constexpr (requires { one.refusal; }) cap(one.refusal);
    if constexpr (requires { one.answer; }) cap(one.answer.refusal);
  };
  std::visit(look, message);
}

LinkPurpose PurposeOf(const Message& message) {
  const auto is_one_of = [&]<class... Types>() { return (std::holds_alternative<Types>(message) || ...); };
  if (const auto* assignment = std::get_if<Assignment>(&message)) {
    return assignment->publication.empty() ? LinkPurpose::kControl : LinkPurpose::kPublication;
  }
  if (is_one_of.operator()<Notice>()) return LinkPurpose::kPublication;
  if (is_one_of.operator()<Fetch, Piece, FetchRefused>()) return LinkPurpose::kBlobs;
  if (is_one_of.operator()<Offer, Resume, Already, Refuse, Chunk, Credit, Custody>()) return LinkPurpose::kUploads;
  return LinkPurpose::kControl;
}

Status CheckPath(const DeviceId& member, std::span<const DeviceId> path) {
  if (std::ranges::find(path, member) == path.end()) return {};
  std::string loop = member.text();
  for (const DeviceId& id : path) {
    loop += " -> " + id.text();
    if (id == member) break;
  }
  return Fail(
      Code::kUpstreamCycle,
      "the upstreams form a loop: {}; the uploads in custody are safe and wait. Name another upstream at one of "
      "them, one that leads to the aggregator",
      loop);
}

}  // namespace tributary::hop
