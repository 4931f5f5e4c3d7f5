#pragma once

#include <memory>
#include <string>

#include "protocol/base/file.h"
#include "protocol/base/result.h"
#include "protocol/base/http/server_certificate.h"

namespace httplib {
class Client;
class Server;
}  // namespace httplib

// TLS under the HTTP library, for http_server.cc, http_client.cc and server_certificate.cc only. Version 1.2 at least,
// at both ends.
namespace tributary {

// Speaks TLS with the certificate, which must outlive it, or plain HTTP when it is null.
std::unique_ptr<httplib::Server> MakeServer(ServerCertificate* certificate);

// Before the first request. `ca_file`: PEM, whose certificates are believed, and nobody else's; empty: the system's.
// kInvalidArgument: it has none.
Status SetUpTls(httplib::Client& client, const Path& ca_file);

// What OpenSSL says of its last refusal on this thread, for the person who set the file up; leaves its queue empty.
std::string TlsReason();

}  // namespace tributary
