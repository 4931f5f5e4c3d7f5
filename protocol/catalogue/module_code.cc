#include "protocol/catalogue/module_code.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "protocol/catalogue/module_operators.h"

namespace tributary {
namespace {

enum class TokenKind : uint8_t { kName, kNumber, kString, kSign };

struct CodeToken {
  TokenKind kind = TokenKind::kSign;
  std::string_view text;
  size_t line = 0;
  bool Is(std::string_view what) const { return kind != TokenKind::kString && text == what; }
};

// A line up to a newline outside of brackets.
struct CodeLine {
  size_t indent = 0;
  std::vector<CodeToken> tokens;
  // The token there, or an empty one.
  CodeToken At(size_t i) const { return i < tokens.size() ? tokens[i] : CodeToken{}; }
};

bool IsDigit(char letter) { return letter >= '0' && letter <= '9'; }
bool BeginsName(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || letter == '_';
}
bool InName(char letter) { return BeginsName(letter) || IsDigit(letter); }

class CodeReader {
 public:
  CodeReader(std::string_view file, std::string_view text) : file_(file), rest_(text) {}

  // nullopt at the end of the text.
  Result<std::optional<CodeLine>> Next() {
    CodeLine line;
    int depth = 0;
    for (size_t blanks = 0; !rest_.empty();) {
      const char letter = rest_.front();
      if (letter == ' ') {
        ++blanks;
        rest_.remove_prefix(1);
      } else if (letter == '\n') {
        blanks = 0;
        ++number_;
        rest_.remove_prefix(1);
        if (depth == 0 && !line.tokens.empty()) return line;
      } else if (letter == '#' && !rest_.starts_with("# type:")) {
        rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
      } else {
        if (line.tokens.empty()) line.indent = blanks;
        ASSIGN_OR_RETURN(const CodeToken token, Take());
        if (token.kind == TokenKind::kSign && std::string_view("([{").find(letter) != std::string_view::npos) ++depth;
        if (token.kind == TokenKind::kSign && std::string_view(")]}").find(letter) != std::string_view::npos) --depth;
        if (depth < 0) return Odd("a bracket that nothing opens");
        line.tokens.push_back(token);
      }
    }
    if (depth != 0) return Odd("a bracket that nothing closes");
    if (line.tokens.empty()) return std::optional<CodeLine>();
    return line;
  }

 private:
  tl::unexpected<Error> Odd(std::string_view what) const {
    return Fail(Code::kModelRefused,
                "{}, line {}, has {}, as torch.jit.save never writes it; nothing was run. Save the model again with "
                "torch.jit.script(model).save(\"model.pt\")",
                file_, number_, what);
  }

  CodeToken Cut(TokenKind kind, size_t size) {
    const CodeToken token{kind, rest_.substr(0, size), number_};
    rest_.remove_prefix(size);
    return token;
  }

  Result<CodeToken> Take() {
    const char letter = rest_.front();
    const auto at = [&](size_t i) { return i < rest_.size() ? rest_[i] : '\0'; };
    if (letter == '"' || letter == '\'') return TakeString(letter);
    if (BeginsName(letter)) {
      return Cut(TokenKind::kName, std::find_if_not(rest_.begin(), rest_.end(), InName) - rest_.begin());
    }
    if (IsDigit(letter) || (letter == '.' && IsDigit(at(1)))) {
      size_t size = 0;
      const auto digits = [&] {
        while (IsDigit(at(size))) ++size;
      };
      digits();
      if (at(size) == '.') ++size, digits();
      const size_t sign = at(size + 1) == '-' || at(size + 1) == '+';
      if (at(size) == 'e' && IsDigit(at(size + 1 + sign))) size += 1 + sign, digits();
      if (at(size) == 'j') ++size;
      if (InName(at(size))) return Odd("a number of an odd form");
      return Cut(TokenKind::kNumber, size);
    }
    constexpr std::string_view kSigns = "+-*/%@()[]:,={}><.?!&^|~";
    if (kSigns.find(letter) == std::string_view::npos) return Odd("a character of an odd kind");
    return Cut(TokenKind::kSign, 1);
  }

  Result<CodeToken> TakeString(char quote) {
    if (rest_.substr(0, 3) == std::string(3, quote)) return Odd("a text in triple quotes");
    size_t end = 1;
    while (end < rest_.size() && rest_[end] != quote && rest_[end] != '\n') end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size() || rest_[end] != quote) return Odd("a text that does not end");
    const CodeToken token = Cut(TokenKind::kString, end + 1);
    // An escaped newline inside the quotes.
    if (token.text.find('\n') != std::string_view::npos) return Odd("a text of two lines");
    return token;
  }

