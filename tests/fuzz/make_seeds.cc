#include <zlib.h>

#include <cstdio>

#include "protocol/base/limits.h"
#include "protocol/catalogue/model_package.h"
#include "protocol/catalogue/publication_set.h"
#include "protocol/catalogue/publication_store.h"
#include "protocol/catalogue/zip_records.h"
#include "protocol/envelope/seal_upload.h"
#include "protocol/hop/messages.h"
#include "protocol/payload/codec/codec_list.h"
#include "protocol/payload/device_state.h"
#include "protocol/payload/evaluation.h"
#include "protocol/payload/update_codec.h"
#include "protocol/trust/identity/certificate.h"
#include "protocol/trust/identity/invitation.h"
#include "protocol/trust/identity/revocation_list.h"
#include "protocol/trust/seal/digest.h"
#include "protocol/trust/seal/opener.h"
#include "tests/protocol/catalogue/small_publication.h"
#include "tests/support/classified.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"
#include "tests/support/small_module.h"
#include "tests/support/test_fleet.h"

// Writes tests/fuzz/seeds/<target>/, one well-formed input for each shape that a decoder takes. Run by hand when a form
// changes:
//   make_fuzz_seeds tests/fuzz/seeds
// Keys and certificates are new in every run, so commit all of a run or nothing.
namespace tributary {
namespace {

class Seeds {
 public:
  explicit Seeds(Path folder) : folder_(std::move(folder)) {}
  void Put(const std::string& target, const std::string& name, ByteView bytes) {
    Must(RealFileSystem().CreateFolders(folder_ / target));
    Must(WriteFileAtomically(RealFileSystem(), folder_ / target / name, bytes));
  }
  void Put(const std::string& target, const std::string& name, std::string_view text) {
    Put(target, name, AsBytes(text));
  }

