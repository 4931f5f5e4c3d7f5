#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zmq.hpp>

#include "protocol/trust/identity/identity.h"
#include "protocol/transport/client_socket.h"
#include "protocol/transport/server_socket.h"
#include "tests/support/manual_clock.h"

namespace tributary::sockets_test {
namespace {

constexpr char kAnyPort[] = "tcp://127.0.0.1:*";

struct Seen {
  ServerSocket::Peer peer;
  std::string message;
  std::string bulk;
};

struct RecordingServer final : ServerSocket::Handler {
  void OnMessage(const ServerSocket::Peer& peer, ByteView message, ByteView bulk) override {
    if (admit) admit->Admit(peer.route);
    messages.push_back({peer, std::string(AsText(message)), std::string(AsText(bulk))});
  }
  void OnNonsense(const ServerSocket::Peer& peer) override { nonsense.push_back(peer); }
  void OnDisconnected(const std::string& route) override { disconnected.push_back(route); }
  ServerSocket* admit = nullptr;  // whoever says something is a member
  std::vector<Seen> messages;
  std::vector<ServerSocket::Peer> nonsense;
  std::vector<std::string> disconnected;
};

struct RecordingClient final : ClientSocket::Handler {
  void OnMessage(ByteView message, ByteView bulk) override { messages.emplace_back(AsText(message), AsText(bulk)); }
  void OnDisconnected() override { ++disconnected; }
  std::vector<std::pair<std::string, std::string>> messages;
  int disconnected = 0;
};

class SocketsTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<ServerSocket>> Bind(const std::string& endpoint) {
    return ServerSocket::Bind(loop_, endpoint, server_keys_.secret, options_, server_handler_);
  }
  std::unique_ptr<ServerSocket> MustBind(const std::string& endpoint = kAnyPort) {
    auto server = Bind(endpoint);
    TRIBUTARY_CHECK(server.has_value()) << server.error().ToString();
    return std::move(*server);
  }
  std::unique_ptr<ClientSocket> Connect(const std::string& endpoint, ByteView server_key, const CurveKeyPair& keys,
                                        RecordingClient& handler) {
    auto client = ClientSocket::Connect(loop_, endpoint, server_key, keys.secret, options_, handler);
    TRIBUTARY_CHECK(client.has_value()) << client.error().ToString();
    return std::move(*client);
  }
  // Turns the loop until it is so, or for at most `turns` times.
  bool RunUntil(const std::function<bool()>& condition, int turns = 500) {
    for (int i = 0; i < turns && !condition(); ++i) loop_.RunOnce(Millis(10));
    return condition();
  }

  ManualClock clock_;
  Loop loop_{clock_};
  TransportOptions options_;
  CurveKeyPair server_keys_ = GenerateCurveKeyPair();
  CurveKeyPair client_keys_ = GenerateCurveKeyPair();
  RecordingServer server_handler_;
  RecordingClient client_handler_;
};

TEST_F(SocketsTest, MessagesGoBothWaysAndTheServerSeesTheProvenKey) {
  const auto server = MustBind();
  const auto client = Connect(server->endpoint(), server_keys_.public_key, client_keys_, client_handler_);
  ASSERT_TRUE(client->Send(AsBytes("hello")));
  ASSERT_TRUE(client->Send(AsBytes("chunk"), AsBytes("bulk")));
  ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == 2; }));
  const Seen& first = server_handler_.messages[0];
  const Seen& second = server_handler_.messages[1];
  EXPECT_EQ(first.message, "hello");
  EXPECT_EQ(first.bulk, "");
  EXPECT_EQ(second.message, "chunk");
  EXPECT_EQ(second.bulk, "bulk");
  EXPECT_EQ(first.peer.curve_public_key, client_keys_.public_key);
  EXPECT_EQ(first.peer.route, second.peer.route);

  ASSERT_TRUE(server->Send(first.peer.route, AsBytes("answer")));
  ASSERT_TRUE(server->Send(first.peer.route, AsBytes("piece"), AsBytes("bytes")));
  ASSERT_TRUE(RunUntil([&] { return client_handler_.messages.size() == 2; }));
  EXPECT_EQ(client_handler_.messages[0], (std::pair<std::string, std::string>("answer", "")));
  EXPECT_EQ(client_handler_.messages[1], (std::pair<std::string, std::string>("piece", "bytes")));
}

