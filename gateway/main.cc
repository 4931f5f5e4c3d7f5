#include "gateway/gateway.h"
#include "gateway/tools.h"
#include "protocol/base/daemon.h"

int main(int argc, char** argv) {
  using namespace tributary;
  if (IsGatewayTool(argc, argv)) return RunGatewayTool(argc, argv);
  return RunDaemon<Gateway, GatewayOptions>(
      argc, argv, "tributary-gateway",
      "tributary-gateway: keeps the uploads of devices safe through outages and passes them on", GatewayManual());
}
