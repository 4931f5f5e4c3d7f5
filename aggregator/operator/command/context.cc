#include "aggregator/operator/command/context.h"

#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "protocol/base/plain_text.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {
namespace {

ExitCode ExitCodeOf(Code code) {
  switch (code) {
    case Code::kNotFound:
    case Code::kUnknownTask:
    case Code::kUnknownVersion:
    case Code::kUnknownBlob:
    case Code::kMissingData:
      return ExitCode::kNotFound;
    case Code::kUnauthorized:
    case Code::kForbidden:
      return ExitCode::kUnauthorized;
    case Code::kUnreachable:
    case Code::kTimeout:
    case Code::kBusy:
    case Code::kShuttingDown:
      return ExitCode::kUnreachable;
    case Code::kInvalidArgument:
    case Code::kConfigSyntax:
    case Code::kConfigUnknownKey:
    case Code::kConfigInvalid:
      return ExitCode::kUsage;
    default:
      return ExitCode::kFailed;
  }
}

// Who chose the address, and how to choose another.
std::string UrlFrom(const std::string& url) {
  const char* given = std::getenv("TRIBUTARY_URL");
  if (given && url == given) return "from TRIBUTARY_URL; --url overrides it";
  return url == HttpClient::Options().url ? "the default; --url or TRIBUTARY_URL names another" : "from --url";
}

}  // namespace

Result<ApiClient> Context::Client() const {
  HttpClient::Options options{.url = url, .token = token, .ca_file = ca_file};
  options.url_from = UrlFrom(url);
  options.token_from = "the token is from --token";
  if (options.token.empty() && !token_file.empty()) {
    ASSIGN_OR_RETURN(const SecretBytes secret, ReadSecretFile(token_file));
    options.token = AsText(secret.RevealForUse());
    options.token_from = "the token is from " + token_file;
  } else if (const char* given = std::getenv("TRIBUTARY_TOKEN"); options.token.empty() && given) {
    options.token = given;
    options.token_from = "the token is from TRIBUTARY_TOKEN";
  }
  options.token.erase(options.token.find_last_not_of(" \t\r\n") + 1);
  if (options.token.find_first_of("\r\n") != std::string::npos) {
    return Fail(Code::kInvalidArgument, "the token has a line break in it");
  }
  if (options.token.empty())
    options.token_from = "no token was given; use --token-file FILE, --token or TRIBUTARY_TOKEN";
  return ApiClient::Create(options);
}

std::function<void()> Context::Run(std::function<Status()> action) {
  return [this, action = std::move(action)] {
    try {
      const Status status = action();
      if (!status) Report(status.error());
    } catch (const Json::exception& wrong) {
      Report({Code::kMalformed, fmt::format("the answer is not one of this version's API: {}", wrong.what())});
    }
  };
}

std::function<void()> Context::Ask(Question question, std::function<void(const Json&)> print) {
  return Run([this, question = std::move(question), print = std::move(print)]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, Client());
    ASSIGN_OR_RETURN(const Json answer, question(client));
    print(answer);
    return {};
  });
}

std::function<void()> Context::List(Question question, std::vector<Column> columns) {
  return Ask(std::move(question),
             [this, columns = std::move(columns)](const Json& answer) { PrintList(answer, columns); });
}

std::function<void()> Context::Show(Question question) {
  return Ask(std::move(question), [this](const Json& answer) { PrintObject(answer); });
}

std::function<void()> Context::Tell(Question question, std::function<std::string(const Json&)> tell) {
  return Ask(std::move(question), [this, tell = std::move(tell)](const Json& answer) {
    if (json()) return PrintObject(answer);
    Say(tell(answer));
  });
}

void Context::Report(const Error& error) {
  exit_code = ExitCodeOf(error.code);
  const CodeEntry& entry = Describe(error.code);
  if (json()) {
    const Json problem = {
        {"code", entry.name}, {"title", entry.sentence}, {"detail", error.message}, {"remedy", entry.remedy}};
    std::cerr << Dump(problem) << "\n";
    return;
  }
  std::cerr << "error: " << PlainText(error.message, LineBreaks::kKept) << "\n"
            << "  what happened  " << entry.sentence << "\n"
            << "  what to do     " << entry.remedy << "\n"
            << "  more           tributary explain " << entry.name << "\n";
}

void Context::PrintList(const Json& answer, const std::vector<Column>& columns) const {
  if (json()) {
    std::cout << PrettyJson(answer) << "\n";
  } else {
    std::cout << RenderTable(answer.value("items", Json::array()), columns);
  }
}

void Context::PrintObject(const Json& object) const {
  std::cout << (json() ? PrettyJson(object) + "\n" : RenderObject(object)) << std::flush;
}

void Context::Say(const std::string& line) const {
  if (!json()) std::cout << PlainText(line, LineBreaks::kKept) << std::endl;
}

CLI::App* AddGroup(CLI::App& parent, const std::string& name, const std::string& help) {
  CLI::App* group = parent.add_subcommand(name, help);
  return group->require_subcommand(1);
}

CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& help,
                     std::function<void()> callback) {
  return parent.add_subcommand(name, help)->callback(std::move(callback));
}

std::shared_ptr<std::string> RequiredName(CLI::App& command, const std::string& name, const std::string& help) {
  auto value = std::make_shared<std::string>();
  command.add_option(name, *value, help)->required();
  return value;
}

}  // namespace tributary
