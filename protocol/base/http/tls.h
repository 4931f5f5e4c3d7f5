#pragma once

#include <memory>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"

struct ssl_st;  // OpenSSL's SSL

namespace httplib {
class SSLClient;
}  // namespace httplib

// TLS under the HTTP library, for http_server.cc and http_client.cc only. Version 1.2 at least, at both ends.
namespace tributary {

// The certificate that a TLS server shows, from two files that somebody renews while it runs. When a handshake begins
// and the last look was `look_interval` ago, the files are looked at; a pair that changed is taken up for this
// handshake and all later ones, while connections that exist keep theirs. Two files that are not a pair, for instance
// because only one of them was replaced so far, leave the old pair in force, and the log says so once. A pair that has
// expired is taken up all the same: clients see more in it than in a server that is not there. Thread safe.
class ServerCertificate {
 public:
  // PEM, leaf first; the key without a passphrase and of mode 0600. kPermissions, kNotFound; kConfigInvalid: not PEM, a
  // key with a passphrase, or not a pair.
  static Result<std::unique_ptr<ServerCertificate>> Load(const Path& certificate, const Path& key,
                                                         Millis look_interval);
  ~ServerCertificate();

  // TLS for an accepted connection, whose handshake has yet to come; the caller's to free. Null: no memory for it.
  ssl_st* Accept(int descriptor);
  // When the present certificate ends. Looks at the files as a handshake does.
  WallTime Expires();

 private:
  struct State;
  explicit ServerCertificate(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Call it before the first request. `ca_file`: PEM with the only authorities to believe; empty: the system's.
// kInvalidArgument: the file has none.
Status SetUpTls(httplib::SSLClient& client, const Path& ca_file);

}  // namespace tributary
