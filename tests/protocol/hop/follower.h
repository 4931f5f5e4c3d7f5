#pragma once

#include <vector>

#include "tests/protocol/hop/hop_fixture.h"

namespace tributary {

// Follows the publication as a device does.
struct Follower {
  Follower(HopWorld& world, const HopClient::Options& server, const Identity& identity, const Path& folder)
      : blobs(*BlobStore::Open(RealFileSystem(), folder / "blobs")),
        store(*PublicationStore::Open(RealFileSystem(), folder / "publication.bin", identity.anchor)),
        client({world.loop, world.clock, world.random, identity}, server,
               {[this] {
                  hop::CheckIn check_in;
                  check_in.publication_number = store.number();
                  return check_in;
                },
                [this](ByteView bytes) { subscriber.Consider(bytes); }}),
        fetcher(client, world.loop, world.random, blobs, world.worker),
        subscriber(fetcher, store, blobs, world.clock,
                   {.on_adopted = [this](const Publication& publication) { adopted.push_back(publication.number); },
                    .on_mended = [this](const Digest& blob) { mended.push_back(blob); }}) {}
  void Start() {
    subscriber.Start();
    client.Start();
  }

  std::vector<uint64_t> adopted;
  std::vector<Digest> mended;
  BlobStore blobs;
  PublicationStore store;
  HopClient client;
  Fetcher fetcher;
  Subscriber subscriber;
};

}  // namespace tributary
