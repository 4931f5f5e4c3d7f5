#include "protocol/trust/identity/revocation_list.h"
#include "tests/protocol/trust/tuf/tuf_fixture.h"

// The attacks that the TUF specification names (section 1.5.2), each played by somebody on the way or by a thief of
// some of the keys. Slow retrieval is the hop's (a link that does not move is given up: protocol/transport), and there
// are no dependencies between targets, so no extraneous ones.
namespace tributary::tuf_attack_test {
namespace {

using TufAttackTest = TufTest;

TEST_F(TufAttackTest, AnHonestPublicationIsTaken) {
  EXPECT_EQ(Opened(forge_.Set(1)), "ok");
  EXPECT_EQ(Taken(forge_.Set(1)), "ok");
  EXPECT_EQ(Taken(forge_.Set(1)), "no news");
  EXPECT_EQ(store_->current()->root_version, 1u);
}

// ---- arbitrary software

TEST_F(TufAttackTest, ACatalogueOtherThanTheSignedOneIsRefused) {
  PublicationSet set = forge_.Set(1);
  Publication other = SmallPublication();
  other.tasks[0].plan.learning_rate = 9;
  set.catalogue = EncodePublication(other);
  EXPECT_EQ(Opened(set), "digest-mismatch");
}

TEST_F(TufAttackTest, ABlobThatNoRoleSignedIsRefused) {
  const std::string module = "models/digits/module.pt", weights = "models/digits/3.weights";
  for (const std::string& path : {module, weights}) {
    forge_.on_rounds = [&](tuf::Targets& rounds) { rounds.files.erase(path); };
    EXPECT_EQ(Opened(forge_.Set(1)), "mixed-publication") << path;
    forge_.on_rounds = [&](tuf::Targets& rounds) { ++rounds.files.at(path).length; };
    EXPECT_EQ(Opened(forge_.Set(1)), "mixed-publication") << path;
    forge_.on_rounds = [&](tuf::Targets& rounds) { rounds.files.at(path).sha256 = Digest(); };
    EXPECT_EQ(Opened(forge_.Set(1)), "mixed-publication") << path;
  }
}

// ---- wrong keys

TEST_F(TufAttackTest, NoRolesKeyServesForAnother) {
  Forge::KeyPtr Forge::*const keys[] = {&Forge::root_key,     &Forge::targets_key,   &Forge::releases_key,
                                        &Forge::snapshot_key, &Forge::timestamp_key, &Forge::rounds_key};
  Forge::KeyPtr Forge::*const signing[] = {&Forge::targets_key, &Forge::snapshot_key, &Forge::timestamp_key,
                                           &Forge::rounds_key};
  // The delegation goes on naming the true key.
  const Bytes rounds = forge_.rounds_key->public_key();
  forge_.on_targets = [&](tuf::Targets& targets) {
    targets = DelegatingTargets(1, forge_.ends, {{rounds}, {forge_.releases_key->public_key()}, 1});
  };
  for (const auto role : signing) {
    for (const auto other : keys) {
      if (role == other) continue;
      const Forge::KeyPtr own = std::exchange(forge_.*role, forge_.*other);
      EXPECT_EQ(Opened(forge_.Set(1)), "bad-signature");
      forge_.*role = own;
    }
  }
  EXPECT_EQ(Opened(forge_.Set(1)), "ok");
}

// ---- rollback

TEST_F(TufAttackTest, NothingGoesBackNotEvenAfterARestart) {
  const Bytes first = forge_.Published(1);
  ASSERT_EQ(Taken(forge_.Set(2)), "ok");
  EXPECT_EQ(Taken(first), "rollback");
  Restart();
  EXPECT_EQ(Taken(first), "rollback");
  EXPECT_EQ(store_->number(), 2u);
}

TEST_F(TufAttackTest, ANewerFileThatNamesAnOlderOneIsRefused) {
  ASSERT_EQ(Taken(forge_.Set(5)), "ok");
  forge_.on_snapshot = [](tuf::Snapshot& snapshot) { snapshot.version = 4; };
  EXPECT_EQ(Taken(forge_.Set(6)), "rollback") << "the snapshot";
  forge_.on_snapshot = nullptr;
  forge_.on_rounds = [](tuf::Targets& rounds) { rounds.version = 4; };
  EXPECT_EQ(Taken(forge_.Set(7)), "rollback") << "a delegated role";
  forge_.on_rounds = nullptr;
  forge_.on_snapshot = [](tuf::Snapshot& snapshot) { snapshot.files.erase("releases.json"); };
  EXPECT_EQ(Taken(forge_.Set(8)), "rollback") << "a role is gone";
  forge_.on_snapshot = nullptr;
  EXPECT_EQ(store_->number(), 5u);
  EXPECT_EQ(Taken(forge_.Set(9)), "ok");
}

TEST_F(TufAttackTest, WhatWasSeenCountsAlsoWhenItWasNeverAdopted) {
  ASSERT_EQ(Taken(forge_.Set(1)), "ok");
  ASSERT_TRUE(store_->Verify(forge_.Published(9), kTestStart));
  EXPECT_EQ(store_->number(), 1u);
  EXPECT_EQ(Taken(forge_.Set(8)), "rollback");
  Restart();
  EXPECT_EQ(Taken(forge_.Set(8)), "rollback");
  EXPECT_EQ(Taken(forge_.Set(9)), "ok");
}

TEST_F(TufAttackTest, OneNumberHasOneContent) {
  ASSERT_EQ(Taken(forge_.Set(5)), "ok");
  forge_.on_publication = [](Publication& publication) { publication.tasks.clear(); };
  EXPECT_EQ(Taken(forge_.Set(5)), "rollback");
}

// ---- indefinite freeze

TEST_F(TufAttackTest, EveryRoleExpires) {
  const WallTime before = forge_.ends + Millis(-1), soon = kTestStart + Millis(60'000);
  EXPECT_EQ(Opened(forge_.Set(1), before), "ok");
  EXPECT_EQ(Opened(forge_.Set(1), forge_.ends), "expired");
  const std::pair<const char*, std::function<void(Forge&)>> roles[] = {
      {"targets", [&](Forge& forge) { forge.on_targets = [&](auto& targets) { targets.expires = soon; }; }},
      {"rounds", [&](Forge& forge) { forge.on_rounds = [&](auto& rounds) { rounds.expires = soon; }; }},
      {"snapshot", [&](Forge& forge) { forge.on_snapshot = [&](auto& snapshot) { snapshot.expires = soon; }; }},
      {"timestamp", [&](Forge& forge) { forge.on_timestamp = [&](auto& timestamp) { timestamp.expires = soon; }; }},
      {"root", [&](Forge& forge) {
         forge.root.expires = soon;
         forge.NextRoot({forge.root_key.get()});
       }}};
  for (const auto& [role, shorten] : roles) {
    Forge forge = forge_;
    shorten(forge);
    EXPECT_EQ(Opened(forge.Set(1)), "ok") << role;
    EXPECT_EQ(Opened(forge.Set(1), soon), "expired") << role;
    const auto opened = OpenPublication(forge.Published(1), NewAnchor(), kTestStart);
    EXPECT_EQ(opened->expires, soon) << role;
  }
}

TEST_F(TufAttackTest, AnExpiredTimestampIsNotEvenRemembered) {
  ASSERT_EQ(Taken(forge_.Set(1)), "ok");
  forge_.on_timestamp = [](tuf::Timestamp& timestamp) { timestamp.expires = kTestStart; };
  EXPECT_EQ(Taken(forge_.Set(9)), "expired");
  forge_.on_timestamp = nullptr;
  EXPECT_EQ(Taken(forge_.Set(2)), "ok");
}

// ---- endless data

TEST_F(TufAttackTest, EveryPartHasItsLimit) {
  const PublicationSet good = forge_.Set(1);
  const std::pair<const char*, std::function<void(PublicationSet&)>> parts[] = {
      {"root", [](auto& set) { set.roots[0].resize(limits::kRootBytes + 1); }},
      {"roots", [](auto& set) { set.roots.resize(limits::kRootVersions + 1, set.roots[0]); }},
      {"timestamp", [](auto& set) { set.timestamp.resize(limits::kTimestampBytes + 1); }},
      {"snapshot", [](auto& set) { set.snapshot.resize(limits::kSnapshotBytes + 1); }},
      {"targets", [](auto& set) { set.targets.resize(limits::kTargetsBytes + 1); }},
      {"rounds", [](auto& set) { set.delegated[1].bytes.resize(limits::kTargetsBytes + 1); }},
      {"roles", [](auto& set) { set.delegated.resize(limits::kDelegatedRoles + 1, set.delegated[0]); }},
      {"revocations", [](auto& set) { set.revocations.resize(limits::kRevocationBytes + 1); }},
      {"catalogue", [](auto& set) { set.catalogue.resize(limits::kPublicationBytes); }}};
  for (const auto& [part, grow] : parts) {
    PublicationSet set = good;
    grow(set);
    EXPECT_EQ(Opened(set), "too-large") << part;
  }
}

// ---- mix and match

TEST_F(TufAttackTest, PartsOfTwoPublicationsDoNotMakeOne) {
  forge_.on_publication = [](Publication& publication) { publication.tasks.clear(); };
  const PublicationSet older = forge_.Set(1);
  forge_.on_publication = nullptr;
  const PublicationSet good = forge_.Set(2);
  const auto with = [&](const std::function<void(PublicationSet&)>& change) {
    PublicationSet set = good;
    change(set);
    return Opened(set);
  };
  EXPECT_EQ(with([&](auto& set) { set.timestamp = older.timestamp; }), "mixed-publication");
  EXPECT_EQ(with([&](auto& set) { set.snapshot = older.snapshot; }), "mixed-publication");
  EXPECT_EQ(with([&](auto& set) { set.delegated[1] = older.delegated[1]; }), "mixed-publication");
  EXPECT_EQ(with([&](auto& set) { std::swap(set.delegated[0].bytes, set.delegated[1].bytes); }), "mixed-publication");
  EXPECT_EQ(with([&](auto& set) { set.targets = set.delegated[0].bytes; }), "mixed-publication");
  EXPECT_EQ(with([&](auto& set) { set.catalogue = older.catalogue; }), "digest-mismatch");
  EXPECT_EQ(with([&](auto& set) { set.delegated.pop_back(); }), "mixed-publication");
  EXPECT_EQ(with([&](auto& set) { set.delegated.push_back({"more", set.targets}); }), "mixed-publication");
  EXPECT_EQ(with([&](auto&) {}), "ok");
}

TEST_F(TufAttackTest, APublicationHasOneFileOfEachRole) {
  forge_.on_snapshot = [](tuf::Snapshot& snapshot) {
    for (auto& [name, meta] : snapshot.files) meta = {meta.version, {}, {}};
  };
  PublicationSet set = forge_.Set(1);
  ASSERT_EQ(Opened(set), "ok");
  set.delegated.push_back({"rounds", Bytes(1'000, 0x20)});
  EXPECT_EQ(Opened(set), "malformed");
}

TEST_F(TufAttackTest, LengthDigestAndVersionAreEachChecked) {
  const std::pair<const char*, std::function<void(tuf::FileMeta&)>> lies[] = {
      {"length", [](auto& meta) { ++*meta.length; }},
      {"digest", [](auto& meta) { meta.sha256 = Digest(); }},
      {"version", [](auto& meta) {
         meta = {meta.version + 1, std::nullopt, std::nullopt};
       }}};
  for (const auto& [what, lie] : lies) {
    Forge forge = forge_;
    forge.on_timestamp = [&](tuf::Timestamp& timestamp) { lie(timestamp.snapshot); };
    EXPECT_EQ(Opened(forge.Set(1)), "mixed-publication") << "snapshot's " << what;
    for (const char* name : {"targets.json", "rounds.json"}) {
      forge = forge_;
      forge.on_snapshot = [&](tuf::Snapshot& snapshot) { lie(snapshot.files.at(name)); };
      EXPECT_EQ(Opened(forge.Set(1)), "mixed-publication") << name << ": " << what;
    }
  }
  forge_.on_rounds = [](tuf::Targets& rounds) { ++rounds.files.at("rounds/catalogue").length; };
  EXPECT_EQ(Opened(forge_.Set(1)), "digest-mismatch");
  forge_.on_rounds = [](tuf::Targets& rounds) { rounds.files.at("rounds/catalogue").sha256 = Digest(); };
  EXPECT_EQ(Opened(forge_.Set(1)), "digest-mismatch");
}

TEST_F(TufAttackTest, LengthAndDigestOfMetadataMayBeLeftOut) {
  forge_.on_timestamp = [](tuf::Timestamp& timestamp) { timestamp.snapshot = {1, {}, {}}; };
  forge_.on_snapshot = [](tuf::Snapshot& snapshot) {
    for (auto& [name, meta] : snapshot.files) meta = {meta.version, {}, {}};
  };
  EXPECT_EQ(Opened(forge_.Set(1)), "ok");
}

// ---- key compromise

TEST_F(TufAttackTest, WhoStealsTimestampAndSnapshotKeysMakesNoCatalogue) {
  const Bytes rounds = forge_.rounds_key->public_key(), releases = forge_.releases_key->public_key();
  Forge thief = forge_;
  thief.rounds_key = Forge::NewKey();
  EXPECT_EQ(Opened(thief.Set(1)), "ok") << "with the key of targets it would be one";
  thief.on_targets = [&](tuf::Targets& targets) {
    targets = DelegatingTargets(1, forge_.ends, {{rounds}, {releases}, 1});
  };
  EXPECT_EQ(Opened(thief.Set(1)), "bad-signature") << "under the honest targets";
  thief.on_targets = nullptr;
  thief.targets_key = Forge::NewKey();
  EXPECT_EQ(Opened(thief.Set(1)), "bad-signature") << "under targets of his own";
}

TEST_F(TufAttackTest, AStolenRoundsKeyIsWorthNothingAfterTheNextTargets) {
  const Forge thief = forge_;
  ASSERT_EQ(Taken(forge_.Set(1)), "ok");
  forge_.rounds_key = Forge::NewKey();
  forge_.on_targets = [](tuf::Targets& targets) { targets.version = 2; };
  ASSERT_EQ(Taken(forge_.Set(2)), "ok");
  // The thief has timestamp, snapshot and the old rounds key, but no targets beyond version 1.
  EXPECT_EQ(Taken(thief.Set(3)), "rollback");
  Forge again = forge_;
  again.on_delegated = [&](auto& delegated) { delegated[1] = thief.Set(4).delegated[1]; };
  EXPECT_EQ(Taken(again.Set(4)), "bad-signature");
}

// ---- fields and versions of other makers

template <class Body>
Bytes Resigned(ByteView file, std::string_view what, std::string_view with, const Signer& signer) {
  auto metadata = Must(tuf::ParseMetadata<Body>(file));
  const size_t at = metadata.signed_text.find(what);
  TRIBUTARY_CHECK(at != std::string::npos) << what;
  metadata.signed_text.replace(at, what.size(), with);
  metadata.signatures.clear();
  TRIBUTARY_CHECK(tuf::AddSignature(metadata, signer).has_value());
  return tuf::EncodeMetadata(metadata);
}

TEST_F(TufAttackTest, AnotherSpecificationIsRefusedAndAnUnknownFieldIsNot) {
  const PublicationSet good = forge_.Set(1);
  PublicationSet set = good;
  set.timestamp = Resigned<tuf::Timestamp>(good.timestamp, "1.0.31", "2.0.0", *forge_.timestamp_key);
  EXPECT_EQ(Opened(set), "version-unsupported");
  set.timestamp =
      Resigned<tuf::Timestamp>(good.timestamp, "\"version\":1}", "\"version\":1,\"x\":[\"y\"]}", *forge_.timestamp_key);
  EXPECT_EQ(Opened(set), "ok");
}

// ---- revocation

TEST_F(TufAttackTest, TheRevocationListCannotBeLeftOutOrForged) {
  const auto list = [&](const CertificateAuthority& by) {
    return RevocationsToPem({}, Must(SignRevocations(by, 1, {"0A"}, kTestStart, kTestLifetime)));
  };
  forge_.on_publication = [&](Publication& publication) { publication.revocations = list(authority_); };
  const PublicationSet good = forge_.Set(1);
  EXPECT_EQ(Opened(good), "ok");
  PublicationSet set = good;
  set.revocations.clear();
  EXPECT_EQ(Opened(set), "mixed-publication");
  set.revocations = good.revocations + "\n";
  EXPECT_EQ(Opened(set), "digest-mismatch");
  const auto stranger = CertificateAuthority::Create("fleet", kTestStart, kTestLifetime);
  forge_.on_publication = [&](Publication& publication) { publication.revocations = list(stranger); };
  EXPECT_EQ(Opened(forge_.Set(1)), "bad-signature") << "the rounds key revokes nobody";
}

TEST_F(TufAttackTest, WhoIsRevokedIsSoFromTheMomentOfAdoptionAndAfterARestart) {
  const SigningKey key = SigningKey::Generate();
  const Subject subject{TestDevice("device-1"), Role::kDevice, "test", Bytes(32, 7)};
  const auto certificate = Must(authority_.Issue(subject, key.public_key(), kTestStart, kTestLifetime));
  const std::vector<Bytes> chain = {certificate.der};
  const auto verdict = [&] { return Outcome(anchor_->Verify(chain, kTestStart)); };
  Restart();
  EXPECT_EQ(verdict(), "ok");
  forge_.on_publication = [&](Publication& publication) {
    const Bytes crl = Must(SignRevocations(authority_, 1, {SerialNumber(certificate)}, kTestStart, kTestLifetime));
    publication.revocations = RevocationsToPem({}, crl);
  };
  ASSERT_TRUE(store_->Verify(forge_.Published(1), kTestStart));
  EXPECT_EQ(verdict(), "ok") << "not adopted yet";
  ASSERT_EQ(Taken(forge_.Set(1)), "ok");
  EXPECT_EQ(verdict(), "revoked-certificate");
  Restart();
  EXPECT_EQ(verdict(), "revoked-certificate");
}

}  // namespace
}  // namespace tributary::tuf_attack_test
