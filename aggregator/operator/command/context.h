#pragma once

#include <functional>
#include <string>

#include "aggregator/operator/command/api_client.h"
#include "aggregator/operator/command/table.h"

namespace tributary {

// How `tributary` ends; the other programs have the first three only (protocol/base/process/daemon.h). Stable: scripts
// rely on it.
enum class ExitCode { kOk = 0, kFailed = 1, kUsage = 2, kNotFound = 3, kUnauthorized = 4, kUnreachable = 5 };
ExitCode ExitCodeOf(Code code);

// Every subcommand shares this: the global options, and the ways to print answers and errors. A subcommand is registered
// with its callback set to `Run(…)`; main then exits with `exit_code`. Not thread safe.
struct Context {
  std::string url = "http://127.0.0.1:8080";
  std::string token;
  std::string token_file;
  std::string ca_file;           // PEM: the authorities to believe when the address is https
  std::string output = "table";  // or "json"
  ExitCode exit_code = ExitCode::kOk;

  bool json() const { return output == "json"; }
  // With the token from --token, --token-file or TRIBUTARY_TOKEN, in this order.
  Result<ApiClient> Client() const;
  Result<HttpClient::Options> ClientOptions() const;
  // Turns an action into a CLI11 callback: an error goes to standard error with a sentence and a remedy (with --output
  // json, as a JSON problem) and sets exit_code.
  std::function<void()> Run(std::function<Status()> action);
  void Report(const Error& error);
  // Prints the whole answer as JSON, or its items as a table.
  void PrintList(const Json& answer, const std::vector<Column>& columns) const;
  void PrintObject(const Json& object) const;
  // For people only: prints nothing with --output json.
  void Say(const std::string& line) const;
};

}  // namespace tributary
