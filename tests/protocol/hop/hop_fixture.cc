#include "tests/protocol/hop/hop_fixture.h"

#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

template <class T>
T Must(Result<T> result) {
  TRIBUTARY_CHECK(result.has_value()) << result.error().ToString();
  return std::move(*result);
}
void Must(const Status& status) { TRIBUTARY_CHECK(status.has_value()) << status.error().ToString(); }

HopServer::Options OnAnyPort(HopServer::Options options) {
  if (options.endpoint.empty()) options.endpoint = "tcp://127.0.0.1:*";
  return options;
}

}  // namespace

void HopWorld::Turn() {
  worker.RunAll();
  loop.RunOnce(Millis(1));
  for (Loop* one : server_loops) one->RunOnce(Millis(1));
  for (const auto& check : each_turn) check();
}

bool HopWorld::RunUntil(const std::function<bool()>& condition, int turns) {
  for (int i = 0; i < turns && !condition(); ++i) Turn();
  return condition();
}

bool HopWorld::RunUntilWithTime(const std::function<bool()>& condition, Millis step, int turns) {
  for (int i = 0; i < turns && !condition(); ++i) {
    Turn();
    clock.Advance(step);
  }
  return condition();
}

// ---- MemorySink

void MemorySink::Offer(const SignedEnvelope& envelope, const VerifiedIdentity&, const DeviceId& via,
                       std::function<void(Result<OfferAnswer>)> answer) {
  offered_via.push_back(via);
  if (const auto verdict = judge(envelope)) return answer(*verdict);
  const UploadId& id = envelope.header.subject.id;
  if (complete.contains(id)) return answer(OfferAnswer{.already = true});
  Stored& stored = partial.try_emplace(id, Stored{envelope.header, {}}).first->second;
  answer(OfferAnswer{.next_chunk = static_cast<uint32_t>(stored.chunks.size())});
}

void MemorySink::Append(const UploadId& upload, uint32_t index, Bytes chunk, std::function<void(Status)> taken) {
  appended_bytes += chunk.size();
  const Status status = Take(upload, index, std::move(chunk));
  const bool whole = status && complete.contains(upload);
  auto answer = [this, taken = std::move(taken), status, whole, upload] {
    taken(status);
    if (whole && !hold_custody) server->GiveCustody(upload);
  };
  if (hold_chunks) return held_.push_back(std::move(answer));
  answer();
}

void MemorySink::Release() {
  auto held = std::move(held_);
  held_.clear();
  for (auto& one : held) one();
}

Status MemorySink::Take(const UploadId& upload, uint32_t index, Bytes chunk) {
  const auto found = partial.find(upload);
  if (found == partial.end()) return Fail(Code::kUnknownUpload, "never offered");
  Stored& stored = found->second;
  if (index != stored.chunks.size()) return Fail(Code::kChunkOutOfOrder, "not the next chunk");
  stored.chunks.push_back(std::move(chunk));
  if (stored.chunks.size() < stored.header.subject.chunk_count) return {};
  Sha256Stream digest;
  for (const Bytes& one : stored.chunks) digest.Update(one);
  if (std::move(digest).Finish() != stored.header.ciphertext_digest) {
    stored.chunks.clear();
    return Fail(Code::kDigestMismatch, "not the bytes that were announced");
  }
  complete.emplace(upload, std::move(stored));
  partial.erase(found);
  return {};
}

// ---- TestServer

TestServer::TestServer(HopWorld& world, Role role, std::string_view id, HopServer::Options options)
    : blobs(Must(BlobStore::Open(RealFileSystem(), world.folder / (std::string(id) + "-blobs")))),
      world_(world),
      identity_(world.fleet.Issue(role, id)),
      options_(OnAnyPort(std::move(options))),
      loop_(world.clock) {
  world_.server_loops.push_back(&loop_);
  world_.each_turn.push_back([this] {
    if (!server_ || !check_credit) return;
    const uint64_t in_use = server_->counts().credit_in_use;
    TRIBUTARY_CHECK(in_use <= options_.credit_bytes) << in_use << " of " << options_.credit_bytes;
  });
  Start();
}

TestServer::~TestServer() {
  world_.each_turn.clear();
  std::erase(world_.server_loops, &loop_);
}

