#pragma once

namespace tributary {

// The subcommands beside the daemon: bundle, spool, rotate-key, dead-letter.
bool IsGatewayTool(int argc, char** argv);
// Parses the command line, does it, and answers the exit code.
int RunGatewayTool(int argc, char** argv);

}  // namespace tributary
