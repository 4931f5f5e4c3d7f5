@0xa6f1c2d3e4b5a697;

# What travels down: the catalogue of tasks and versions with the metadata that it is believed by, the same bytes for everybody,
# and the manifest of a model package. Bulk (modules, weights) never stands in here: it is named by SHA-256 and size, and fetched as blobs.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("tributary::schema");

struct PublicationSet {
  # What travels: the files of a TUF 1.0 repository that lead from a member's root metadata to the catalogue. All but the last
  # two are JSON, byte for byte as /tuf/ serves them; each is believed as the TUF specification says, never for standing here.
  roots @0 :List(Data);  # Root metadata of consecutive versions. Members skip those they are past
  timestamp @1 :Data;
  snapshot @2 :Data;
  targets @3 :Data;
  delegated @4 :List(DelegatedRole);
  catalogue @5 :Data;  # The canonical bytes of Publication: target rounds/catalogue
  revocations @6 :Text;
  # X.509 CRLs with their issuers, PEM: target rounds/revocations.pem. Empty: there is no such target.
}

struct DelegatedRole {
  name @0 :Text;
  bytes @1 :Data;
}

struct TrustedMetadata {
  # What one member believes, in its own file.
  anchor @0 :Data;  # SHA-256 of the root metadata that it was given: of another one, nothing here counts
  root @1 :Data;
  timestamp @2 :Data;  # empty: none
  snapshot @3 :Data;   # empty: none
}

struct Publication {
  # The catalogue. Its number is the version of the timestamp that leads to it, and it ends with the first of the roles that do.
  createdUnixMillis @0 :Int64;
  sealing @1 :SealingKey;
  formerKeys @2 :List(FormerSealingKey);
  tasks @3 :List(Task);
}

struct FormerSealingKey {
  # What was sealed to it is still opened until then, and is worth nothing afterwards.
  id @0 :Data;  # 8 bytes
  untilUnixMillis @1 :Int64;
}

struct SealingKey {
  aead @0 :UInt16;
  # RFC 9180 section 7.3: 1 AES-128-GCM, 2 AES-256-GCM, 3 ChaCha20-Poly1305. KEM and KDF are fixed: 0x0020 and 0x0001.
  publicKey @1 :Data;  # X25519, 32 bytes. Its id is the first 8 bytes of its SHA-256
}

struct BlobRef {
  digest @0 :Data;  # SHA-256, 32 bytes
  size @1 :UInt64;
}

struct Tensor {
  name @0 :Text;
  shape @1 :List(Int64);  # Offsets are not sent: tensors lie one behind the other in this order
}

struct Task {
  id @0 :Text;
  tensors @1 :List(Tensor);
  module @2 :BlobRef;
  plan @3 :TrainingPlan;
  latest @4 :UInt64;
  weights @5 :BlobRef;  # float32, little endian, in the order of `tensors`: the shared weights of version `latest`
  accepted @6 :List(UInt64);
  # Base versions whose updates are still taken in. An update on any other is stale, wherever it waits.
  round :union {
    none @7 :Void;
    open @8 :Round;
  }
  valueBound @9 :Float64;
  normBound @10 :Float64;
  manifest @11 :Text;
  # The module's tributary.json (plan/task_manifest.h), so that a device knows whether it has the data before it fetches the
  # model. Absent: the module takes images, as before there were manifests.
  compact @12 :CompactWeights;
  # `weights` in fewer bytes. Absent: there are none. A reader that does not know it fetches `weights`.
}

struct CompactWeights {
  codec @0 :UInt8;  # 1 float16, 2 an 8-bit difference (protocol/payload/version_codec.h)
  base @1 :Data;    # SHA-256 of the float32 weights that it is a difference from; of float16, zeros
  blob @2 :BlobRef;
}

struct Round {
  number @0 :UInt64;
  nonce @1 :Data;            # 16 bytes
  inclusion @2 :Float64;     # in the round when first8(SHA-256(nonce || device id)) / 2^64 < inclusion;
                             # first8 is read little endian
  deadlineUnixMillis @3 :Int64;
  linearStep @4 :Float64;
  # The step of the plan's linear codec (protocol/payload/codec/linear.h), a power of two; 0: the plan has another codec.
  ask @5 :UInt32;
  # How often the version was asked for again. A device that is asked, and that worked on the version when this number was
  # lower, works on it again: what it gave then may be lost. The same seed gives the same bits, and each device counts once.
  asked @6 :Data;
  # Who is asked: first8(SHA-256("tributary ask/" || device id)), little endian, one behind the other. Empty: everybody.
  counted @7 :Data;
  # In the same form, who is not, since its contribution counts already. Devices that are not named here may have one too.
}

struct TrainingPlan {
  loss @0 :UInt8;            # 0 cross entropy, 1 mean squared error, 2 binary cross entropy with logits, 3 L1, 4 Huber
  optimizer @1 :UInt8;       # 0 SGD, 1 AdamW
  learningRate @2 :Float64;
  momentum @3 :Float64;
  weightDecay @4 :Float64;
  batchSize @5 :UInt32;
  epochs @6 :UInt32;
  maxSteps @7 :UInt32;
  seed @8 :UInt64;
  more @9 :List(PlanField);
  # Fields that came after 0.1.0, each only when it is not at its default. Absent when all are, so that the bytes of a plan
  # without them stay as they were. A new field gets no place of its own here.
}

struct PlanField {
  name @0 :Text;             # as in the plan's table (plan/training_plan.cc), JSON and TOML
  ignorable @1 :Bool;        # a device that does not know it goes on without it; otherwise it refuses the publication
  value :union {
    flag @2 :Bool;
    whole @3 :Int64;
    natural @4 :UInt64;
    real @5 :Float64;
    text @6 :Text;           # also the name of one of several values
    list @7 :List(Text);
  }
}

struct ModelManifest {
  # At the head of a model package file (protocol/catalogue/model_package.h).
  tensors @0 :List(Tensor);
  moduleSize @1 :UInt64;
  moduleDigest @2 :Data;
  weightsDigest @3 :Data;
  manifest @4 :Text;  # as in Task
}
