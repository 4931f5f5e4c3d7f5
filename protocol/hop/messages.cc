#include "protocol/hop/messages.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/hop/gateway_state_wire.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/hop.capnp.h"

namespace tributary::hop {
namespace {

using wire::View;

// What a reader takes; a longer sentence is cut when it is written.
constexpr size_t kSentenceBytes = 1024;
constexpr size_t kNonceBytes = 32;

capnp::Data::Reader Data(ByteView bytes) { return wire::ToData(bytes); }
capnp::Text::Reader Text(const std::string& text) { return wire::ToText(text); }

// ---- writing: one overload per message, named by type

void WriteChain(capnp::List<capnp::Data>::Builder list, const std::vector<Bytes>& chain) {
  for (unsigned i = 0; i < chain.size(); ++i) list.set(i, Data(chain[i]));
}

void WriteRefusal(schema::Refusal::Builder to, const Refusal& refusal) {
  to.setCode(static_cast<uint16_t>(refusal.code));
  to.setSentence(Text(refusal.sentence.substr(0, kSentenceBytes)));
  to.getRetry().setMinMillis(static_cast<uint32_t>(refusal.retry.min.count()));
  to.getRetry().setMaxMillis(static_cast<uint32_t>(refusal.retry.max.count()));
}

void WritePath(capnp::List<capnp::Text>::Builder list, const std::vector<DeviceId>& path) {
  for (unsigned i = 0; i < list.size(); ++i) list.set(i, Text(path[i].text()));
}

// What lies behind the limit is cut: a path that long is no tree that anybody built.
unsigned PathSize(const std::vector<DeviceId>& path) {
  return static_cast<unsigned>(std::min(path.size(), limits::kPathHops));
}

struct Writer {
  schema::HopMessage::Builder to;

