#include "protocol/base/http/tls.h"

#include <httplib.h>
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <ctime>
#include <mutex>
#include <utility>

#include "protocol/base/log.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {
namespace {

// OpenSSL's reason for its last refusal on this thread, for the person who set the file up; leaves its queue empty.
std::string TlsReason() {
  const unsigned long code = ERR_peek_error();
  const char* reason = code ? ERR_reason_error_string(code) : nullptr;
  ERR_clear_error();
  return reason ? reason : "not readable";
}

using Steady = std::chrono::steady_clock;

// Tells a file from the one that was there before. It also sees a change of the mode, and a second change within a tick
// of the file system's clock if the file is longer or shorter.
struct FileStamp {
  explicit FileStamp(const Path& path) {
    struct stat found {};
    if (stat(path.c_str(), &found) != 0) return;
    values = {static_cast<int64_t>(found.st_dev),
              static_cast<int64_t>(found.st_ino),
              found.st_size,
              found.st_mtim.tv_sec,
              found.st_mtim.tv_nsec,
              found.st_ctim.tv_sec,
              found.st_ctim.tv_nsec};
  }
  bool operator==(const FileStamp&) const = default;
  std::array<int64_t, 7> values{};
};
using PairStamp = std::pair<FileStamp, FileStamp>;

// A certificate with its chain and key. Never changed once it is loaded.
struct Pair {
  std::shared_ptr<SSL_CTX> holder;
  WallTime not_after;
};

// A daemon asks nobody for a passphrase.
int NoPassphrase(char*, int, int, void*) { return 0; }

Result<Pair> LoadPair(const Path& certificate, const Path& key) {
  RETURN_IF_ERROR(RealFileSystem().Size(certificate));
  RETURN_IF_ERROR(ReadSecretFile(key));  // for its mode: OpenSSL reads it again
  const std::shared_ptr<SSL_CTX> holder(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!holder) return Fail(Code::kConfigInvalid, "TLS cannot be set up on this system ({})", TlsReason());
  SSL_CTX_set_default_passwd_cb(holder.get(), NoPassphrase);
  if (SSL_CTX_use_certificate_chain_file(holder.get(), certificate.c_str()) != 1) {
    return Fail(Code::kConfigInvalid, "http.tls_certificate: {} is no PEM certificate ({})", certificate.string(),
                TlsReason());
  }
  if (SSL_CTX_use_PrivateKey_file(holder.get(), key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(holder.get()) != 1) {
    return Fail(Code::kConfigInvalid, "http.tls_key: {} is not a PEM key without a passphrase for the certificate ({})",
                key.string(), TlsReason());
  }
  std::tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(holder.get())), &end) != 1)
    return Fail(Code::kConfigInvalid, "http.tls_certificate: {} has no date at which it ends", certificate.string());
  return Pair{holder, WallTime{static_cast<int64_t>(timegm(&end)) * 1'000}};
}

}  // namespace

struct ServerCertificate::State {
  State(Path certificate_file, Path key_file, Millis look_interval)
      : certificate(std::move(certificate_file)), key(std::move(key_file)), interval(look_interval) {}

  const Path certificate, key;
  const Millis interval;
  const std::shared_ptr<SSL_CTX> context{SSL_CTX_new(TLS_server_method()), SSL_CTX_free};  // of all connections
  std::mutex mutex;
  // The members below are under the mutex.
  Pair pair;
  PairStamp loaded{FileStamp(certificate), FileStamp(key)};  // of `pair`, or older
  Steady::time_point next_look = Steady::now() + interval;
  std::string complaint;  // the one that was logged about what the files hold now

  // The stamp is taken before the files are read: what changes meanwhile is found by the next look. While they are no
  // pair, every look reads them.
  void Look() {
    const PairStamp now{FileStamp(certificate), FileStamp(key)};
    if (now == loaded) return;
    auto fresh = LoadPair(certificate, key);
    if (!fresh) {
      if (std::exchange(complaint, fresh.error().message) == fresh.error().message) return;
      return LogFailure(LogLevel::kWarning, "http.certificate-kept", fresh.error());
    }
    pair = std::move(*fresh);
    loaded = now;
    complaint.clear();
    Log();
  }

  void Log() const {
    const std::chrono::system_clock::time_point end{Millis(pair.not_after.unix_millis)};
    const auto left = std::chrono::duration_cast<std::chrono::hours>(end - std::chrono::system_clock::now());
    tributary::Log(left.count() > 0 ? LogLevel::kInfo : LogLevel::kWarning,
                   left.count() > 0 ? "http.certificate" : "http.certificate-expired",
                   {{"file", certificate.string()}, {"hours_left", left.count()}});
  }

  static int Give(SSL* connection, void* from);

  Pair Present() {
    const std::lock_guard lock(mutex);
    if (const auto now = Steady::now(); now >= next_look) {
      next_look = now + interval;
      Look();
    }
    return pair;
  }
};

// Gives a handshake that begins the present pair.
int ServerCertificate::State::Give(SSL* connection, void* from) {
  const Pair pair = static_cast<State*>(from)->Present();
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(pair.holder.get(), &chain);
  // Counts its own references to all three.
  return SSL_use_cert_and_key(connection, SSL_CTX_get0_certificate(pair.holder.get()),
                              SSL_CTX_get0_privatekey(pair.holder.get()), chain, 1) == 1;
}

ServerCertificate::ServerCertificate(std::unique_ptr<State> state) : state_(std::move(state)) {}
ServerCertificate::~ServerCertificate() = default;

Result<std::unique_ptr<ServerCertificate>> ServerCertificate::Load(const Path& certificate, const Path& key,
                                                                   Millis look_interval) {
  auto state = std::make_unique<State>(certificate, key, look_interval);
  ASSIGN_OR_RETURN(state->pair, LoadPair(certificate, key));
  state->Log();
  SSL_CTX& context = *state->context;
  SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION);
  SSL_CTX_set_options(&context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(&context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_cert_cb(&context, State::Give, state.get());
  return std::unique_ptr<ServerCertificate>(new ServerCertificate(std::move(state)));
}

ssl_st* ServerCertificate::Accept(int descriptor) {
  SSL* connection = SSL_new(state_->context.get());
  if (connection && SSL_set_fd(connection, descriptor) == 1) SSL_set_accept_state(connection);
  return connection;
}

WallTime ServerCertificate::Expires() { return state_->Present().not_after; }

Status SetUpTls(httplib::SSLClient& client, const Path& ca_file) {
  SSL_CTX_set_min_proto_version(client.ssl_context(), TLS1_2_VERSION);
  client.enable_server_certificate_verification(true);
  if (ca_file.empty()) return {};
  // The library would say only at the first request, and not why, that it found nothing in the file.
  X509_STORE* store = X509_STORE_new();
  const bool loaded = X509_STORE_load_locations(store, ca_file.c_str(), nullptr) == 1;
  X509_STORE_free(store);
  if (!loaded)
    return Fail(Code::kInvalidArgument, "the CA file {} holds no PEM certificates ({})", ca_file.string(), TlsReason());
  client.set_ca_cert_path(ca_file.string());
  return {};
}

}  // namespace tributary
