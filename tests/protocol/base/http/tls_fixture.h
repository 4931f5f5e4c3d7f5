#pragma once

#include <cstdlib>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "aggregator/operator/command/http_client.h"
#include "protocol/base/http/http_server.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary {

// A folder with the certificates and keys of one authority, ca.pem, made by the openssl command line.
class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    Run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 "
        "-subj /CN=ca");
    Issue("server", "subjectAltName=IP:127.0.0.1,DNS:localhost");
  }

  int TryRun(const std::string& command) {
    return std::system(("cd " + folder_.path().string() + " && (" + command + ") >log 2>&1 </dev/null").c_str());
  }
  void Run(const std::string& command) { ASSERT_EQ(TryRun(command), 0) << command; }
  // `name`.pem and `name`.key, signed by `by`, of so many days; -1: one that was over before it began.
  void Issue(const std::string& name, const std::string& extension, int days = 2, const std::string& by = "ca") {
    Run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout " + name + ".key -out " + name +
        ".csr -subj /CN=" + name);
    Run("printf '" + extension + "' > ext && openssl x509 -req -in " + name + ".csr -CA " + by + ".pem -CAkey " + by +
        ".key -CAcreateserial -days " + std::to_string(days) + " -extfile ext -out " + name + ".pem");
    Run("chmod 600 " + name + ".key");
  }

  HttpServer::Options Options(const std::string& name = "server") {
    HttpServer::Options options;
    options.tls_certificate = folder_ / (name + ".pem");
    options.tls_key = folder_ / (name + ".key");
    return options;
  }
  std::unique_ptr<HttpServer> Server(const HttpServer::Options& options) {
    auto server = std::make_unique<HttpServer>(options);
    server->Add("POST", "/echo", HttpAccess::kOpen, [](const HttpRequest& request) -> Result<HttpResponse> {
      return HttpResponse::Text(request.address + ":" + request.body);
    });
    return server;
  }
  HttpClient Client(const HttpServer& server, const std::string& host, const Path& ca) {
    return Must(HttpClient::Create({.url = "https://" + host + ":" + std::to_string(server.port()), .ca_file = ca}));
  }

  TemporaryFolder folder_;
};

}  // namespace tributary