TEST_F(SocketsTest, EachClientIsSeenUnderItsOwnKeyAndRoute) {
  const auto server = MustBind();
  const CurveKeyPair other_keys = GenerateCurveKeyPair();
  RecordingClient other_handler;
  const auto one = Connect(server->endpoint(), server_keys_.public_key, client_keys_, client_handler_);
  const auto other = Connect(server->endpoint(), server_keys_.public_key, other_keys, other_handler);
  ASSERT_TRUE(one->Send(AsBytes("one")));
  ASSERT_TRUE(other->Send(AsBytes("other")));
  ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == 2; }));
  EXPECT_NE(server_handler_.messages[0].peer.route, server_handler_.messages[1].peer.route);
  for (const Seen& seen : server_handler_.messages) {
    EXPECT_EQ(seen.peer.curve_public_key, seen.message == "one" ? client_keys_.public_key : other_keys.public_key);
    ASSERT_TRUE(server->Send(seen.peer.route, AsBytes("you are " + seen.message)));
  }
  ASSERT_TRUE(RunUntil([&] { return client_handler_.messages.size() + other_handler.messages.size() == 2; }));
  ASSERT_EQ(client_handler_.messages.size(), 1u);
  EXPECT_EQ(client_handler_.messages[0].first, "you are one");
}

TEST_F(SocketsTest, WithTheWrongServerKeyNothingGetsThrough) {
  const auto server = MustBind();
  const CurveKeyPair somebody = GenerateCurveKeyPair();
  const auto stranger = Connect(server->endpoint(), somebody.public_key, client_keys_, client_handler_);
  ASSERT_TRUE(stranger->Send(AsBytes("secret")));
  // An honest client's message bounds the wait: it takes the same way and comes through.
  RecordingClient honest_handler;
  const auto honest = Connect(server->endpoint(), server_keys_.public_key, GenerateCurveKeyPair(), honest_handler);
  for (int i = 0; i < 10; ++i) {
    const size_t before = server_handler_.messages.size();
    ASSERT_TRUE(honest->Send(AsBytes("honest")));
    ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() > before; }));
  }
  for (const Seen& seen : server_handler_.messages) EXPECT_EQ(seen.message, "honest");
  EXPECT_TRUE(server_handler_.nonsense.empty());
}

TEST_F(SocketsTest, APeerWithoutCurveGetsNothingThrough) {
  const auto server = MustBind();
  zmq::context_t context;
  zmq::socket_t plain(context, zmq::socket_type::dealer);
  plain.set(zmq::sockopt::linger, 0);
  plain.connect(server->endpoint());
  plain.send(zmq::str_buffer("plain"), zmq::send_flags::dontwait);
  const auto honest = Connect(server->endpoint(), server_keys_.public_key, client_keys_, client_handler_);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(honest->Send(AsBytes("honest")));
    ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == static_cast<size_t>(i) + 1; }));
  }
  for (const Seen& seen : server_handler_.messages) EXPECT_EQ(seen.message, "honest");
}

TEST_F(SocketsTest, APortInUseIsSaidClearly) {
  const auto server = MustBind();
  ManualClock clock;
  Loop other_loop(clock);
  const auto second =
      ServerSocket::Bind(other_loop, server->endpoint(), server_keys_.secret, options_, server_handler_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kPortInUse);
  EXPECT_NE(second.error().message.find(server->endpoint()), std::string::npos) << second.error().message;
}

TEST_F(SocketsTest, ALoopHasOneServer) {
  const auto server = MustBind();
  const auto second = Bind(kAnyPort);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
}

TEST_F(SocketsTest, WhatIsNoEndpointOrKeyIsRefused) {
  for (const char* endpoint :
       {"", "nonsense", "tcp://", "tcp://127.0.0.1", "http://127.0.0.1:80", "tcp://127.0.0.1:70000"}) {
    const auto server = Bind(endpoint);
    ASSERT_FALSE(server) << endpoint;
    EXPECT_EQ(server.error().code, Code::kInvalidArgument) << server.error().ToString();
  }
  const auto no_key = ServerSocket::Bind(loop_, kAnyPort, SecretBytes(31), options_, server_handler_);
  ASSERT_FALSE(no_key);
  EXPECT_EQ(no_key.error().code, Code::kInvalidArgument);
  const auto no_server_key =
      ClientSocket::Connect(loop_, "tcp://127.0.0.1:1", Bytes(31), client_keys_.secret, options_, client_handler_);
  ASSERT_FALSE(no_server_key);
  EXPECT_EQ(no_server_key.error().code, Code::kInvalidArgument);
}

