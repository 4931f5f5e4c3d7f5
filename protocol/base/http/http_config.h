#pragma once

#include "protocol/base/http/http_server.h"
#include "protocol/base/process/config.h"

namespace tributary {

// The table [http] of a configuration file, alike in every process that listens: host, port (at least `min_port`),
// tls_certificate, tls_key, allow_plain. Records what would keep the server from starting as problems of their keys.
void ReadHttpOptions(ConfigReader& reader, int64_t min_port, HttpServer::Options& options);

// Whether a server may listen so: with TLS, or on loopback, or because plain HTTP was allowed. kConfigInvalid.
Status CheckHttpExposure(const HttpServer::Options& options);

// "localhost", 127.0.0.0/8 and ::1. A name of another kind may lead anywhere.
bool IsLoopback(const std::string& host);

}  // namespace tributary
