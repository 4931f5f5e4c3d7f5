@0xc81b3a5d7e9f0246;

# The hop: what is spoken on every edge of the tree, between a client below and a server above. A device is only a client, an
# aggregator only a server, a gateway is both. One ZeroMQ connection per client (DEALER to ROUTER), opened by the client, with
# CURVE. A message is one frame with this union, and for `chunk` and `piece` a second frame with the bulk
# bytes. A server that gets anything it does not expect answers `refused` and forgets the session; the client starts again.
#
#   client                                    server
#     hello {versions, nonce}        ->
#                                    <-         challenge {version, versions, nonce, its own certificate chain}
#     proof {chain, signature}       ->         or: enrol {request} -> <- enrolAnswer, and the session is over
#                                    <-         welcome {path, check-in interval} | refused
#     checkIn {publication held}     ->
#                                    <-         assignment {newer publication, if any}
#     offer {signed envelope}        ->
#                                    <-         resume {next chunk} | already | refuse {code, retry window}
#     chunk {upload, index} + bytes  ->
#                                    <-         credit {bytes}            after resume, and as chunks become durable
#                                    <-         custody {upload}          the sender deletes only now
#     fetch {digest, offset}         ->
#                                    <-         piece {digest, offset} + bytes | fetchRefused {code, retry window}
#                                    <-         notice {publication number}   whenever there is something to check in for
#
# Greeting. A session is greeted once: a second hello on it, or a second proof, ends it. Before the proof nothing but proof
# and enrol is answered, and no message may be longer than those need. In a session a device or evaluator brings its own
# uploads, a gateway anybody's and its reports; all may fetch and enrol.
#
# Resume. Of one upload at most one chunk is under way at any time: a client sends the next when `credit` says that the one
# before is safe. So an interruption, at whatever end and of whatever kind, makes at most one chunk of an upload travel twice.
# Over all its uploads together a client keeps no more under way than its link carries in about a second, but at least one
# chunk or 256 KiB, whichever is more; on a fast link many uploads share the round trip, on a slow one a cut costs at most
# that much. Of a blob at most one piece is asked for at a time, so the same holds on the way down. A client that comes back
# through another gateway begins at chunk 0 there (it has nothing of the upload, unless custody was taken, which a server that
# both lead to answers with `already`): those bytes travel on that link for the first time.
#
# Dead and slow links. A reset or closed connection ends the session at both ends at once; one that went silent does when TCP
# finds nobody at the other end (protocol/transport/transport_options.h). A client whose question has no answer ends the
# session when for its answer timeout not one byte moved in either direction; a server takes credit back from a client that
# does not use it only when others wait for it and no chunk is in the middle of arriving. A slow link is therefore never taken for a dead one.
# The client comes back with exponential backoff and full jitter.
#
# Carriers. A client that proves the server's own identity, id and role, is a tool of whoever runs the server (a disk carried
# by hand is emptied through one). It may offer anybody's uploads as a gateway may; there may be several at once, and none
# ends another member's session. A gateway that finds itself at the other end without being such a tool has itself for an
# upstream, which its path shows.

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
    goodbye @18 :Void;  # From a client that shuts down in order: the server frees its session and credit at once
    enrol @19 :Enrol;
    # In place of the proof, from an applicant that has no certificate yet; or in a session, from a gateway that passes one on
    # and from a member that renews its own.
    enrolAnswer @20 :EnrolAnswer;
  }
}

struct Hello {
  minVersion @0 :UInt16;
  maxVersion @1 :UInt16;
  nonce @2 :Data;          # 32 fresh random bytes
}

struct Challenge {
  version @0 :UInt16;    # the highest both speak
  nonce @1 :Data;        # 32 fresh random bytes
  chain @2 :List(Data);  # the server's certificates: role gateway or aggregator, bound to the CURVE key the client connected to
  minVersion @3 :UInt16; # all that the server speaks: a client refuses a challenge whose version is not the highest of both
  maxVersion @4 :UInt16;
}

struct Proof {
  chain @0 :List(Data);
  signature @1 :Data;
  # Ed25519 over "tributary hop proof v2\n" || client's CURVE public key || server's CURVE public key || SHA-256(hello) ||
  # SHA-256(challenge), both messages as they travelled. The certificate names the client's CURVE key and both nonces are
  # fresh, so a session can neither be moved to another connection nor replayed; and whoever changed the versions that one
  # of the two offered has a proof that does not verify.
}