  void operator()(const Hello& m) {
    auto b = to.initHello();
    b.setMinVersion(m.min_version);
    b.setMaxVersion(m.max_version);
    if (!m.nonce.empty()) b.setNonce(Data(m.nonce));
  }
  void operator()(const Challenge& m) {
    auto b = to.initChallenge();
    b.setVersion(m.version);
    b.setNonce(Data(m.nonce));
    WriteChain(b.initChain(static_cast<unsigned>(m.chain.size())), m.chain);
    b.setMinVersion(m.min_version);
    b.setMaxVersion(m.max_version);
  }
  void operator()(const Proof& m) {
    auto b = to.initProof();
    WriteChain(b.initChain(static_cast<unsigned>(m.chain.size())), m.chain);
    b.setSignature(Data(m.signature));
  }
  void operator()(const Welcome& m) {
    auto b = to.initWelcome();
    b.setServer(Text(m.server.text()));
    b.setCreditBytes(m.credit_bytes);
    b.setMaxChunkBytes(m.max_chunk_bytes);
    b.setPublicationNumber(m.publication_number);
    b.setCheckInMillis(m.check_in_millis);
    WritePath(b.initPath(PathSize(m.path)), m.path);
    if (!m.next_chain.empty()) WriteChain(b.initNextChain(static_cast<unsigned>(m.next_chain.size())), m.next_chain);
  }
  void operator()(const Refused& m) { WriteRefusal(to.initRefused(), m.refusal); }
  void operator()(const CheckIn& m) {
    auto b = to.initCheckIn();
    b.setPublicationNumber(m.publication_number);
    b.setDeviceClass(Text(m.device_class));
    b.setSpooledUploads(m.spooled_uploads);
    b.setSpooledBytes(m.spooled_bytes);
    b.setDeliveredUploads(m.delivered_uploads);
    b.setConnectedClients(m.connected_clients);
    const auto count = static_cast<unsigned>(std::min(m.reports.size(), limits::kGatewayReports));
    auto reports = b.initReports(count);
    for (unsigned i = 0; i < count; ++i) WriteGatewayState(reports[i], m.reports[i]);
    b.setRootVersion(m.root_version);
  }
  void operator()(const Assignment& m) {
    auto b = to.initAssignment();
    b.setPublicationNumber(m.publication_number);
    b.setPublication(Data(m.publication));
    b.setCheckInMillis(m.check_in_millis);
    WritePath(b.initPath(PathSize(m.path)), m.path);
    if (!m.next_chain.empty()) WriteChain(b.initNextChain(static_cast<unsigned>(m.next_chain.size())), m.next_chain);
  }
  void operator()(const Offer& m) { to.initOffer().setEnvelope(Data(m.envelope)); }
  void operator()(const Resume& m) {
    auto b = to.initResume();
    b.setUpload(Data(m.upload.view()));
    b.setNextChunk(m.next_chunk);
  }
  void operator()(const Already& m) { to.initAlready().setUpload(Data(m.upload.view())); }
  void operator()(const Refuse& m) {
    auto b = to.initRefuse();
    b.setUpload(Data(m.upload.view()));
    WriteRefusal(b.initRefusal(), m.refusal);
  }
  void operator()(const Chunk& m) {
    auto b = to.initChunk();
    b.setUpload(Data(m.upload.view()));
    b.setIndex(m.index);
  }
  void operator()(const Credit& m) {
    auto b = to.initCredit();
    b.setBytes(m.bytes);
    if (!m.upload) return;
    b.setUpload(Data(m.upload->view()));
    b.setNextChunk(m.next_chunk);
  }
  void operator()(const Custody& m) { to.initCustody().setUpload(Data(m.upload.view())); }
  void operator()(const Fetch& m) {
    auto b = to.initFetch();
    b.setDigest(Data(m.digest.view()));
    b.setOffset(m.offset);
    b.setSize(m.size);
  }
  void operator()(const Piece& m) {
    auto b = to.initPiece();
    b.setDigest(Data(m.digest.view()));
    b.setOffset(m.offset);
    b.setBlobSize(m.blob_size);
  }
  void operator()(const FetchRefused& m) {
    auto b = to.initFetchRefused();
    b.setDigest(Data(m.digest.view()));
    WriteRefusal(b.initRefusal(), m.refusal);
  }
  void operator()(const Notice& m) { to.initNotice().setPublicationNumber(m.publication_number); }
  void operator()(const Goodbye&) { to.setGoodbye(); }
  void operator()(const Enrol& m) { to.initEnrol().setRequest(Data(m.request)); }
  void operator()(const EnrolAnswer& m) {
    auto b = to.initEnrolAnswer();
    b.setRequest(Data(m.request.view()));
    b.setKind(static_cast<uint8_t>(m.answer.kind));
    WriteChain(b.initChain(static_cast<unsigned>(m.answer.chain.size())), m.answer.chain);
    if (m.answer.kind != EnrolmentAnswer::Kind::kIssued) WriteRefusal(b.initRefusal(), m.answer.refusal);
  }
};

// ---- reading

Result<std::vector<Bytes>> ReadChain(capnp::List<capnp::Data>::Reader list) {
  if (list.size() > limits::kCertificateChain) {
    return Fail(Code::kTooLarge, "a chain of " + std::to_string(list.size()) + " certificates");
  }
  std::vector<Bytes> chain;
  for (const auto certificate : list) {
    if (certificate.size() > limits::kCertificateBytes) return Fail(Code::kTooLarge, "a certificate over its limit");
    chain.push_back(ToBytes(View(certificate)));
  }
  return chain;
}

Result<Bytes> ReadExactly(capnp::Data::Reader data, size_t size, const char* what) {
  if (data.size() != size)
    return Fail(Code::kMalformed, std::string(what) + " is not " + std::to_string(size) + " bytes");
  return ToBytes(View(data));
}

Result<std::string> ReadText(capnp::Text::Reader text, size_t limit, const char* what) {
  if (text.size() > limit)
    return Fail(Code::kTooLarge, std::string(what) + " over " + std::to_string(limit) + " bytes");
  return std::string(text.cStr(), text.size());
}

Result<std::vector<DeviceId>> ReadPath(capnp::List<capnp::Text>::Reader list) {
  if (list.size() > limits::kPathHops) {
    return Fail(Code::kTooLarge, "a path of " + std::to_string(list.size()) + " gateways");
  }
  std::vector<DeviceId> path;
  for (const auto name : list) {
    ASSIGN_OR_RETURN(DeviceId id, DeviceId::Parse(View(name)));
    path.push_back(std::move(id));
  }
  return path;
}

Result<CheckIn> ReadCheckIn(schema::CheckIn::Reader m) {
  ASSIGN_OR_RETURN(std::string device_class, ReadText(m.getDeviceClass(), 64, "a device class"));
  if (m.getReports().size() > limits::kGatewayReports) {
    return Fail(Code::kTooLarge, "reports of " + std::to_string(m.getReports().size()) + " gateways");
  }
  std::vector<GatewayState> reports;
  for (const auto from : m.getReports()) {
    ASSIGN_OR_RETURN(GatewayState report, ReadGatewayState(from));
    reports.push_back(std::move(report));
  }
  return CheckIn{m.getPublicationNumber(), std::move(device_class), m.getSpooledUploads(), m.getSpooledBytes(),
                 m.getDeliveredUploads(),  m.getConnectedClients(), std::move(reports),    m.getRootVersion()};
}

Result<Refusal> ReadRefusal(schema::Refusal::Reader from) {
  const auto code = CodeByNumber(from.getCode());
  if (!code) return Fail(Code::kMalformed, "unknown code " + std::to_string(from.getCode()));
  ASSIGN_OR_RETURN(std::string sentence, ReadText(from.getSentence(), kSentenceBytes, "a sentence"));
  const RetryWindow window{Millis(from.getRetry().getMinMillis()), Millis(from.getRetry().getMaxMillis())};
  return Refusal{*code, std::move(sentence), window};
}

Result<Hello> ReadHello(schema::Hello::Reader m) {
  // Version 1 had no nonce; it is read, so that its sender is told that its version is not spoken any more.
  if (m.getNonce().size() == 0) return Hello{m.getMinVersion(), m.getMaxVersion(), {}};
  ASSIGN_OR_RETURN(Bytes nonce, ReadExactly(m.getNonce(), kNonceBytes, "a nonce"));
  return Hello{m.getMinVersion(), m.getMaxVersion(), std::move(nonce)};
}

// A certificate is in one of them only, and so is the reason.
Result<EnrolAnswer> ReadEnrolAnswer(schema::EnrolAnswer::Reader m) {
  ASSIGN_OR_RETURN(const Digest request, Digest::FromBytes(View(m.getRequest())));
  ASSIGN_OR_RETURN(auto chain, ReadChain(m.getChain()));
  const auto kind = static_cast<EnrolmentAnswer::Kind>(m.getKind());
  switch (kind) {
    case EnrolmentAnswer::Kind::kIssued:
      if (chain.empty()) return Fail(Code::kMalformed, "an issued certificate that is not there");
      return EnrolAnswer{request, {kind, std::move(chain), {}}};
    case EnrolmentAnswer::Kind::kPending:
    case EnrolmentAnswer::Kind::kRefused: {
      if (!chain.empty()) return Fail(Code::kMalformed, "a certificate with an answer that issues none");
      ASSIGN_OR_RETURN(Refusal refusal, ReadRefusal(m.getRefusal()));
      return EnrolAnswer{request, {kind, {}, std::move(refusal)}};
    }
  }
  return Fail(Code::kMalformed, "an answer to an enrolment of kind " + std::to_string(m.getKind()));
}

Result<Message> Read(schema::HopMessage::Reader from) {
  switch (from.which()) {
    case schema::HopMessage::HELLO: {
      ASSIGN_OR_RETURN(Hello hello, ReadHello(from.getHello()));
      return hello;
    }
    case schema::HopMessage::CHALLENGE: {
      const auto m = from.getChallenge();
      ASSIGN_OR_RETURN(Bytes nonce, ReadExactly(m.getNonce(), kNonceBytes, "a nonce"));
      ASSIGN_OR_RETURN(auto chain, ReadChain(m.getChain()));
      return Challenge{m.getVersion(), std::move(nonce), std::move(chain), m.getMinVersion(), m.getMaxVersion()};
    }
    case schema::HopMessage::PROOF: {
      const auto m = from.getProof();
      ASSIGN_OR_RETURN(auto chain, ReadChain(m.getChain()));
      ASSIGN_OR_RETURN(Bytes signature, ReadExactly(m.getSignature(), 64, "a signature"));
      return Proof{std::move(chain), std::move(signature)};
    }
    case schema::HopMessage::WELCOME: {
      const auto m = from.getWelcome();
      ASSIGN_OR_RETURN(DeviceId server, DeviceId::Parse(View(m.getServer())));
      ASSIGN_OR_RETURN(auto path, ReadPath(m.getPath()));
      ASSIGN_OR_RETURN(auto next, ReadChain(m.getNextChain()));
      return Welcome{std::move(server),    m.getCreditBytes(), m.getMaxChunkBytes(), m.getPublicationNumber(),
                     m.getCheckInMillis(), std::move(path),    std::move(next)};
    }
    case schema::HopMessage::REFUSED: {
      ASSIGN_OR_RETURN(Refusal refusal, ReadRefusal(from.getRefused()));
      return Refused{std::move(refusal)};
    }
    case schema::HopMessage::CHECK_IN: {
      ASSIGN_OR_RETURN(CheckIn check_in, ReadCheckIn(from.getCheckIn()));
      return check_in;
    }
    case schema::HopMessage::ASSIGNMENT: {
      const auto m = from.getAssignment();
      if (m.getPublication().size() > limits::kPublicationBytes)
        return Fail(Code::kTooLarge, "a publication over its limit");
      ASSIGN_OR_RETURN(auto path, ReadPath(m.getPath()));
      ASSIGN_OR_RETURN(auto next, ReadChain(m.getNextChain()));
      return Assignment{m.getPublicationNumber(), ToBytes(View(m.getPublication())), m.getCheckInMillis(),
                        std::move(path), std::move(next)};
    }
    case schema::HopMessage::OFFER: {
      const auto envelope = from.getOffer().getEnvelope();
      if (envelope.size() > limits::kEnvelopeBytes) return Fail(Code::kTooLarge, "an envelope over its limit");
      return Offer{ToBytes(View(envelope))};
    }
    case schema::HopMessage::RESUME: {
      ASSIGN_OR_RETURN(const UploadId upload, UploadId::FromBytes(View(from.getResume().getUpload())));
      return Resume{upload, from.getResume().getNextChunk()};
    }
    case schema::HopMessage::ALREADY: {
      ASSIGN_OR_RETURN(const UploadId upload, UploadId::FromBytes(View(from.getAlready().getUpload())));
      return Already{upload};
    }
    case schema::HopMessage::REFUSE: {
      ASSIGN_OR_RETURN(const UploadId upload, UploadId::FromBytes(View(from.getRefuse().getUpload())));
      ASSIGN_OR_RETURN(Refusal refusal, ReadRefusal(from.getRefuse().getRefusal()));
      return Refuse{upload, std::move(refusal)};
    }
    case schema::HopMessage::CHUNK: {
      ASSIGN_OR_RETURN(const UploadId upload, UploadId::FromBytes(View(from.getChunk().getUpload())));
      return Chunk{upload, from.getChunk().getIndex()};
    }
    case schema::HopMessage::CREDIT: {
      const auto m = from.getCredit();
      if (m.getUpload().size() == 0) return Credit{m.getBytes()};
      ASSIGN_OR_RETURN(const UploadId upload, UploadId::FromBytes(View(m.getUpload())));
      return Credit{m.getBytes(), upload, m.getNextChunk()};
    }
    case schema::HopMessage::CUSTODY: {
      ASSIGN_OR_RETURN(const UploadId upload, UploadId::FromBytes(View(from.getCustody().getUpload())));
      return Custody{upload};
    }
    case schema::HopMessage::FETCH: {
      ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(View(from.getFetch().getDigest())));
      return Fetch{digest, from.getFetch().getOffset(), from.getFetch().getSize()};
    }
    case schema::HopMessage::PIECE: {
      ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(View(from.getPiece().getDigest())));
      return Piece{digest, from.getPiece().getOffset(), from.getPiece().getBlobSize()};
    }
    case schema::HopMessage::FETCH_REFUSED: {
      ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(View(from.getFetchRefused().getDigest())));
      ASSIGN_OR_RETURN(Refusal refusal, ReadRefusal(from.getFetchRefused().getRefusal()));
      return FetchRefused{digest, std::move(refusal)};
    }
    case schema::HopMessage::NOTICE:
      return Notice{from.getNotice().getPublicationNumber()};
    case schema::HopMessage::GOODBYE:
      return Goodbye{};
    case schema::HopMessage::ENROL: {
      const auto request = from.getEnrol().getRequest();
      if (request.size() > limits::kEnrolmentBytes) return Fail(Code::kTooLarge, "an enrolment over its limit");
      return Enrol{ToBytes(View(request))};
    }
    case schema::HopMessage::ENROL_ANSWER: {
      ASSIGN_OR_RETURN(EnrolAnswer answer, ReadEnrolAnswer(from.getEnrolAnswer()));
      return answer;
    }
  }
  return Fail(Code::kMalformed, "a message this version does not know");
}

}  // namespace