void TestServer::Start() {
  server_ = std::make_unique<HopServer>(
      HopServer::Parts{loop_, world_.clock, world_.random, *shown_, sink, blobs, *this, desk, &world_.worker},
      options_);
  sink.server = server_.get();
  // A port that was just closed is free when libzmq's thread has got to it.
  Status listening;
  for (int i = 0; i < 500; ++i) {
    listening = server_->Listen();
    if (listening || listening.error().code != Code::kPortInUse) break;
    loop_.RunOnce(Millis(5));
  }
  Must(listening);
  options_.endpoint = server_->endpoint();
}

void TestServer::Stop() {
  server_.reset();
  sink.server = nullptr;
}

HopClient::Options TestServer::Address() const {
  HopClient::Options options;
  options.endpoint = options_.endpoint;
  options.server_key = shown_->subject.curve_public_key;
  return options;
}

uint64_t TestServer::Refused(Code code) {
  const auto& refused = server_->counts().refused;
  const auto found = refused.find(code);
  return found == refused.end() ? 0 : found->second;
}

void TestServer::OnCheckIn(const VerifiedIdentity& member, const hop::CheckIn& check_in) {
  check_ins.emplace_back(member.subject.id, check_in);
}
void TestServer::OnRefusedUpload(const UploadSubject*, const Error& error) { refused_uploads.push_back(error.code); }

// ---- content

SealedUpload MakeSealed(HopWorld& world, const Identity& by, size_t plaintext_size, ModelVersion base,
                        std::string_view task, UploadKind kind) {
  UploadSubject subject;
  subject.id = world.random.TakeUploadId();
  subject.kind = kind;
  subject.codec = kind == UploadKind::kUpdate ? Codec::kFloat32Dense : Codec::kRecord;
  subject.priority = kind == UploadKind::kUpdate ? Priority::kUpdate : Priority::kEvaluation;
  subject.task = TestTask(task);
  subject.base_version = base;
  subject.device = by.subject.id;
  subject.created = world.clock.Now();
  const SealingTarget target{kDefaultAead, world.fleet.sealing_key().public_key};
  return Must(
      SealUpload(subject, world.random.TakeBytes(plaintext_size), limits::kMinChunkBytes, target, by.key, by.chain));
}