TEST_F(SocketsTest, AnOversizedFrameClosesItsConnectionAndOthersGoOn) {
  options_.max_frame_bytes = 1'000;
  const auto server = MustBind();
  // The client's own limit is about what it receives, so it can be made to send too much.
  const auto faulty = Connect(server->endpoint(), server_keys_.public_key, client_keys_, client_handler_);
  const CurveKeyPair other_keys = GenerateCurveKeyPair();
  RecordingClient other_handler;
  const auto other = Connect(server->endpoint(), server_keys_.public_key, other_keys, other_handler);
  ASSERT_TRUE(faulty->Send(AsBytes("small")));
  ASSERT_TRUE(other->Send(AsBytes("other")));
  ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == 2; }));
  std::string faulty_route;
  for (const Seen& seen : server_handler_.messages) {
    if (seen.message == "small") faulty_route = seen.peer.route;
  }
  ASSERT_TRUE(faulty->Send(Bytes(5'000)));
  // The server notices on its I/O thread; from then on the route is gone.
  ASSERT_TRUE(RunUntil([&] { return !server->Send(faulty_route, AsBytes("still there?")); }));
  ASSERT_TRUE(other->Send(AsBytes("other")));
  ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() >= 3; }));
  for (const Seen& seen : server_handler_.messages) EXPECT_LT(seen.message.size(), 1'000u);
}

TEST_F(SocketsTest, MoreFramesThanAMessageHasAreNonsense) {
  const auto server = MustBind();
  zmq::context_t context;
  zmq::socket_t odd(context, zmq::socket_type::dealer);
  odd.set(zmq::sockopt::linger, 0);
  const auto buffer = [](ByteView bytes) { return zmq::const_buffer(bytes.data(), bytes.size()); };
  odd.set(zmq::sockopt::curve_serverkey, buffer(server_keys_.public_key));
  odd.set(zmq::sockopt::curve_publickey, buffer(client_keys_.public_key));
  odd.set(zmq::sockopt::curve_secretkey, buffer(client_keys_.secret.RevealForUse()));
  odd.connect(server->endpoint());
  for (const char* frame : {"one", "two"}) odd.send(zmq::buffer(std::string_view(frame)), zmq::send_flags::sndmore);
  odd.send(zmq::str_buffer("three"), zmq::send_flags::none);
  ASSERT_TRUE(RunUntil([&] { return !server_handler_.nonsense.empty(); }));
  EXPECT_EQ(server_handler_.nonsense[0].curve_public_key, client_keys_.public_key);
  EXPECT_TRUE(server_handler_.messages.empty());
  // The connection's key is known, so it can be told why.
  EXPECT_TRUE(server->Send(server_handler_.nonsense[0].route, AsBytes("no")));
}

TEST_F(SocketsTest, SendingToARouteThatIsNotThereIsAnError) {
  const auto server = MustBind();
  const Status sent = server->Send("nobody", AsBytes("hello"));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Code::kUnreachable);
}

TEST_F(SocketsTest, AClientFindsAServerThatIsDestroyedAndBoundAgainOnTheSamePort) {
  auto server = MustBind();
  const std::string endpoint = server->endpoint();
  const auto client = Connect(endpoint, server_keys_.public_key, client_keys_, client_handler_);
  ASSERT_TRUE(client->Send(AsBytes("before")));
  ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == 1; }));
  const std::string old_route = server_handler_.messages[0].peer.route;
  server.reset();
  server_handler_.messages.clear();
  // libzmq closes the port on its own thread.
  Result<std::unique_ptr<ServerSocket>> again = Fail(Code::kPortInUse, "");
  ASSERT_TRUE(RunUntil([&] {
    if (!again) again = Bind(endpoint);
    return again.has_value();
  }));
  EXPECT_FALSE((*again)->Send(old_route, AsBytes("who?")));
  // A message that is sent while the link is broken may be lost; so this asks until it is heard.
  ASSERT_TRUE(RunUntil([&] {
    (void)client->Send(AsBytes("after"));
    return !server_handler_.messages.empty();
  }));
  EXPECT_EQ(server_handler_.messages[0].message, "after");
  EXPECT_EQ(server_handler_.messages[0].peer.curve_public_key, client_keys_.public_key);
  EXPECT_TRUE((*again)->Send(server_handler_.messages[0].peer.route, AsBytes("welcome back")));
  EXPECT_TRUE(RunUntil([&] { return !client_handler_.messages.empty(); }));
}