Bytes Encode(const Message& message) {
  return wire::EncodeFramed<schema::HopMessage>(
      [&](schema::HopMessage::Builder to) { std::visit(Writer{to}, message); });
}

Result<Message> Decode(ByteView bytes) {
  if (bytes.size() > limits::kHopMessageBytes) {
    return Fail(Code::kTooLarge, "a message of " + std::to_string(bytes.size()) + " bytes");
  }
  return wire::DecodeFramed<schema::HopMessage>(bytes, "a hop message", Read);
}

LinkPurpose PurposeOf(const Message& message) {
  if (const auto* assignment = std::get_if<Assignment>(&message)) {
    return assignment->publication.empty() ? LinkPurpose::kControl : LinkPurpose::kPublication;
  }
  if (std::holds_alternative<Notice>(message)) return LinkPurpose::kPublication;
  if (std::holds_alternative<Fetch>(message) || std::holds_alternative<Piece>(message) ||
      std::holds_alternative<FetchRefused>(message)) {
    return LinkPurpose::kBlobs;
  }
  if (std::holds_alternative<Offer>(message) || std::holds_alternative<Resume>(message) ||
      std::holds_alternative<Already>(message) || std::holds_alternative<Refuse>(message) ||
      std::holds_alternative<Chunk>(message) || std::holds_alternative<Credit>(message) ||
      std::holds_alternative<Custody>(message)) {
    return LinkPurpose::kUploads;
  }
  return LinkPurpose::kControl;
}

Status CheckPath(const DeviceId& member, std::span<const DeviceId> path) {
  if (std::ranges::find(path, member) == path.end()) return {};
  std::string loop = member.text();
  for (const DeviceId& id : path) {
    loop += " -> " + id.text();
    if (id == member) break;
  }
  return Fail(Code::kUpstreamCycle, "the upstreams form a loop: " + loop +
                                        "; what is in custody is safe and waits. Name another upstream at one of them, "
                                        "one that leads to the aggregator");
}

}  // namespace tributary::hop
