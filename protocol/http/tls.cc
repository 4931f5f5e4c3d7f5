#include "protocol/http/tls.h"

#include <httplib.h>

#include "protocol/seal/signing.h"

namespace tributary {
namespace {

// What OpenSSL says of a refusal, for the person who set the file up; leaves its queue empty.
std::string Reason() {
  const unsigned long code = ERR_peek_error();
  const char* reason = code ? ERR_reason_error_string(code) : nullptr;
  ERR_clear_error();
  return reason ? reason : "not readable";
}

// A daemon asks nobody for a passphrase.
int NoPassphrase(char*, int, int, void*) { return 0; }

Status SetUpContext(SSL_CTX& context, const Path& certificate, const Path& key) {
  SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION);
  SSL_CTX_set_options(&context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_default_passwd_cb(&context, NoPassphrase);
  if (SSL_CTX_use_certificate_chain_file(&context, certificate.c_str()) != 1) {
    return Fail(Code::kConfigInvalid,
                "http.tls_certificate: " + certificate.string() + " is no PEM certificate (" + Reason() + ")");
  }
  if (SSL_CTX_use_PrivateKey_file(&context, key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(&context) != 1) {
    return Fail(Code::kConfigInvalid, "http.tls_key: " + key.string() +
                                          " is not a PEM key without a passphrase for the certificate (" + Reason() +
                                          ")");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<httplib::Server>> MakeServer(const Path& certificate, const Path& key) {
  if (key.empty()) return std::make_unique<httplib::Server>();
  RETURN_IF_ERROR(RealFileSystem().Size(certificate));
  RETURN_IF_ERROR(ReadSecretFile(key));  // for its mode: the library reads it again
  Status status = Fail(Code::kConfigInvalid, "TLS cannot be set up on this system");
  auto server = std::make_unique<httplib::SSLServer>([&](SSL_CTX& context) {
    status = SetUpContext(context, certificate, key);
    return status.has_value();
  });
  RETURN_IF_ERROR(status);
  return server;
}

Status SetUpTls(httplib::Client& client, const Path& ca_file) {
  SSL_CTX_set_min_proto_version(client.ssl_context(), TLS1_2_VERSION);
  client.enable_server_certificate_verification(true);
  if (ca_file.empty()) return {};
  // The library would say only at the first request, and not why, that it found nothing in the file.
  X509_STORE* store = X509_STORE_new();
  const bool loaded = X509_STORE_load_locations(store, ca_file.c_str(), nullptr) == 1;
  X509_STORE_free(store);
  if (!loaded) {
    return Fail(Code::kInvalidArgument,
                "the CA file " + ca_file.string() + " holds no PEM certificates (" + Reason() + ")");
  }
  client.set_ca_cert_path(ca_file.string());
  return {};
}

}  // namespace tributary