Bytes MakePublication(HopWorld& world, BlobStore& blobs, uint64_t number, ModelVersion latest, size_t weight_bytes) {
  const Bytes module = ToBytes(AsBytes("module"));
  Bytes weights = SeededRandom(Number(latest)).TakeBytes(weight_bytes);
  const int64_t count = static_cast<int64_t>(weight_bytes / sizeof(float));
  PublishedTask task;
  task.id = TestTask("digits");
  task.table = TensorTable{{{"weight", {count}, 0, static_cast<uint64_t>(count)}}};
  task.module = {Must(blobs.Put(module)), module.size()};
  task.latest = latest;
  task.weights = {Must(blobs.Put(weights)), weights.size()};
  task.accepted = {latest};
  task.round = RoundAnnouncement{number, {1, 2, 3}, 1.0, world.clock.Now() + Millis(600'000)};
  task.value_bound = 1.0;
  task.norm_bound = 10.0;
  Publication publication;
  publication.number = number;
  publication.created = world.clock.Now();
  publication.expires = world.clock.Now() + Millis(24 * 3'600'000);
  publication.sealing_key = world.fleet.sealing_key().public_key;
  publication.tasks = {task};
  return world.fleet.Publish(publication);
}

Publication PublicationOf(const HopWorld& world, const Bytes& signed_publication) {
  return Must(OpenPublication(signed_publication, world.fleet.anchor(), world.clock.Now()));
}

// ---- TestSender

TestSender::TestSender(HopWorld& world, const Identity& identity, const Path& folder, HopClient::Options to,
                       Courier::Options options)
    : world_(world) {
  SpoolOptions spool_options;
  spool_options.folder = folder;
  spool_ = Must(Spool::Open(spool_options, RealFileSystem(), world.clock, world.worker));
  client_ = std::make_unique<HopClient>(
      HopClient::Parts{world.loop, world.clock, world.random, identity}, std::move(to),
      HopClient::Hooks{[this] { return self; }, [this](ByteView bytes) { publications.push_back(ToBytes(bytes)); },
                       [this](const std::vector<DeviceId>& path) { on_path(path); }});
  courier_ = std::make_unique<Courier>(*client_, world.loop, world.clock, world.random, *spool_, options,
                                       [this](const UploadId& upload, const Error* why) {
                                         gone.emplace_back(upload, why ? std::optional(why->code) : std::nullopt);
                                       });
}

void TestSender::Put(const SealedUpload& upload) {
  bool complete = false;
  spool_->Offer(upload.header, upload.envelope, [](const Result<OfferAnswer>& answer) {
    TRIBUTARY_CHECK(answer.has_value()) << answer.error().ToString();
  });
  for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
    spool_->Append(upload.header.subject.id, i, upload.chunks[i],
                   [&complete](const Result<AppendAnswer>& answer) { complete = answer && answer->complete; });
  }
  world_.worker.RunAll();
  TRIBUTARY_CHECK(complete) << "not in the outbox";
  courier_->Nudge();
}

// ---- FakeServer

FakeServer::FakeServer(HopWorld& world, const Identity& identity, std::vector<Bytes> next_chain)
    : world_(world), identity_(identity), next_chain_(std::move(next_chain)) {
  socket_ = Must(ServerSocket::Bind(loop_, "tcp://127.0.0.1:*", identity.curve_secret, {}, *this));
  world_.server_loops.push_back(&loop_);
}

FakeServer::~FakeServer() { std::erase(world_.server_loops, &loop_); }

void FakeServer::OnMessage(const ServerSocket::Peer& peer, ByteView message, ByteView) {
  const hop::Message said = Must(hop::Decode(message));
  const auto send = [&](const hop::Message& with) { Must(socket_->Send(peer.route, hop::Encode(with))); };
  if (const auto other = answer(said)) return send(*other);
  if (std::holds_alternative<hop::Hello>(said)) {
    send(hop::Challenge{hop::kProtocolVersion, world_.random.TakeBytes(32), identity_.chain});
  }
  if (std::holds_alternative<hop::Proof>(said)) {
    send(hop::Welcome{{0, 0, {}, next_chain_}, identity_.subject.id});
  }
  if (std::holds_alternative<hop::CheckIn>(said)) send(hop::Assignment{{0, 0, {}, next_chain_}, {}});
}

// ---- RawClient

namespace {

// libzmq binds to the address before it connects.
std::string ComingFrom(const std::string& address, const std::string& endpoint) {
  constexpr std::string_view kTcp = "tcp://";
  if (address.empty()) return endpoint;
  return std::string(kTcp) + address + ":0;" + endpoint.substr(kTcp.size());
}

}  // namespace

RawClient::RawClient(HopWorld& world, const TestServer& server, const Identity& identity)
    : RawClient(world, server, identity.curve_secret) {}

RawClient::RawClient(HopWorld& world, const TestServer& server, const SecretBytes& curve_secret,
                     const std::string& from)
    : world_(world),
      server_key_(server.identity().subject.curve_public_key),
      own_key_(Must(CurvePublicKeyOf(curve_secret))),
      socket_(Must(ClientSocket::Connect(world.loop, ComingFrom(from, server.endpoint()), server_key_, curve_secret, {},
                                         *this))) {}

void RawClient::Send(const hop::Message& message, ByteView bulk) { SendBytes(hop::Encode(message), bulk); }
void RawClient::SendBytes(ByteView bytes, ByteView bulk) { Must(socket_->Send(bytes, bulk)); }

void RawClient::OnMessage(ByteView message, ByteView bulk) {
  received.emplace_back(Must(hop::Decode(message)), ToBytes(bulk));
}

std::optional<Code> RawClient::AwaitRefused() {
  const auto refused = Await<hop::Refused>();
  return refused ? std::optional(refused->refusal.code) : std::nullopt;
}

std::optional<hop::Challenge> RawClient::Greet(hop::VersionRange spoken) {
  const hop::Hello hello = hop::Greeting(world_.random, spoken);
  hello_ = hop::Encode(hello);
  Send(hello);
  return Await<hop::Challenge>();
}

Bytes RawClient::Transcript(const hop::Challenge& challenge) const {
  return hop::ProofTranscript(own_key_, server_key_, hello_, hop::Encode(challenge));
}

std::optional<Code> RawClient::Introduce(const Identity& identity) {
  const auto challenge = Greet();
  TRIBUTARY_CHECK(challenge.has_value()) << "no challenge";
  Send(hop::Proof{identity.chain, identity.key.Sign(Transcript(*challenge))});
  world_.RunUntil([&] { return !received.empty(); });
  TRIBUTARY_CHECK(!received.empty()) << "no answer to the proof";
  if (std::holds_alternative<hop::Welcome>(received.front().first)) {
    received.pop_front();
    return std::nullopt;
  }
  return AwaitRefused();
}

}  // namespace tributary
