#include "protocol/base/process/tools.h"

#include <algorithm>
#include <iostream>

#include <CLI/CLI.hpp>

#include "protocol/base/process/daemon.h"

namespace tributary {

bool IsTool(const ToolProgram& program, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word(argv[i]);
    if (word == "-c" || word == "--config") {
      ++i;  // its value
    } else if (std::ranges::find(program.commands, word) != program.commands.end()) {
      return true;
    }
  }
  return false;
}

int RunParsedTool(const ToolProgram& program, int argc, char** argv, const std::function<void(CLI::App&)>& add,
                  const std::function<Status(const Path& config)>& run) {
  Path config;
  CLI::App app(program.name + ": " + program.description, program.name);
  app.add_option("-c,--config", config, "The configuration file of the daemon (TOML)")->required();
  app.require_subcommand(1);
  app.fallthrough();
  add(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  const Status done = run(config);
  std::cout.flush();
  return done ? kExitOk : ExitWith(program.name, done.error());
}

}  // namespace tributary
