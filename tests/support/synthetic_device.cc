#include "tests/support/synthetic_device.h"

#include <algorithm>

#include "protocol/base/log.h"
#include "tests/support/must.h"

namespace tributary {
namespace {

// Chunk after chunk into the spool. `done` runs on the spool's worker when the last one is on disk.
void AppendFrom(Spool& spool, const std::shared_ptr<const SealedUpload>& upload, uint32_t chunk,
                const std::function<void()>& done) {
  spool.Append(upload->header.subject.id, chunk, upload->chunks[chunk],
               [&spool, upload, chunk, done](const Result<AppendAnswer>& answer) {
                 if (Must(answer).complete) return done();
                 AppendFrom(spool, upload, chunk + 1, done);
               });
}

}  // namespace

DeviceThread::DeviceThread() {
  Must(StartLog("error", {}));  // the processes' logs tell the story; the devices' would drown it
  thread_ = std::thread([this] { loop_.Run(); });
}

DeviceThread::~DeviceThread() {
  loop_.Stop();
  thread_.join();
}

// The parts that run on the loop's thread.
struct SyntheticDevice::Stack final : HopClient::Part {
  explicit Stack(SyntheticDevice& owner) : device(owner) {
    DeviceThread& thread = device.thread_;
    FileSystem& files = RealFileSystem();
    const Path& folder = device.options_.folder;
    Must(files.CreateFolders(folder));
    SpoolOptions spool_options;
    spool_options.folder = folder / "outbox";
    outbox = Must(Spool::Open(spool_options, files, thread.clock(), thread.disk()));
    publications.emplace(Must(PublicationStore::Open(files, folder / "publication.bin", device.identity_.anchor)));
    blobs.emplace(Must(BlobStore::Open(files, folder / "blobs")));

    HopClient::Options options;
    options.endpoint = device.options_.server.endpoint;
    options.server_key = Must(FromHex(device.options_.server.server_key));
    options.first_retry = Millis(50);
    options.retry_cap = Millis(500);
    options.check_in_interval = Millis(500);  // a server that was killed is noticed by the next one
    options.handshake_timeout = Millis(2'000);
    client = std::make_unique<HopClient>(
        HopClient::Parts{thread.loop(), thread.clock(), thread.random(), device.identity_}, options,
        HopClient::Hooks{[this] { return DescribeSelf(); }, [this](ByteView bytes) { subscriber->Consider(bytes); }});
    Courier::Options courier_options;
    courier_options.first_retry = Millis(50);
    courier_options.retry_cap = Millis(500);
    courier =
        std::make_unique<Courier>(*client, thread.loop(), thread.clock(), thread.random(), *outbox, courier_options,
                                  [this](const UploadId& upload, const Error* why) { OnGone(upload, why); });
    fetcher = std::make_unique<Fetcher>(*client, thread.loop(), thread.random(), *blobs, thread.disk());
    subscriber = std::make_unique<Subscriber>(*fetcher, *publications, *blobs, thread.clock(),
                                              Subscriber::Hooks{.on_adopted = [this](const Publication& publication) {
                                                OnAdopted(publication);
                                              }});
    client->AddPart(*this);
    subscriber->Start();
    client->Start();
  }

  hop::CheckIn DescribeSelf() const {
    hop::CheckIn check_in;
    check_in.publication_number = publications->number();
    check_in.root_version = publications->root_version();
    check_in.device_class = device.identity_.subject.device_class;
    return check_in;
  }

  template <class Change>
  void Tell(Change change) {
    const std::lock_guard lock(device.mutex_);
    change();
    device.changed_.notify_all();
  }
  void OnAdopted(const Publication& publication) {
    Tell([&] { device.publication_ = publication; });
  }
  void OnGone(const UploadId& upload, const Error* why) {
    Tell([&] { device.fates_[upload] = why ? Fate(why->code) : Fate(); });
  }
  void OnUp() override {
    Tell([&] { ++device.sessions_; });
  }
  void OnMessage(const hop::Message& message, ByteView) override {
    if (const auto* credit = std::get_if<hop::Credit>(&message)) Tell([&] { device.credit_ += credit->bytes; });
  }

  SyntheticDevice& device;
  std::unique_ptr<Spool> outbox;
  std::optional<PublicationStore> publications;
  std::optional<BlobStore> blobs;
  std::unique_ptr<HopClient> client;
  std::unique_ptr<Courier> courier;
  std::unique_ptr<Fetcher> fetcher;
  std::unique_ptr<Subscriber> subscriber;
};

SyntheticDevice::SyntheticDevice(DeviceThread& thread, Identity identity, const Options& options)
    : thread_(thread), identity_(std::move(identity)), options_(options) {
  thread_.Run([this] { stack_ = std::make_unique<Stack>(*this); });
}

SyntheticDevice::~SyntheticDevice() {
  thread_.Run([this] {
    stack_->client->Stop();
    // It drains, and what it calls back must still be there.
    stack_->outbox.reset();
    stack_.reset();
  });
}

bool SyntheticDevice::Await(const std::function<bool()>& condition) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, condition);
}

