#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "aggregator/operator/command/api_client.h"
#include "aggregator/operator/command/table.h"

namespace CLI {
class App;
}

namespace tributary {

// How `tributary` ends; the other programs have the first three only (protocol/base/process/daemon.h). Stable: scripts
// rely on it.
enum class ExitCode { kOk = 0, kFailed = 1, kUsage = 2, kNotFound = 3, kUnauthorized = 4, kUnreachable = 5 };

// Every subcommand shares this: the global options, and the ways to print answers and errors. A subcommand is registered
// with its callback set to `Run(…)`; main then exits with `exit_code`. Not thread safe.
struct Context {
  std::string url = HttpClient::Options().url;
  std::string token;
  std::string token_file;
  std::string ca_file;           // PEM: the authorities to believe when the address is https
  std::string output = "table";  // or "json"
  ExitCode exit_code = ExitCode::kOk;

  bool json() const { return output == "json"; }
  // With the token from --token, --token-file or TRIBUTARY_TOKEN, in this order.
  Result<ApiClient> Client() const;
  // Turns an action into a CLI11 callback: an error goes to standard error with a sentence and a remedy (with --output
  // json, as a JSON problem) and sets exit_code.
  std::function<void()> Run(std::function<Status()> action);
  void Report(const Error& error);

  // Callbacks as Run makes them, which ask the aggregator and print its answer: as a table, as an object, or what `tell`
  // says of it to people (with --output json, the object).
  using Question = std::function<Result<Json>(ApiClient&)>;
  std::function<void()> List(Question question, std::vector<Column> columns);
  std::function<void()> Show(Question question);
  std::function<void()> Tell(Question question, std::function<std::string(const Json&)> tell);

  // Prints the whole answer as JSON, or its items as a table.
  void PrintList(const Json& answer, const std::vector<Column>& columns) const;
  void PrintObject(const Json& object) const;
  // For people only: prints nothing with --output json.
  void Say(const std::string& line) const;
  template <class First, class... Rest>
  void Say(fmt::format_string<First, Rest...> text, First&& first, Rest&&... rest) const {
    Say(fmt::format(text, std::forward<First>(first), std::forward<Rest>(rest)...));
  }
  // The object with --output json, else the sentence.
  template <class... Args>
  void PrintOutcome(const Json& object, fmt::format_string<Args...> text, Args&&... args) const {
    if (json()) return PrintObject(object);
    Say(fmt::format(text, std::forward<Args>(args)...));
  }

 private:
  std::function<void()> Ask(Question question, std::function<void(const Json&)> print);
};

// A command that only groups others.
CLI::App* AddGroup(CLI::App& parent, const std::string& name, const std::string& help);

CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& help,
                     std::function<void()> callback);

// A command and its options, which live as long as its callback.
template <class Options>
struct CommandWith {
  CLI::App* command;
  Options& options;
};
// Its callback is `run(context, options)`, which gives a Status.
template <class Options, class Run>
CommandWith<Options> AddCommandWith(CLI::App& parent, Context& context, const std::string& name,
                                    const std::string& help, Run* run) {
  const auto options = std::make_shared<Options>();
  return {AddCommand(parent, name, help, context.Run([&context, options, run] { return run(context, *options); })),
          *options};
}

// The one argument that a subcommand cannot do without; it is there when the callback runs.
std::shared_ptr<std::string> RequiredName(CLI::App& command, const std::string& name, const std::string& help);

}  // namespace tributary