TEST_F(SocketsTest, AServerHearsThatAClientIsGoneAfterAllThatItSent) {
  const auto server = MustBind();
  server_handler_.admit = server.get();
  auto client = Connect(server->endpoint(), server_keys_.public_key, client_keys_, client_handler_);
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(client->Send(AsBytes("last words")));
  client.reset();
  ASSERT_TRUE(RunUntil([&] { return !server_handler_.disconnected.empty(); }));
  ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == 500; }));
  EXPECT_EQ(server_handler_.disconnected, std::vector{server_handler_.messages[0].peer.route});
}

// The kernel gives a new connection the lowest free descriptor, which is that of the one before.
TEST_F(SocketsTest, TheEndOfAConnectionIsNeverTakenForThatOfTheNext) {
  const auto server = MustBind();
  for (size_t i = 1; i <= 50; ++i) {
    auto client = Connect(server->endpoint(), server_keys_.public_key, client_keys_, client_handler_);
    ASSERT_TRUE(client->Send(AsBytes(std::to_string(i))));
    // Every other time the server hears of the end and of the next beginning in one turn.
    if (i % 2 == 1) continue;
    ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == i; }));
    // The messages of two connections come in any order.
    const std::string& route =
        std::ranges::find(server_handler_.messages, std::to_string(i), &Seen::message)->peer.route;
    EXPECT_EQ(std::ranges::count(server_handler_.disconnected, route), 0);
    EXPECT_TRUE(server->Send(route, AsBytes("still there")));
  }
  ASSERT_TRUE(RunUntil([&] { return server_handler_.disconnected.size() == 50; }))
      << server_handler_.disconnected.size();
}

TEST_F(SocketsTest, AClientHearsThatTheConnectionBroke) {
  auto server = MustBind();
  const auto client = Connect(server->endpoint(), server_keys_.public_key, client_keys_, client_handler_);
  ASSERT_TRUE(client->Send(AsBytes("hello")));
  ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == 1; }));
  EXPECT_EQ(client_handler_.disconnected, 0);
  EXPECT_GT(client->BytesMoved(), 0u);
  ASSERT_TRUE(server->Send(server_handler_.messages[0].peer.route, AsBytes("last word")));
  server.reset();
  ASSERT_TRUE(RunUntil([&] { return client_handler_.disconnected > 0; }));
  EXPECT_EQ(client_handler_.messages.size(), 1u);
  EXPECT_EQ(client->BytesMoved(), 0u);
}

TEST_F(SocketsTest, BytesThatMoveAreSeenAtBothEnds) {
  const auto server = MustBind();
  const auto client = Connect(server->endpoint(), server_keys_.public_key, client_keys_, client_handler_);
  ASSERT_TRUE(client->Send(AsBytes("hello")));
  ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == 1; }));
  const int connection = server_handler_.messages[0].peer.connection;
  const uint64_t received = server->BytesReceived(connection);
  const uint64_t moved = client->BytesMoved();
  ASSERT_TRUE(client->Send(AsBytes("chunk"), Bytes(100'000)));
  ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == 2; }));
  EXPECT_GE(server->BytesReceived(connection), received + 100'000);
  ASSERT_TRUE(RunUntil([&] { return client->BytesMoved() >= moved + 100'000; }));
  EXPECT_EQ(server->BytesReceived(-1), 0u);
}

// ---- of a connection on which nobody has proven anything

TEST_F(SocketsTest, WhoeverIsNotAdmittedIsHeardForAFewMessagesAndThenCut) {
  const auto server = MustBind();
  const auto client = Connect(server->endpoint(), server_keys_.public_key, client_keys_, client_handler_);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client->Send(AsBytes("let me in")));
  ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == 16; }));
  for (int i = 0; i < 20; ++i) loop_.RunOnce(Millis(5));
  EXPECT_EQ(server_handler_.messages.size(), 16u);
  EXPECT_EQ(server->unproven(), 1u);
  clock_.Advance(options_.unproven_timeout);
  EXPECT_TRUE(RunUntil([&] { return client_handler_.disconnected > 0; }));
  EXPECT_EQ(server->turned_away().at(TurnedAway::kTooSlow), 1u);
}

