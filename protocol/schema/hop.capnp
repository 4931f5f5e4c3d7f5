@0xc81b3a5d7e9f0246;

# The hop: what is spoken on every edge of the tree, between a client below and a server above. A device is only a client, an
# aggregator only a server, a gateway is both. One ZeroMQ connection per client (DEALER to ROUTER), opened by the client, with
# CURVE and ZeroMQ heartbeats. A message is one frame with this union, and for `chunk` and `piece` a second frame with the bulk
# bytes. A server that gets anything it does not expect answers `refused` and forgets the session; the client starts again.
#
#   client                                    server
#     hello {versions}               ->
#                                    <-         challenge {version, nonce, its own certificate chain}
#     proof {chain, signature}       ->
#                                    <-         welcome {credit, limits} | refused
#     checkIn {publication held}     ->
#                                    <-         assignment {newer publication, if any}
#     offer {signed envelope}        ->
#                                    <-         resume {offset, credit} | already | refuse {code, retry window}
#     chunk {upload, index} + bytes  ->
#                                    <-         credit {bytes}            as chunks become durable
#                                    <-         custody {upload}          the sender deletes only now
#     fetch {digest, offset}         ->
#                                    <-         piece {digest, offset} + bytes | refuse
#                                    <-         notice {publication number}   whenever a newer one is there

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("tributary::schema");

struct HopMessage {
  union {
    hello @0 :Hello;
    challenge @1 :Challenge;
    proof @2 :Proof;
    welcome @3 :Welcome;
    refused @4 :Refusal;
    # About the session: it is over. The client connects again within the window, or not at all if the code is permanent.
    checkIn @5 :CheckIn;
    assignment @6 :Assignment;
    offer @7 :Offer;
    resume @8 :Resume;
    already @9 :UploadRef;
    # The upload is not needed: custody of it, or of the contribution it would make, was taken before. The sender deletes it.
    refuse @10 :UploadRefusal;
    # About one upload. With a permanent code the sender moves it to its dead-letter list; with a passing one it keeps it and
    # offers it again within the window.
    chunk @11 :Chunk;
    credit @12 :Credit;
    custody @13 :UploadRef;
    # The receiver could lose power now and still deliver: a gateway after fsync, an aggregator after the checkpoint with the
    # sum that contains it.
    fetch @14 :Fetch;
    piece @15 :Piece;
    fetchRefused @16 :FetchRefusal;
    notice @17 :Notice;
    goodbye @18 :Void;
    # From a client that shuts down in order: the server frees its session and credit at once.
  }
}

struct Hello {
  minVersion @0 :UInt16;
  maxVersion @1 :UInt16;
}

struct Challenge {
  version @0 :UInt16;    # the highest both speak
  nonce @1 :Data;        # 32 fresh random bytes
  chain @2 :List(Data);  # the server's certificates: role gateway or aggregator, bound to the CURVE key the client connected to
}

struct Proof {
  chain @0 :List(Data);
  signature @1 :Data;
  # Ed25519 over "tributary hop proof v1\n" || version (u16 little endian) || client's CURVE public key || server's CURVE
  # public key || nonce. The certificate names the client's CURVE key, so a session can neither be moved to another connection
  # nor replayed.
}

struct Welcome {
  server @0 :Text;          # its id
  creditBytes @1 :UInt64;   # chunk bytes the client may have under way before any `credit`
  maxChunkBytes @2 :UInt32;
  publicationNumber @3 :UInt64;
}

struct Window {
  # When to try again: uniformly between the two. The server chooses it to spread its clients.
  minMillis @0 :UInt32;
  maxMillis @1 :UInt32;
}

struct Refusal {
  code @0 :UInt16;      # protocol/base/code.h
  sentence @1 :Text;
  retry @2 :Window;
}

struct CheckIn {
  publicationNumber @0 :UInt64;   # the newest one held; 0 for none
  deviceClass @1 :Text;
  # What the member has in custody and what it did, for the server's list of members. Counters since its data folder was made.
  spooledUploads @2 :UInt64;
  spooledBytes @3 :UInt64;
  deliveredUploads @4 :UInt64;
  connectedClients @5 :UInt32;
}

struct Assignment {
  publicationNumber @0 :UInt64;
  publication @1 :Data;           # SignedPublication; empty when the client's is the newest
}

struct Offer {
  envelope @0 :Data;              # SignedEnvelope, as it was made
}

struct Resume {
  upload @0 :Data;
  nextChunk @1 :UInt32;
  # The first chunk that the server does not hold durably. Equal to the chunk count: all is here, custody will follow.
}

struct UploadRef {
  upload @0 :Data;
}

struct UploadRefusal {
  upload @0 :Data;
  refusal @1 :Refusal;
}

struct Chunk {
  upload @0 :Data;
  index @1 :UInt32;
}

struct Credit {
  bytes @0 :UInt64;               # may be sent in addition to what was granted before
}

struct Fetch {
  digest @0 :Data;
  offset @1 :UInt64;
  size @2 :UInt32;                # at most limits::kPieceBytes
}

struct Piece {
  digest @0 :Data;
  offset @1 :UInt64;
  blobSize @2 :UInt64;
}

struct FetchRefusal {
  digest @0 :Data;
  refusal @1 :Refusal;
}

struct Notice {
  publicationNumber @0 :UInt64;
}
