#pragma once

#include <string>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/hop/client/client.h"

namespace tributary {

// Where a member's server is, as configuration files say it.
struct ServerAddress {
  std::string endpoint;    // tcp://host:port
  std::string server_key;  // its CURVE public key, 64 hexadecimal digits
};

// kConfigInvalid: the text is not 64 hexadecimal digits.
Result<Bytes> ServerKeyOf(const std::string& text);
// How a client reaches the server. kConfigInvalid: its key is not 64 hexadecimal digits.
Result<HopClient::Options> HopOptionsFor(const ServerAddress& server, int64_t retry_cap_seconds);

// The connection keys of the server that this member is configured to reach: the configured one, and those that the
// server has announced since on a proven session. So the server may change its key and nobody has to visit the member.
// They are kept in a text file of the data folder: one key of 64 hexadecimal digits a line, the newest first. A key
// alone proves nothing: whoever answers on it must still show a certificate of the fleet. Value type, not thread safe.
class ServerKeys {
 public:
  // Announced keys that are kept: the present one and the next.
  static constexpr size_t kKept = 2;

  // An absent file is none; one that is damaged is none as well, and is written anew by the next announcement.
  static ServerKeys Load(FileSystem& files, Path file, Bytes configured);
  // Those that were announced, the newest first: to be tried beside the configured one (HopClient::Options).
  const std::vector<Bytes>& learned() const { return learned_; }
  // The server said so, and its certificate was verified. Durable on return; nothing happens when it is known.
  Status Learn(const Bytes& key);

 private:
  ServerKeys(FileSystem& files, Path file, Bytes configured)
      : files_(&files), file_(std::move(file)), configured_(std::move(configured)) {}
  FileSystem* files_;
  Path file_;
  Bytes configured_;
  std::vector<Bytes> learned_;  // the newest first
};

}  // namespace tributary
