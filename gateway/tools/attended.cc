#include "gateway/tools/attended.h"

#include <thread>

#include "gateway/gateway.h"
#include "protocol/bundle/import_bundle.h"

namespace tributary {

Status WithGateway(const GatewayOptions& options, const Clock& clock, Random& random,
                   const std::function<Status(const std::string& endpoint)>& work) {
  GatewayOptions own = options;
  own.listen = "tcp://127.0.0.1:*";
  own.http.port = 0;
  own.connect_upstream = false;
  auto gateway = Gateway::Open(own, clock, random, RealFileSystem());
  if (!gateway && gateway.error().code == Code::kLocked) return work(LocalEndpoint(options.listen));
  if (!gateway) return Fail(gateway.error());
  std::thread running([&] { (*gateway)->Run(); });
  const Status done = work((*gateway)->endpoint());
  (*gateway)->Stop();
  running.join();
  return done;
}

}  // namespace tributary
