#pragma once

#include <memory>

#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace httplib {
class Client;
class Server;
}  // namespace httplib

// TLS under the HTTP library, for http_server.cc and http_client.cc only. Version 1.2 at least, at both ends.
namespace tributary {

// Speaks TLS with the certificate (PEM, leaf first) and key, or plain HTTP when both paths are empty. kPermissions: the
// key's mode is not 0600; kNotFound; kConfigInvalid: not PEM, a key with a passphrase, or not a pair.
Result<std::unique_ptr<httplib::Server>> MakeServer(const Path& certificate, const Path& key);

// Before the first request. `ca_file`: PEM, whose certificates are believed, and nobody else's; empty: the system's.
// kInvalidArgument: it has none.
Status SetUpTls(httplib::Client& client, const Path& ca_file);

}  // namespace tributary
