#include "protocol/base/http/tls.h"

#include <httplib.h>

namespace tributary {
std::string TlsReason() {
  const unsigned long code = ERR_peek_error();
  const char* reason = code ? ERR_reason_error_string(code) : nullptr;
  ERR_clear_error();
  return reason ? reason : "not readable";
}

std::unique_ptr<httplib::Server> MakeServer(ServerCertificate* certificate) {
  if (!certificate) return std::make_unique<httplib::Server>();
  return std::make_unique<httplib::SSLServer>([certificate](SSL_CTX& context) {
    SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION);
    SSL_CTX_set_options(&context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    const auto present = [](SSL* connection, void* from) {
      return static_cast<ServerCertificate*>(from)->Present(connection) ? 1 : 0;
    };
    SSL_CTX_set_cert_cb(&context, present, certificate);
    return true;
  });
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
                "the CA file " + ca_file.string() + " holds no PEM certificates (" + TlsReason() + ")");
  }
  client.set_ca_cert_path(ca_file.string());
  return {};
}

}  // namespace tributary