TEST_F(SocketsTest, WhoeverIsNotAdmittedAndSendsMuchIsCut) {
  const auto server = MustBind();
  const auto client = Connect(server->endpoint(), server_keys_.public_key, client_keys_, client_handler_);
  ASSERT_TRUE(client->Send(AsBytes("here it comes"), Bytes(2 * options_.max_unproven_bytes)));
  ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == 1; }));
  clock_.Advance(Millis(1'000));
  EXPECT_TRUE(RunUntil([&] { return client_handler_.disconnected > 0; }));
  EXPECT_EQ(server->turned_away().at(TurnedAway::kTooMuch), 1u);
}

TEST_F(SocketsTest, WhoeverIsAdmittedStays) {
  const auto server = MustBind();
  server_handler_.admit = server.get();
  const auto client = Connect(server->endpoint(), server_keys_.public_key, client_keys_, client_handler_);
  ASSERT_TRUE(client->Send(AsBytes("much"), Bytes(2 * options_.max_unproven_bytes)));
  ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() == 1; }));
  EXPECT_EQ(server->unproven(), 0u);
  clock_.Advance(10 * options_.unproven_timeout);
  for (int i = 0; i < 20; ++i) loop_.RunOnce(Millis(5));
  EXPECT_EQ(client_handler_.disconnected, 0);
  // Dismissed, it has a moment to hear why.
  const std::string route = server_handler_.messages[0].peer.route;
  server_handler_.admit = nullptr;
  ASSERT_TRUE(server->Send(route, AsBytes("go")));
  server->Dismiss(route);
  ASSERT_TRUE(RunUntil([&] { return client_handler_.messages.size() == 1; }));
  EXPECT_EQ(client_handler_.disconnected, 0);
  clock_.Advance(Millis(2'000));
  EXPECT_TRUE(RunUntil([&] { return client_handler_.disconnected > 0; }));
  EXPECT_TRUE(server->turned_away().empty());
}

// A TCP connection that says nothing, or nonsense, has no route; it goes all the same.
TEST_F(SocketsTest, ManyConnectionsThatSayNothingAreCutTheOldestFirst) {
  options_.max_unproven = 3;
  const auto server = MustBind();
  std::vector<std::unique_ptr<ClientSocket>> clients;
  std::vector<RecordingClient> handlers(5);
  for (RecordingClient& handler : handlers) {
    clients.push_back(Connect(server->endpoint(), server_keys_.public_key, GenerateCurveKeyPair(), handler));
    const size_t before = server_handler_.messages.size();
    ASSERT_TRUE(clients.back()->Send(AsBytes("hello")));
    ASSERT_TRUE(RunUntil([&] { return server_handler_.messages.size() > before; }));
    EXPECT_LE(server->unproven(), 3u);
  }
  EXPECT_GE(server->turned_away().at(TurnedAway::kGaveWay), 2u);
  EXPECT_TRUE(RunUntil([&] { return handlers[0].disconnected > 0 && handlers[1].disconnected > 0; }));
}

TEST_F(SocketsTest, AServerThatStartsLaterIsFound) {
  std::string endpoint;
  {
    // A port that was free a moment ago; nobody listens on it any more when this loop has ended.
    Loop before(clock_);
    const auto server = ServerSocket::Bind(before, kAnyPort, server_keys_.secret, options_, server_handler_);
    ASSERT_TRUE(server) << server.error().ToString();
    endpoint = (*server)->endpoint();
  }
  const auto client = Connect(endpoint, server_keys_.public_key, client_keys_, client_handler_);
  ASSERT_TRUE(client->Send(AsBytes("early")));
  for (int i = 0; i < 5; ++i) loop_.RunOnce(Millis(10));
  Result<std::unique_ptr<ServerSocket>> server = Fail(Code::kPortInUse, "");
  ASSERT_TRUE(RunUntil([&] {
    if (!server) server = Bind(endpoint);
    return server.has_value();
  }));
  ASSERT_TRUE(RunUntil([&] { return !server_handler_.messages.empty(); }));
  EXPECT_EQ(server_handler_.messages[0].message, "early");
}

}  // namespace
}  // namespace tributary::sockets_test