 private:
  Path folder_;
};

UploadSubject SubjectOf(const Identity& device, UploadKind kind) {
  UploadSubject subject;
  subject.id = SeededRandom(7).TakeUploadId();
  subject.kind = kind;
  subject.codec = kind == UploadKind::kUpdate ? Codec::kFloat32Dense : Codec::kRecord;
  subject.task = TestTask("digits");
  subject.base_version = ModelVersion{3};
  subject.device = device.subject.id;
  subject.created = kTestStart;
  return subject;
}

Bytes EnvelopeOf(const TestFleet& fleet, const Identity& device, UploadKind kind, size_t bytes) {
  return Must(SealUpload(SubjectOf(device, kind), Bytes(bytes, 0x11), limits::kMinChunkBytes,
                         {kDefaultAead, fleet.sealing_key().public_key}, device.key, device.chain))
      .envelope;
}

void PutEnvelopes(Seeds& seeds, const TestFleet& fleet) {
  const Identity device = fleet.Issue(Role::kDevice, "device-1");
  const Identity evaluator = fleet.Issue(Role::kEvaluator, "evaluator-1");
  seeds.Put("envelope", "update", EnvelopeOf(fleet, device, UploadKind::kUpdate, 10'000));
  seeds.Put("envelope", "evaluation", EnvelopeOf(fleet, evaluator, UploadKind::kEvaluation, 100));
}

// An envelope and its chunks, in this order, as chunk_fuzz.cc reads them.
void PutChunks(Seeds& seeds, const TestFleet& fleet) {
  const Identity device = fleet.Issue(Role::kDevice, "device-1");
  const auto put = [&](const std::string& name, size_t bytes, const std::vector<size_t>& order) {
    const SealedUpload upload =
        Must(SealUpload(SubjectOf(device, UploadKind::kUpdate), Bytes(bytes, 0x11), limits::kMinChunkBytes,
                        {kDefaultAead, fleet.sealing_key().public_key}, device.key, device.chain));
    Bytes seed;
    const auto part = [&](ByteView view) {
      AppendU32(seed, static_cast<uint32_t>(view.size()));
      Append(seed, view);
    };
    part(upload.envelope);
    for (const size_t chunk : order) part(upload.chunks.at(chunk));
    seeds.Put("chunk", name, seed);
  };
  put("one", 100, {0});
  put("three", 2 * limits::kMinChunkBytes + 50, {0, 1, 2});
  put("out_of_order", 2 * limits::kMinChunkBytes + 50, {1, 0, 0, 2, 1, 2});
}

GatewayState ReportOf(const Identity& gateway) {
  GatewayState report;
  report.gateway = report.parent = gateway.subject.id;
  report.spool_bytes = 10;
  report.spool_limit_bytes = 100;
  report.uplink[LinkPurpose::kUploads] = {3, 2, 1};
  report.accounts[0].offered = report.accounts[0].refused[Code::kStaleVersion] = 4;
  report.trouble = "disk-full: no space";
  report.age_millis = 5;
  return report;
}

void PutMessages(Seeds& seeds, const TestFleet& fleet) {
  SeededRandom random(1);
  const Identity gateway = fleet.Issue(Role::kGateway, "gateway-1");
  const UploadId upload = random.TakeUploadId();
  const Digest digest = Sha256(random.TakeBytes(8));
  const Refusal refusal{Code::kBusy, "come back later", {Millis(100), Millis(2'000)}};
  const std::pair<const char*, hop::Message> messages[] = {
      {"hello", hop::Hello{2, 2, random.TakeBytes(32)}},
      {"challenge", hop::Challenge{2, random.TakeBytes(32), gateway.chain}},
      {"proof", hop::Proof{gateway.chain, random.TakeBytes(64)}},
      {"welcome", hop::Welcome{{7}, gateway.subject.id}},
      {"refused", hop::Refused{refusal}},
      {"check_in", hop::CheckIn{7, "phone", 1, 2, 3, 4}},
      {"check_in_reports", hop::CheckIn{7, "", 1, 2, 3, 4, {ReportOf(gateway), ReportOf(gateway)}}},
      {"welcome_path", hop::Welcome{{7, 15'000, {gateway.subject.id, TestDevice("top")}}, gateway.subject.id}},
      {"assignment_path", hop::Assignment{{7, 15'000, {gateway.subject.id, TestDevice("top")}}}},
      {"assignment", hop::Assignment{{8}, random.TakeBytes(300)}},
      {"offer", hop::Offer{random.TakeBytes(300)}},
      {"resume", hop::Resume{upload, 3}},
      {"already", hop::Already{upload}},
      {"refuse", hop::Refuse{upload, refusal}},
      {"chunk", hop::Chunk{upload, 3}},
      {"credit", hop::Credit{1 << 18}},
      {"credit_safe", hop::Credit{1 << 18, upload, 4}},
      {"custody", hop::Custody{upload}},
      {"fetch", hop::Fetch{digest, 4096, 1 << 16}},
      {"piece", hop::Piece{digest, 4096, 1 << 20}},
      {"fetch_refused", hop::FetchRefused{digest, refusal}},
      {"notice", hop::Notice{9}},
      {"goodbye", hop::Goodbye{}},
      {"enrol", hop::Enrol{random.TakeBytes(300)}},
      {"enrol_issued", hop::EnrolAnswer{digest, {EnrolmentAnswer::Kind::kIssued, gateway.chain, {}}}},
      {"enrol_pending", hop::EnrolAnswer{digest, {EnrolmentAnswer::Kind::kPending, {}, refusal}}},
      {"enrol_refused", hop::EnrolAnswer{digest, {EnrolmentAnswer::Kind::kRefused, {}, refusal}}},
      {"check_in_root", hop::CheckIn{7, "phone", 1, 2, 3, 4, {}, 2}},
      {"welcome_next", hop::Welcome{{7, 15'000, {}, gateway.chain}, gateway.subject.id}},
      {"assignment_next", hop::Assignment{{7, 15'000, {}, gateway.chain}}},
  };
  for (const auto& [name, message] : messages) seeds.Put("hop_message", name, hop::Encode(message));
}

// The first byte says which reader gets the rest.
void PutModules(Seeds& seeds) {
  const auto put = [&](const std::string& name, char reader, ByteView bytes) {
    Bytes seed{static_cast<uint8_t>(reader)};
    Append(seed, bytes);
    seeds.Put("module_archive", name, seed);
  };
  const Bytes module = SmallModule();
  put("small", 'a', module);
  put("state_dict", 'a', ModuleVector("state_dict.pt"));
  for (const ZipRecord& record : Must(ReadZipRecords(module, limits::kKiB))) {
    const std::string content = Must(Unpack(record, limits::kMiB));
    if (record.name == "data.pkl") put("pickle", 'p', AsBytes(content));
    if (record.name == "code/__torch__.py") put("code", 'c', AsBytes(content));
  }
}

void PutUpdates(Seeds& seeds) {
  SeededRandom random(3);
  constexpr Codec kCodecs[] = {Codec::kFloat32Dense, Codec::kFloat16, Codec::kBfloat16, Codec::kBlock8,
                               Codec::kBlock4,       Codec::kEden1,   Codec::kEden2,    Codec::kEden4,
                               Codec::kTop1,         Codec::kTop5,    LinearCodec(6)};
  for (size_t codec = 0; codec < std::size(kCodecs); ++codec) {
    for (const size_t count : {1u, 3u, 300u}) {
      const std::vector<float> delta(count, 0.25f);
      UpdateFormat format(kCodecs[codec], {{1, 1}, {70, 5}});
      format.linear = {{}, 0x1p-10, 1, 1};
      // The first byte says in which steps the target feeds the rest, the second which codec it is.
      Bytes seed{static_cast<uint8_t>(count), static_cast<uint8_t>(codec)};
      Append(seed,
             Must(EncodeUpdate(format, {.weight = 9, .parameter_count = count, .training_loss = 0.5}, delta, &random)));
      seeds.Put("update_codec", fmt::format("{}_{}", CodecName(kCodecs[codec]), count), seed);
    }
  }
}

void PutPublications(Seeds& seeds, const TestFleet& fleet) {
  Publication publication = SmallPublication();
  publication.expires = kTestStart + kTestLifetime;
  publication.sealing_key = fleet.sealing_key().public_key;
  // The first byte says which decoder the target gives the rest to.
  const auto put = [&](uint8_t decoder, const std::string& name, ByteView bytes) {
    Bytes seed{decoder};
    Append(seed, bytes);
    seeds.Put("publication", name, seed);
  };
  for (const bool empty : {true, false}) {
    publication.tasks.clear();
    if (!empty) publication.tasks = {SmallTask()};
    if (!empty) publication.former_keys = {{KeyId({1, 2, 3}), kTestStart}};
    const std::string prefix = empty ? "empty_" : "one_task_";
    const PublicationSet set = fleet.repository().Make(publication);
    put(0, prefix + "set", EncodePublicationSet(set));
    put(1, prefix + "catalogue", set.catalogue);
    put(2, prefix + "root", set.roots.front());
    put(3, prefix + "timestamp", set.timestamp);
    put(4, prefix + "snapshot", set.snapshot);
    put(5, prefix + "targets", set.targets);
    put(5, prefix + "rounds", set.delegated.back().bytes);
    put(6, prefix + "trusted", EncodeTrusted(Digest(), {set.roots.front(), set.timestamp, set.snapshot}));
    put(7, prefix + "json", set.snapshot);
  }
  // This fleet's repository does not make these, and members read them all the same.
  tuf::Targets bins{1, publication.expires, {{"bin/x", {6, Sha256(AsBytes(std::string_view("module")))}}}, {}, {}};
  bins.delegations = {{"bin-0", {}, tuf::PathHashPrefixes{{"0", "1f", "c75cc50e"}}, true},
                      {"bin-1", {}, tuf::PathHashPrefixes{{"15d6"}}, false}};
  for (tuf::Delegation& bin : bins.delegations) {
    tuf::AddKey(fleet.repository().releases_key.public_key(), bins.keys, bin.role);
  }
  put(5, "hash_prefixes", SignedFile(bins, {&fleet.repository().targets_key}));
}

Bytes ChainSeed(std::span<const Bytes> chain) {
  Bytes seed;
  for (const Bytes& certificate : chain) {
    AppendU32(seed, static_cast<uint32_t>(certificate.size()));
    Append(seed, certificate);
  }
  return seed;
}

void PutCertificates(Seeds& seeds, const TestFleet& fleet) {
  for (const Role role : {Role::kDevice, Role::kEvaluator, Role::kGateway, Role::kAggregator}) {
    const std::string name(RoleName(role));
    const Identity member = fleet.Issue(role, name + "-1");
    seeds.Put("certificate", name, ChainSeed(member.chain));
    seeds.Put("certificate", name + ".pem", CertificateToPem(Certificate{member.chain.front()}));
  }
}

// A member of an issuer below the CA, requests, and revocation lists of both.
void PutIssued(Seeds& seeds, const TestFleet& fleet) {
  const auto issuer = Must(fleet.authority().CreateIssuer("issuer", kTestStart, kTestLifetime));
  const SigningKey key = SigningKey::Generate();
  const Subject subject{TestDevice("device-2"), Role::kDevice, "phone", Bytes(32, 0x22)};
  const Certificate member = Must(issuer.Issue(subject, key.public_key(), kTestStart, kTestLifetime));
  const std::vector<Bytes> chain = {member.der, issuer.certificate().der};
  seeds.Put("certificate", "issued", ChainSeed(chain));
  seeds.Put("certificate", "issued.pem", CertificateToPem(member) + CertificateToPem(issuer.certificate()));
  seeds.Put("certificate", "request", Must(MakeCertificateRequest(key, subject.id, Bytes(32, 0x22))));
  seeds.Put("certificate", "request_no_id", Must(MakeCertificateRequest(key, std::nullopt, Bytes(32, 0x22))));
  const Bytes by_ca = Must(SignRevocations(fleet.authority(), 1, {}, kTestStart, kTestLifetime));
  const Bytes by_issuer = Must(SignRevocations(issuer, 2, {"01", "4a00"}, kTestStart, kTestLifetime));
  seeds.Put("certificate", "revocations.pem",
            RevocationsToPem({}, by_ca) + RevocationsToPem({&issuer.certificate().der, 1}, by_issuer));
}

// Sealed requests open with the fleet's key; what is in them is put beside.
void PutEnrolments(Seeds& seeds, const TestFleet& fleet) {
  const SealingTarget target{kDefaultAead, fleet.sealing_key().public_key};
  const auto put = [&](const std::string& name, const Bytes& bytes) {
    const SealedEnrolment sealed = Must(DecodeSealedEnrolment(bytes));
    HpkeOpener opener = Must(
        HpkeOpener::FromSender(sealed.aead, fleet.sealing_key(), ByteView(sealed.sealed).first(32), EnrolmentInfo()));
    seeds.Put("enrolment", name + "_sealed", bytes);
    seeds.Put("enrolment", name, Must(opener.Open({}, ByteView(sealed.sealed).subspan(32))));
  };
  EnrolmentRequest request;
  request.certificate_request =
      Must(MakeCertificateRequest(SigningKey::Generate(), TestDevice("device-3"), Bytes(32, 0x33)));
  request.created = kTestStart;
  request.authority = SecretBytes::CopyOf(AsBytes(std::string_view("tri_00ff")));
  put("token", Must(SealEnrolment(request, target)));
  put("renewal", Must(SealRenewal(fleet.Issue(Role::kDevice, "device-4"), target, kTestStart)));
  Invitation invitation;
  invitation.fleet = "test fleet";
  invitation.token = SecretBytes::CopyOf(AsBytes(std::string_view("tri_00ff")));
  invitation.ca_pem = CertificateToPem(fleet.authority().certificate());
  invitation.root = ToBytes(AsBytes(std::string_view("{}")));
  invitation.target = target;
  seeds.Put("enrolment", "invitation", EncodeInvitation(invitation));
}

void PutIdx(Seeds& seeds) {
  const Bytes labels = {0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1};
  Bytes images = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 4};
  Append(images, SeededRandom(3).TakeBytes(32));
  for (const auto& [name, bytes] : {std::pair{"labels", labels}, {"images", images}}) {
    seeds.Put("idx", name, bytes);
    const Path file = Path("/tmp") / (std::string("tributary-seed-") + name);
    gzFile out = gzopen(file.c_str(), "wb");
    TRIBUTARY_CHECK(out != nullptr) << file.string();
    gzwrite(out, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(out);
    seeds.Put("idx", std::string(name) + ".gz", Must(ReadFile(RealFileSystem(), file, 10'000)));
    Must(RealFileSystem().Remove(file));
  }
}

void PutAll(const Path& folder) {
  const TestFleet fleet;
  Must(RealFileSystem().CreateFolders(folder));
  Seeds seeds(folder);
  Must(WriteFileAtomically(RealFileSystem(), folder / "ca.pem",
                           AsBytes(CertificateToPem(fleet.authority().certificate()))));
  Must(WriteFileAtomically(RealFileSystem(), folder / "root.json", fleet.repository().root()));
  PutEnvelopes(seeds, fleet);
  PutChunks(seeds, fleet);
  PutMessages(seeds, fleet);
  PutModules(seeds);
  PutUpdates(seeds);
  PutPublications(seeds, fleet);
  PutCertificates(seeds, fleet);
  PutIssued(seeds, fleet);
  PutEnrolments(seeds, fleet);
  PutIdx(seeds);
  seeds.Put("evaluation", "both",
            EncodeEvaluation({Classified(EvaluatedModel::kGlobal, 100, 0.7, 0.8, 12),
                              Classified(EvaluatedModel::kPersonal, 100, 0.5, 0.9, 11)}));
  DeviceState state;
  state.sequence = 3;
  state.boots = state.root_version = 1;
  state.publication_number = 2;
  state.time_floor = kTestStart;
  state.counters["fits"] = 4;
  seeds.Put("device_state", "well", EncodeDeviceState(state));
  state.rejections[Code::kRollback] = {2, "number 3 after 41", kTestStart};
  state.failures[TestTask("digits")] = {Code::kFewExamples, "3 examples, 48 are asked for", 1, ModelVersion{5},
                                        kTestStart};
  state.failures[TestTask("faces")] = {Code::kLearnerMemory, "it needed 2 GiB", 3, ModelVersion{1}, kTestStart, true};
  seeds.Put("device_state", "failing", EncodeDeviceState(state));
  seeds.Put("model_package", "small",
            EncodeModelPackage(
                {{{{"weight", {2, 3}, 0, 6}, {"bias", {2}, 6, 2}}}, Bytes(50, 0x50), std::vector<float>(8, 0.5f)}));
  seeds.Put("config", "good",
            "[a]\ntext = \"x\"\nlist = [\"1\", \"2\"]\npath = \"y/z\"\n[b]\nwhole = 3\nreal = 0.25\nflag = "
            "true\n[c]\nchoice = \"two\"\n");
  seeds.Put("config", "wrong_types",
            "[a]\ntext = 1\nlist = {a = 1}\n[b]\nwhole = 1e3\nreal = \"x\"\nflag = 2026-01-01\n[c]\nchoice = [1]\n");
  seeds.Put("config", "unknown_key", "# comment\n[b]\nwhole = 99\nother = 1\n");
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  tributary::PutAll(argv[1]);
  return 0;
}