  std::string_view file_;
  std::string_view rest_;
  size_t number_ = 1;
};

// ---- what a line may say

// With 8 MiB of stack LibTorch 1.13 reads 4000 brackets in brackets, and 2000 blocks in blocks. It writes lines of up to
// 23 parts, whatever the Python was, and a choice of n cases ("elif" in Python) as n blocks in blocks.
constexpr size_t kDeepestLine = 250, kDeepestBlock = 100;

class CodeCheck {
 public:
  explicit CodeCheck(std::string_view file) : file_(file) {}

  Status Check(const CodeLine& line) {
    // Of a function: run when it is called, which is after the graphs were checked.
    const bool inside = body_ && line.indent > *body_;
    if (!inside) Enter(line);
    RETURN_IF_ERROR(CheckDepth(line));
    RETURN_IF_ERROR(CheckNames(line));
    if (line.At(0).Is("def")) return CheckDefinition(line);
    if (inside) return {};
    if (line.At(0).Is("class")) return CheckOneLine(line);
    if (line.At(0).Is("import")) return {};
    // An attribute and its type; or a constant.
    const auto equals = std::ranges::find_if(line.tokens, [](const CodeToken& token) { return token.Is("="); });
    if (line.At(0).Is("__annotations__") || equals == line.tokens.end()) return {};
    return CheckConstant(line, static_cast<size_t>(equals - line.tokens.begin()) + 1, line.tokens.size());
  }

 private:
  void Enter(const CodeLine& line) {
    body_.reset();
    place_.clear();
    if (line.indent == 0) class_.clear();
    if (line.At(0).Is("class")) class_ = std::string(line.At(1).text) + ".";
    if (!line.At(0).Is("def")) return;
    body_ = line.indent;
    place_ = fmt::format(" ({}{})", class_, line.At(1).text);
  }

  tl::unexpected<Error> Refuse(const CodeToken& at, std::string_view what, std::string_view remedy) const {
    return Fail(Code::kModelRefused, "{}, line {}{}, {}; nothing was run. {}", file_, at.line, place_, what, remedy);
  }

  // LibTorch's parser and compiler call themselves for each part of a part: for a block in a block, and in a line for
  // what stands within brackets, or one behind the other without a comma.
  Status CheckDepth(const CodeLine& line) {
    const size_t is_elif = line.At(0).Is("elif");  // LibTorch makes it a block in the one before
    while (!blocks_.empty() && line.indent + is_elif <= blocks_.back()) blocks_.pop_back();
    blocks_.push_back(line.indent);
    size_t depth = 0;
    std::vector<size_t> parts = {0};  // of each open bracket
    for (const CodeToken& token : line.tokens) {
      const bool closes = token.Is(")") || token.Is("]") || token.Is("}");
      if (closes || token.Is(",")) {
        depth -= std::exchange(parts.back(), 0);
        if (closes) parts.pop_back();
        continue;
      }
      ++depth;
      ++parts.back();
      if (token.Is("(") || token.Is("[") || token.Is("{")) parts.push_back(0);
      if (depth > kDeepestLine || blocks_.size() > kDeepestBlock) {
        return Refuse(token, "is nested too deeply for LibTorch to read",
                      "Compute it in steps, each a line or a method of its own");
      }
    }
    return {};
  }

  Status CheckOneLine(const CodeLine& line) const {
    if (line.tokens.back().Is(":")) return {};
    return Refuse(line.tokens.back(), "has code behind the head of a class or function",
                  "Save the model again with torch.jit.script(model).save(\"model.pt\")");
  }

  Status CheckNames(const CodeLine& line) const {
    for (size_t i = 0; i < line.tokens.size(); ++i) {
      const CodeToken& token = line.tokens[i];
      if (token.kind != TokenKind::kName) continue;
      if (token.text == "__setstate__") {
        return Refuse(token, "defines __setstate__, which runs while the file is loaded",
                      "Take __getstate__ and __setstate__ out of the class and keep the state in attributes");
      }
      if (i > 0 && line.tokens[i - 1].Is(".")) {
        if (token.text == "classes" && line.At(i - 2).Is("torch")) {
          return Refuse(token, "uses a class of torch.classes, whose C++ code runs while the file is loaded",
                        "Take the class out of the model; quantised modules are of this kind");
        }
        continue;
      }
      std::string name;
      size_t parts = 0;
      if (i == 0 && line.At(1).Is(":")) continue;  // an attribute's name and type: "ops : Tensor"
      if (token.text == "torch") name = "aten::", parts = 1;
      if (token.text == "ops") parts = 2;
      if (parts == 0 && IsSpecial(line, i)) name = "prim::" + std::string(token.text);
      for (size_t part = 1; part <= parts; ++part) {
        const CodeToken next = line.At(i + 2 * part);
        if (!line.At(i + 2 * part - 1).Is(".") || next.kind != TokenKind::kName) {
          return Refuse(token, "names torch or ops without an operator", "Save the model again with torch.jit.script");
        }
        name += std::string(next.text) + (part < parts ? "::" : "");
      }
      if (name.empty() || MayCallOperator(name)) continue;
      return Refuse(token, fmt::format("calls {}, which no model may call", name),
                    "Take it out of the model; a model computes with the tensors that it is given");
    }
    return {};
  }

