@0x9d2b4f6a81c3e5d7;

# The one envelope for everything that travels up: updates, evaluations, device states and samples.
#
# A device makes it once. It fixes an upload id, seals the payload chunk by chunk to the aggregator's key (HPKE, RFC 9180),
# completes the header with what sealing gave, and signs the header. From then on header, signature and ciphertext never
# change, whichever and however many gateways they pass, so one signature check at each hop says who made it and that nothing
# was altered, and only the aggregator can read it.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("tributary::schema");

struct SignedEnvelope {
  header @0 :Data;
  # The canonical bytes of Header. What is signed is these bytes, not a re-encoding of what was read from them.
  signature @1 :Data;  # Ed25519 over "tributary envelope v1\n" followed by header
  chain @2 :List(Data);  # The device's X.509 certificates, DER, leaf first, without the fleet's CA
}

struct Header {
  subject @0 :Subject;
  enc @1 :Data;  # HPKE's encapsulated key, 32 bytes
  ciphertextSize @2 :UInt64;  # plaintextSize + chunkCount * 16
  ciphertextDigest @3 :Data;  # SHA-256 over all ciphertext chunks in order
}

struct Subject {
  # What is known before sealing. The SHA-256 of its canonical bytes is part of every chunk's associated data:
  #   associated data = SHA-256(canonical Subject) || chunk index (u32, little endian) || chunk count (u32, little endian)
  # so a chunk opens only under this header, at its own place, in a payload of this many chunks.
  uploadId @0 :Data;            # 16 random bytes, fixed before the first byte is sent
  kind @1 :UInt8;               # 1 update, 2 evaluation, 3 device state, 4 sample
  task @2 :Text;
  baseVersion @3 :UInt64;       # the model version the payload speaks about
  device @4 :Text;              # the id in the signing certificate
  createdUnixMillis @5 :Int64;
  expiresUnixMillis @6 :Int64;  # 0: never by wall clock (updates expire by staleness)
  priority @7 :UInt8;           # 0 control, 1 update, 2 evaluation, 3 device state, 4 sample: smaller goes first
  codec @8 :UInt16;             # how the payload is encoded: 2 a Cap'n Proto record; of an update 1 float32 dense, 3 float16,
                                # 4 bfloat16, 5 blocks of 8 bits, 6 blocks of 4 bits, 7, 8 and 9 EDEN of 1, 2 and 4 bits, 10 and 11
                                # the largest of 1 and 5 percent, 256 + n linear of n bits (protocol/payload/codec)
  aead @9 :UInt16;
  keyId @10 :Data;              # first 8 bytes of the SHA-256 of the aggregator's public key
  plaintextSize @11 :UInt64;
  chunkSize @12 :UInt32;        # plaintext bytes in every chunk but the last
  chunkCount @13 :UInt32;       # ceil(plaintextSize / chunkSize), at least 1
  ask @14 :UInt32;
  # Which time of asking it answers (Round.ask); 0: the first. A gateway that delivered the device's update for an earlier one
  # lets this one through.
}

struct UpdateMeta {
  # The head of an update's plaintext: u32 length, this message (canonical bytes), zeros up to the next multiple of 64 bytes
  # so that the values lie aligned in every chunk; then the codec's bytes.
  weight @0 :UInt64;            # number of examples
  parameterCount @1 :UInt64;    # of the tensors that devices share
  trainingLoss @2 :Float64;
  trainingMillis @3 :UInt64;
  peakMemoryBytes @4 :UInt64;
}

struct Evaluation {
  # The plaintext of an evaluation.
  results @0 :List(EvaluationResult);
}

struct EvaluationResult {
  subject @0 :UInt8;            # 1 the global model of the base version, 2 the device's own fine-tuned version
  examples @1 :UInt64;
  obsoleteLoss @2 :Float64;     # of before there were metrics by name: the mean; not written any more
  obsoleteAccuracy @3 :Float64; # the same
  millis @4 :UInt64;
  metrics @5 :List(Metric);     # by name, each once, at most 18; "loss" is among them
}

struct Metric {
  name @0 :Text;                # as a task's name is made
  sum @1 :Float64;
  weight @2 :Float64;           # what the sum is divided by: examples, tokens
}

struct DeviceState {
  # The plaintext of an upload of kind device state: what a device says of itself, signed as every upload is. It speaks of the
  # whole device; the header names the publication's first task, since every upload has one.
  # Nothing that is counted here ever goes back, over restarts too: a report that says less than an earlier one shows that the
  # device's data folder is a restored copy, or that somebody else uses its keys.
  sequence @0 :UInt64;          # 1, 2, 3 …; durable at the device before the report is sealed
  boots @1 :UInt64;             # starts of the program
  rootVersion @2 :UInt64;       # of the publication's root metadata; 0 with publicationNumber 0: it holds no publication
  publicationNumber @3 :UInt64;
  timeFloorUnixMillis @4 :Int64; # no verified fact that it knows is newer; its own clock may say anything
  withheld @5 :Text;            # why it installs nothing now, one sentence; empty: nothing stands in the way
  installed @6 :List(InstalledVersion);   # by task
  counters @7 :List(Counter);             # by name
  rejections @8 :List(Rejection);         # publications that were not believed, by code
  failures @9 :List(TaskFailure);         # by task; absent, not empty, when there is none, as from older writers
}

struct InstalledVersion {
  task @0 :Text;
  version @1 :UInt64;
  weights @2 :Data;             # SHA-256 of the weights as published
}

struct Counter {
  name @0 :Text;                # as a task's name is made
  value @1 :UInt64;
}

struct Rejection {
  code @0 :UInt16;              # protocol/base/code.h
  count @1 :UInt64;
  lastSentence @2 :Text;
  lastUnixMillis @3 :Int64;
}

struct TaskFailure {
  # Why the device cannot do its part of a task. It goes away when a later piece of work on the task succeeds, so it is no
  # number that only grows.
  task @0 :Text;
  code @1 :UInt16;
  version @2 :UInt64;           # of the model that the work was on
  count @3 :UInt64;             # how often the work on this version failed; 1 or more
  sentence @4 :Text;            # of the last one
  lastUnixMillis @5 :Int64;
  lasting @6 :Bool;             # the device expects nothing of this version by itself; false: it tries again soon
}
