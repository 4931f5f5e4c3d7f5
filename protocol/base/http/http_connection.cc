#include "protocol/base/http/http_connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace tributary {
namespace {

int Most(size_t size) { return static_cast<int>(std::min<size_t>(size, INT_MAX)); }

}  // namespace

HttpConnection::~HttpConnection() {
  SSL_free(tls_);
  close(descriptor_);
}

ssize_t HttpConnection::Read(char* to, size_t size) {
  ERR_clear_error();
  const ssize_t got = tls_ ? SSL_read(tls_, to, Most(size)) : recv(descriptor_, to, size, 0);
  return Judge(got, POLLIN);
}

ssize_t HttpConnection::Write(const char* from, size_t size) {
  ERR_clear_error();
  const ssize_t sent = tls_ ? SSL_write(tls_, from, Most(size)) : send(descriptor_, from, size, MSG_NOSIGNAL);
  return Judge(sent, POLLOUT);
}

ssize_t HttpConnection::Judge(ssize_t moved, short direction) {
  if (moved > 0) return moved;
  bool waits = moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
  if (tls_) {
    const int reason = SSL_get_error(tls_, static_cast<int>(moved));
    waits = reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE;
    direction = reason == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
  }
  wants_ = direction;
  return waits ? 0 : -1;
}

void HttpConnection::SayEnd() {
  ERR_clear_error();
  if (tls_ && SSL_is_init_finished(tls_)) SSL_shutdown(tls_);
  shutdown(descriptor_, SHUT_WR);
}

}  // namespace tributary
