#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"

namespace CLI {
class App;
}

namespace tributary {

// The commands for people beside a daemon: `PROGRAM --config FILE COMMAND …`. Most do their work through the running
// daemon, or beside it.
struct ToolProgram {
  std::string name;                        // "tributary-gateway"
  std::string description;                 // the first line of --help
  std::vector<std::string_view> commands;  // the first words that name a tool: "bundle"
};

// Whether the command line names one of the tools. The value of --config is not taken for one, whatever the file is
// called.
bool IsTool(const ToolProgram& program, int argc, char** argv);

// Parses the command line, does what it says, and answers the exit code. `add` adds the commands to the parser; `run`
// does the one that was chosen, with the configuration file.
int RunParsedTool(const ToolProgram& program, int argc, char** argv, const std::function<void(CLI::App&)>& add,
                  const std::function<Status(const Path& config)>& run);

// The same for a program whose Options has Load. The callback of each command that `add` adds must set the tool that it
// is given: what is to be done with the loaded options. The tool's output tells the story on standard output; the log
// of what it runs shows warnings only.
template <class Options>
using Tool = std::function<Status(const Options&)>;
template <class Options>
int RunTool(const ToolProgram& program, int argc, char** argv,
            const std::function<void(CLI::App&, Tool<Options>& chosen)>& add) {
  Tool<Options> chosen;
  return RunParsedTool(
      program, argc, argv, [&](CLI::App& app) { add(app, chosen); },
      [&](const Path& config) -> Status {
        ASSIGN_OR_RETURN(const Options options, Options::Load(config));
        RETURN_IF_ERROR(StartLog("warning", {}));
        return chosen(options);
      });
}

}  // namespace tributary
