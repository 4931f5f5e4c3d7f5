#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/http/http_server.h"
#include "protocol/base/process/config.h"

namespace tributary {

// The table [http] of a configuration file, alike in every process that listens. `least_port` is 0 where a port of 0
// means that it does not listen.
std::vector<Field> HttpFields(HttpServer::Options& options, uint16_t least_port);
// Records as problems of their keys what would keep the server from starting.
void ReadHttpOptions(ConfigReader& reader, uint16_t least_port, HttpServer::Options& options);

// Whether a server may listen so: with TLS, or on loopback, or because plain HTTP was allowed. kConfigInvalid.
Status CheckHttpExposure(const HttpServer::Options& options);

// "localhost", 127.0.0.0/8 and ::1. A name of another kind may lead anywhere.
bool IsLoopback(const std::string& host);

}  // namespace tributary