  // Names that TorchScript knows without a module before them, and whose operators are refused.
  static bool IsSpecial(const CodeLine& line, size_t at) {
    static const std::set<std::string_view> kSpecial = {"fork", "print", "rpc_async", "rpc_remote", "rpc_sync"};
    return line.At(at + 1).Is("(") && kSpecial.contains(line.tokens[at].text) &&
           !(at > 0 && line.tokens[at - 1].Is("def"));
  }

  // def name(argument: type=constant, …) -> type:
  Status CheckDefinition(const CodeLine& line) const {
    RETURN_IF_ERROR(CheckOneLine(line));
    int depth = 0;
    size_t constant = 0;  // where it begins; 0: there is none
    for (size_t i = 1; i < line.tokens.size(); ++i) {
      if (line.tokens[i].kind != TokenKind::kSign) continue;
      const char sign = line.tokens[i].text.front();
      const bool closes = sign == ')' || sign == ']' || sign == '}';
      if (constant != 0 && depth == 1 && (sign == ',' || closes)) {
        RETURN_IF_ERROR(CheckConstant(line, constant, i));
        constant = 0;
      }
      depth += (sign == '(' || sign == '[' || sign == '{') - closes;
      if (sign == '=' && constant == 0) constant = i + 1;
    }
    return constant != 0 ? CheckConstant(line, constant, line.tokens.size()) : Status();
  }

  // Numbers, texts, None and the like, names of the archive's own classes, and containers of these. No calls.
  Status CheckConstant(const CodeLine& line, size_t begin, size_t end) const {
    static const std::set<std::string_view> kWords = {"Any",      "Device",   "Dict",    "False",  "List",  "None",
                                                      "NoneType", "Optional", "Tensor",  "True",   "Tuple", "Union",
                                                      "annotate", "bool",     "complex", "float",  "inf",   "infj",
                                                      "int",      "nan",      "nanj",    "number", "str"};
    bool may_be_called = false;  // the name before this token
    for (size_t i = begin; i < end; ++i) {
      const CodeToken& token = line.tokens[i];
      const auto dot = [&] { return line.At(i + 1).Is(".") && line.At(i + 2).kind == TokenKind::kName; };
      bool right = true;
      if (token.kind == TokenKind::kName) {
        if (token.text == "__torch__") {  // a class or an enumeration's value, with all its dots
          while (dot()) i += 2;
        } else if (dot() && (token.text == "CONSTANTS" || (token.text == "torch" && line.At(i + 2).Is("device")))) {
          may_be_called = token.text == "torch";
          i += 2;
          continue;
        } else {
          right = kWords.contains(token.text);
        }
      } else if (token.Is("(") && i > begin) {  // around values, or a call
        const CodeToken& before = line.tokens[i - 1];
        const bool is_call = before.kind != TokenKind::kSign || before.Is(")") || before.Is("]") || before.Is("}");
        right = !is_call || may_be_called;
      } else if (token.kind == TokenKind::kSign) {
        right = std::string_view("()[]{},:-").find(token.text) != std::string_view::npos;
      }
      may_be_called = token.Is("annotate");
      if (!right) {
        return Refuse(
            token,
            fmt::format("computes a default value or a constant while the file is loaded (at \"{}\")", token.text),
            "Write the value as a number, a text or a list of them");
      }
    }
    return {};
  }

  std::string_view file_;
  std::vector<size_t> blocks_;  // the indentation of each that is open
  std::optional<size_t> body_;  // the indentation of the function that lines further in belong to
  std::string class_, place_;   // for messages: "Net." and " (Net.forward)"
};

}  // namespace

Status CheckModuleCode(std::string_view file, std::string_view text) {
  CodeReader reader(file, text);
  CodeCheck check(file);
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<CodeLine> line, reader.Next());
    if (!line) return {};
    RETURN_IF_ERROR(check.Check(*line));
  }
}

}  // namespace tributary
