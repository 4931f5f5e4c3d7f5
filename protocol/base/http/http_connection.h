#pragma once

#include <sys/types.h>

#include <cstddef>

struct ssl_st;  // OpenSSL's SSL

namespace tributary {

// An accepted connection, plain or under TLS, that never waits. A handshake is part of the first read. One thread at a
// time.
class HttpConnection {
 public:
  // Takes a descriptor that does not block; with TLS also `tls`, which is set up for that descriptor.
  HttpConnection(int descriptor, ssl_st* tls) : descriptor_(descriptor), tls_(tls) {}
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // How many bytes went over. 0: it would have to wait for wants(). -1: the other side has ended it, or it broke.
  ssize_t Read(char* to, size_t size);
  ssize_t Write(const char* from, size_t size);
  // Of poll(2), after an answer of 0.
  short wants() const { return wants_; }
  int descriptor() const { return descriptor_; }
  // Tells the other side that nothing more comes.
  void SayEnd();

 private:
  ssize_t Judge(ssize_t moved, short direction);

  int descriptor_;
  ssl_st* tls_;
  short wants_ = 0;
};

}  // namespace tributary