struct Welcome {
  server @0 :Text;          # its id
  obsoleteCreditBytes @1 :UInt64;     # not written any more, and never read: all credit comes with `credit`
  obsoleteMaxChunkBytes @2 :UInt32;   # the same: chunks that are too large are refused with their offer
  publicationNumber @3 :UInt64;
  checkInMillis @5 :UInt32;
  # How often to check in when there is no news; the server makes it longer the more clients it has. 0: as the client likes.
  path @4 :List(Text);
  # The ids from this server up to the aggregator, itself first, as far as it has learned them from its own server's welcome
  # and assignments; at most 64. A client that finds itself in it would send its uploads round in a circle: it ends the
  # session with upstream-cycle and asks again at its slowest pace. A server refuses, with the same code, a gateway that is in
  # its own path. When a server learns a new path it sends its gateways a notice, so that a change settles through a tree of
  # any depth, one check-in for each level.
  nextChain @6 :List(Data);
  # The certificates that this server will show from some day on: its id and role, another CURVE key. Empty: no change is
  # near. A client that has verified them tries that key too from then on, when it cannot connect with the present one.
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
  reports @6 :List(GatewayState);
  # From a gateway: its own report first, then the latest of each gateway below it; at most 256 in all.
  rootVersion @7 :UInt64;
  # Of the publication held. A publication is newer when its root version is higher, or the same and its number higher.
  clockUnixMillis @8 :Int64;      # the member's own clock; 0: it knows that its clock is wrong
  publication @9 :Data;
  # The publication that it holds, byte for byte (PublicationSet), once for each assignment that wants it; else empty.
  publicationDigest @10 :Data;    # SHA-256 of the one held; empty: it does not say, or holds none
}

enum LinkPurpose {
  none @0;
  uploads @1;       # offers, chunks and what is answered to them
  blobs @2;         # fetches and pieces
  publication @3;   # assignments that carry a publication, and notices
  control @4;       # the rest: introductions and check-ins
}

struct LinkBytes {
  # Bytes of hop messages and their bulk frames since the process started, without what CURVE, TCP and IP add.
  purpose @0 :LinkPurpose;
  up @1 :UInt64;
  down @2 :UInt64;
  resent @3 :UInt64;              # of `up`, what was sent before
}

struct CodeCount {
  code @0 :UInt16;                # protocol/base/code.h
  count @1 :UInt64;
}

struct KindAccount {
  # offered = delivered + spooled + inFlight + duplicate + the sum of refused + the sum of dropped
  kind @0 :UInt8;                 # as in the envelope's header; each at most once
  offered @1 :UInt64;
  delivered @2 :UInt64;
  spooled @3 :UInt64;
  inFlight @4 :UInt64;
  duplicate @5 :UInt64;
  refused @6 :List(CodeCount);
  dropped @7 :List(CodeCount);
}

struct GatewayState {
  # What a gateway says of itself for the operator's list. It travels up inside check-ins, unsigned: every gateway on the way
  # could change it, so nothing is decided by it. Counts and sizes are at most 2^53.
  gateway @0 :Text;
  parent @1 :Text;                # whom it checked in with, who fills it in; empty on that first edge
  publicationNumber @2 :UInt64;
  spoolBytes @3 :UInt64;
  spoolLimitBytes @4 :UInt64;
  diskFreeBytes @5 :UInt64;
  diskTotalBytes @6 :UInt64;
  deadLetters @7 :UInt64;
  oldestSpooledMillis @8 :UInt64; # age of the upload that has waited longest; 0: none waits
  connectedClients @9 :UInt32;
  uplink @10 :List(LinkBytes);    # each purpose at most once
  accounts @11 :List(KindAccount);
  trouble @12 :Text;              # "code: sentence" of what keeps it from working, or empty; at most 512 bytes
  ageMillis @13 :UInt64;          # since it was made; grows by the time it lies at each gateway on the way
}

struct Assignment {
  publicationNumber @0 :UInt64;
  publication @1 :Data;           # PublicationSet (publication.capnp); empty when the client's is the newest
  path @2 :List(Text);            # as in Welcome
  checkInMillis @3 :UInt32;       # as in Welcome
  nextChain @4 :List(Data);       # as in Welcome
  wantsPublication @5 :Bool;
  # The client says that it holds a newer publication than the aggregator has made, or another one of the same number: the
  # aggregator was restored from a backup. The client is to bring its publication
  # with its next check-in, which follows at once. The aggregator believes its own signature, no number. A client brings it
  # once a minute at most.
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
  bytes @0 :UInt64;               # may be sent in addition to what was granted before, of any upload
  upload @1 :Data;                # of this one every chunk before `nextChunk` is safe; empty: it says nothing of any
  nextChunk @2 :UInt32;
}

struct Fetch {
  digest @0 :Data;
  offset @1 :UInt64;
  size @2 :UInt32;                # at most limits::kPieceBytes
  doubted @3 :Bool;
  # The client has fetched the whole blob and its bytes did not match the digest. The server reads its own file again before
  # it answers, at most once a minute for each blob; one that is damaged it sets aside, and fetches again itself.
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

struct Enrol {
  request @0 :Data;               # SealedEnrolment (enrolment.capnp), as the applicant made it; at most 32 KiB
}

struct EnrolAnswer {
  request @0 :Data;               # SHA-256 of the sealed request
  kind @1 :UInt8;                 # 1 issued: `chain`, leaf first; 2 pending: ask again within refusal.retry, with the very same
                                  # bytes; 3 refused: `refusal` says why, and permanent codes are final
  chain @2 :List(Data);
  refusal @3 :Refusal;            # absent when issued
}
