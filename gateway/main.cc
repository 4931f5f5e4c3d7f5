#include "gateway/gateway.h"
#include "gateway/tools/tools.h"
#include "protocol/base/process/daemon.h"
#include "protocol/member/enrol_command.h"

namespace {

tributary::EnrolCommand GatewayEnrolment() {
  using namespace tributary;
  return {"tributary-gateway", {Role::kGateway}, [](const Path& config) -> Result<EnrolPlace> {
            ASSIGN_OR_RETURN(const GatewayOptions options, GatewayOptions::Load(config));
            return EnrolPlace{options.upstream, options.upstream_key, options.identity_dir};
          }};
}

}  // namespace

int main(int argc, char** argv) {
  using namespace tributary;
  if (IsEnrol(argc, argv)) return RunEnrol(GatewayEnrolment(), argc, argv);
  if (IsGatewayTool(argc, argv)) return RunGatewayTool(argc, argv);
  return RunDaemon<Gateway, GatewayOptions>(
      argc, argv, "tributary-gateway",
      "tributary-gateway: keeps the uploads of devices safe through outages and passes them on", GatewayManual());
}