bool SyntheticDevice::AwaitVersion(uint64_t version, bool open_round) {
  return Await([&] {
    return publication_ && publication_->tasks.size() == 1 && Number(publication_->tasks[0].latest) == version &&
           publication_->tasks[0].round.has_value() == open_round;
  });
}

std::optional<uint64_t> SyntheticDevice::AwaitRoundAfter(uint64_t version) {
  const auto open = [&] {
    return publication_ && publication_->tasks.size() == 1 && publication_->tasks[0].round.has_value() &&
           Number(publication_->tasks[0].latest) > version;
  };
  if (!Await(open)) return std::nullopt;
  return Number(publication().tasks[0].latest);
}

Publication SyntheticDevice::publication() {
  const std::lock_guard lock(mutex_);
  return publication_.value();
}

UploadId SyntheticDevice::GiveUpdate() {
  const Publication now = publication();
  const PublishedTask& task = now.tasks.at(0);
  SealedUpload sealed =
      SealSynthetic(UpdateOf(id(), task.latest, task.table.parameter_count()), now, identity_, options_.chunk_bytes);
  const UploadId upload = sealed.header.subject.id;
  Give(std::move(sealed));
  return upload;
}

void SyntheticDevice::Give(SealedUpload sealed) {
  const auto upload = std::make_shared<const SealedUpload>(std::move(sealed));
  {
    const std::lock_guard lock(mutex_);
    fates_[upload->header.subject.id];
  }
  const auto nudge = [this] { thread_.loop().Post([this] { stack_->courier->Nudge(); }); };
  Spool& outbox = *stack_->outbox;
  outbox.Offer(upload->header, upload->envelope, [&outbox, upload, nudge](const Result<OfferAnswer>& answer) {
    if (Must(answer).already) return nudge();
    AppendFrom(outbox, upload, 0, nudge);
  });
}

std::optional<SyntheticDevice::Fate> SyntheticDevice::AwaitFate(const UploadId& upload) {
  if (!Await([&] { return fates_[upload].has_value(); })) return std::nullopt;
  const std::lock_guard lock(mutex_);
  return fates_[upload];
}

bool SyntheticDevice::AwaitCustody() {
  return Await([&] {
    return std::ranges::all_of(fates_,
                               [](const auto& fate) { return fate.second.has_value() && !fate.second->has_value(); });
  });
}

bool SyntheticDevice::AwaitCredit(uint64_t bytes) {
  return Await([&] { return credit_ >= bytes; });
}

bool SyntheticDevice::AwaitSessions(uint64_t count) {
  return Await([&] { return sessions_ >= count; });
}

uint64_t SyntheticDevice::sessions() {
  const std::lock_guard lock(mutex_);
  return sessions_;
}

bool SyntheticDevice::has_fate(const UploadId& upload) {
  const std::lock_guard lock(mutex_);
  return fates_[upload].has_value();
}

SpoolAccount SyntheticDevice::account() { return stack_->outbox->Account(); }

Courier::Counts SyntheticDevice::counts() {
  return thread_.Run([this] { return stack_->courier->counts(); });
}

}  // namespace tributary
