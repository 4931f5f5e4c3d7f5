#include "protocol/catalogue/module_archive.h"

#include <functional>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "protocol/catalogue/module_operators.h"
#include "protocol/catalogue/zip_records.h"
#include "tests/support/must.h"
#include "tests/support/outcome.h"
#include "tests/support/small_module.h"

namespace tributary::module_archive_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Files = std::map<std::string, std::string>;

void AppendU16(Bytes& to, size_t value) {
  to.push_back(static_cast<uint8_t>(value));
  to.push_back(static_cast<uint8_t>(value >> 8));
}

// The changes of a test to the zip archive that it writes.
struct ZipOptions {
  std::string top = "small/";
  uint16_t flags = 0;
  uint16_t method = 0;
  int64_t more_bytes = 0;  // on top of each record's size, in the directory only
  std::string comment = {};
  std::string other_local_name = {};  // instead of the name, in the first record's own header
};

Bytes Zip(const std::vector<std::pair<std::string, std::string>>& files, const ZipOptions& options = {}) {
  Bytes zip, directory;
  for (const auto& [name, content] : files) {
    const size_t at = zip.size();
    const std::string whole = options.top + name;
    const std::string local = at == 0 && !options.other_local_name.empty() ? options.other_local_name : whole;
    const auto head = [&](Bytes& to, const std::string& in_head, size_t size) {
      AppendU16(to, 20);
      AppendU16(to, options.flags);
      AppendU16(to, options.method);
      AppendU32(to, 0);
      AppendU32(to, 0);
      AppendU32(to, static_cast<uint32_t>(size));
      AppendU32(to, static_cast<uint32_t>(size));
      AppendU16(to, in_head.size());
      AppendU16(to, 0);
    };
    AppendU32(zip, 0x04034b50);
    head(zip, local, content.size());
    Append(zip, AsBytes(local));
    Append(zip, AsBytes(content));
    AppendU32(directory, 0x02014b50);
    AppendU16(directory, 20);
    head(directory, whole, content.size() + static_cast<size_t>(options.more_bytes));
    for (int i = 0; i < 3; ++i) AppendU16(directory, 0);
    AppendU32(directory, 0);
    AppendU32(directory, static_cast<uint32_t>(at));
    Append(directory, AsBytes(whole));
  }
  const size_t at = zip.size();
  Append(zip, directory);
  AppendU32(zip, 0x06054b50);
  AppendU32(zip, 0);
  AppendU16(zip, files.size());
  AppendU16(zip, files.size());
  AppendU32(zip, static_cast<uint32_t>(directory.size()));
  AppendU32(zip, static_cast<uint32_t>(at));
  AppendU16(zip, options.comment.size());
  Append(zip, AsBytes(options.comment));
  return zip;
}

Bytes Zip(const Files& files, const ZipOptions& options = {}) {
  return Zip(std::vector<std::pair<std::string, std::string>>(files.begin(), files.end()), options);
}

// With the zeros that stand in it.
template <size_t kSize>
std::string Raw(const char (&text)[kSize]) {
  return {text, kSize - 1};
}

Files SmallFiles() {
  Files files;
  const Bytes bytes = SmallModule();
  for (const ZipRecord& record : Must(ReadZipRecords(bytes, 100)))
    files[record.name] = Must(Unpack(record, limits::kMiB));
  return files;
}

// The small module with one text in it replaced by another.
Files With(const std::string& file, const std::string& old, const std::string& text) {
  Files files = SmallFiles();
  const size_t at = files.at(file).find(old);
  EXPECT_NE(at, std::string::npos) << old << " in " << files.at(file);
  files.at(file).replace(at, old.size(), text);
  return files;
}

std::string Why(const Bytes& archive) {
  const Status status = CheckModuleArchive(archive);
  return status ? "fine" : status.error().ToString();
}
std::string Why(const Files& files) { return Why(Zip(files)); }

constexpr const char* kCode = "code/__torch__.py";
constexpr const char* kData = "data.pkl";

TEST(ModuleArchive, TakesWhatTorchJitSaveWrites) {
  EXPECT_EQ(Why(SmallModule()), "fine");
  EXPECT_EQ(Why(SmallFiles()), "fine");  // zipped anew, nothing compressed
  EXPECT_EQ(Must(ManifestTextIn(SmallModule())), "{\"format\": \"tributary-task-1\"}\n");
  Files without = SmallFiles();
  without.erase("extra/tributary.json");
  EXPECT_EQ(Must(ManifestTextIn(Zip(without))), "");
  EXPECT_EQ(Why(without), "fine");
}

TEST(ModuleArchive, TellsTheModulesOwnMethodsFromThoseOfModulesWithinIt) {
  EXPECT_TRUE(Must(HasMethod(SmallModule(), "loss")));
  EXPECT_FALSE(Must(HasMethod(SmallModule(), "los")));
  EXPECT_FALSE(
      Must(HasMethod(Zip(With(kCode, "def loss(self: __torch__.Small,", "def loss(self: __torch__.Inner,")), "loss")));
  EXPECT_FALSE(Must(HasMethod(Zip(With(kCode, "def loss(", "def cost(")), "loss")));
  EXPECT_FALSE(HasMethod(ModuleVector("pickled.pt"), "loss"));
}

TEST(ModuleArchive, ATaskThatNamesNoModuleHasTheOneText) {
  const TaskManifest with;
  TaskManifest without;
  without.module = ModuleFormat::kNone;
  EXPECT_TRUE(CheckModuleOf(with, SmallModule()));
  EXPECT_TRUE(CheckModuleOf(without, AsBytes(kNoModule)));
  EXPECT_EQ(CheckModuleOf(with, AsBytes(kNoModule)).error().code, Code::kInvalidArgument);
  EXPECT_EQ(CheckModuleOf(without, SmallModule()).error().code, Code::kInvalidArgument);
  EXPECT_EQ(CheckModuleOf(without, {}).error().code, Code::kInvalidArgument);
}

TEST(ModuleArchive, SaysWhatAFileIsThatIsNoModule) {
  EXPECT_THAT(Why(Bytes()), HasSubstr("invalid-argument: not a TorchScript file: it is not a zip archive"));
  EXPECT_THAT(Why(ToBytes(AsBytes(std::string(500, 'x')))), HasSubstr("not a TorchScript file"));
  for (const char* name : {"pickled.pt", "state_dict.pt"}) {
    EXPECT_THAT(Why(ModuleVector(name)), AllOf(HasSubstr("invalid-argument"), HasSubstr("torch.save"),
                                               HasSubstr("torch.jit.script(model).save(\"model.pt\")")));
  }
  EXPECT_THAT(Why(ToBytes(AsBytes(std::string_view("\x80\x02}q\0.", 6)))),
              HasSubstr("a pickled module or a state_dict"));
  for (const char* name : {"version", "data.pkl"}) {
    Files files = SmallFiles();
    files.erase(name);
    EXPECT_THAT(Why(files), AllOf(HasSubstr("invalid-argument"), HasSubstr(name)));
  }
}

TEST(ModuleArchive, RefusesOtherVersionsOfTheFormat) {
  Files files = SmallFiles();
  for (const char* version : {"1", "3\n", "10\n"}) {
    files["version"] = version;
    EXPECT_EQ(Why(files), "fine") << version;
  }
  files["version"] = "11\n";
  EXPECT_THAT(Why(files),
              AllOf(HasSubstr("model-refused"), HasSubstr("written by a newer PyTorch"), HasSubstr("1.13")));
  files["version"] = "3";
  files[".data/version"] = "11";  // the one that LibTorch prefers
  EXPECT_THAT(Why(files), HasSubstr("newer PyTorch"));
  files.erase(".data/version");
  for (const char* version : {"", "x", "0", "-1", "3.5", "99999999999999"}) {
    files["version"] = version;
    EXPECT_THAT(Why(files), HasSubstr("version record")) << version;
  }
  files = SmallFiles();
  files["model.json"] = "{}";
  EXPECT_THAT(Why(files), AllOf(HasSubstr("model-refused"), HasSubstr("before 1.1")));
}

// ---- the zip archive: two readers must not see two archives

TEST(ModuleArchive, RefusesOddZipArchives) {
  const auto why = [](const ZipOptions& options) { return Why(Zip(SmallFiles(), options)); };
  EXPECT_EQ(why({.top = "any name/"}), "fine");
  EXPECT_THAT(why({.top = ""}), HasSubstr("top folder"));
  EXPECT_THAT(why({.top = "../x/"}), HasSubstr("odd name"));
  EXPECT_THAT(why({.top = "/x/"}), HasSubstr("odd name"));
  EXPECT_THAT(why({.flags = 1}), HasSubstr("encrypted"));
  EXPECT_THAT(why({.method = 12}), HasSubstr("compression"));
  EXPECT_THAT(why({.method = 8}), HasSubstr("compressed"));
  EXPECT_THAT(why({.more_bytes = 100'000}), HasSubstr("runs into the directory"));
  EXPECT_THAT(why({.more_bytes = int64_t{UINT32_MAX} - 35}), AllOf(HasSubstr("model-refused")));
  EXPECT_THAT(why({.comment = "PK\5\6"}), HasSubstr("invalid-argument"));
  EXPECT_THAT(why({.other_local_name = "small/other"}), HasSubstr("two names"));
  Bytes longer = Zip(SmallFiles());
  longer.push_back(0);
  EXPECT_THAT(Why(longer), HasSubstr("invalid-argument"));
  Bytes behind = SmallModule();
  behind.insert(behind.begin(), 4, 'x');
  EXPECT_THAT(Why(behind), HasSubstr("invalid-argument"));
}

// LibTorch takes a file with this mark for a flatbuffer, whose code it runs while it loads, whatever else the file is.
TEST(ModuleArchive, RefusesAZipThatIsAFlatbufferToo) {
  for (Bytes both : {SmallModule(), Zip(SmallFiles())}) {
    std::copy_n("PTMF", 4, both.begin() + 4);
    EXPECT_THAT(Why(both), HasSubstr("two headers differ"));
  }
  for (const size_t at : {4, 6, 8, 18, 22}) {
    Bytes bent = SmallModule();
    bent[at] ^= 0x41;
    EXPECT_THAT(Why(bent), HasSubstr("model-refused")) << at;
  }
}

TEST(ModuleArchive, RefusesTwoRecordsOfOneName) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& file : SmallFiles()) files.push_back(file);
  files.emplace_back("Data.PKL", "\x80\x02N.");  // LibTorch does not tell it from data.pkl
  EXPECT_THAT(Why(Zip(files)), HasSubstr("two records of one name"));
  files.back().first = "code/../data/0";
  EXPECT_THAT(Why(Zip(files)), HasSubstr("odd name"));
}

TEST(ModuleArchive, BoundsRecordsAndCode) {
  Files files = SmallFiles();
  for (int i = 0; i < 4096; ++i) files["extra/" + std::to_string(i)] = "";
  EXPECT_THAT(Why(files), HasSubstr("a model may have 4096"));
  files = SmallFiles();
  files["code/__torch__/long.py"] = std::string(limits::kMiB, '\n');
  EXPECT_THAT(Why(files), HasSubstr("too-large"));
  files = SmallFiles();
  files["extra/tributary.json"] = std::string(70'000, ' ');
  EXPECT_THAT(ManifestTextIn(Zip(files)).error().ToString(), HasSubstr("too-large"));
}

TEST(ModuleArchive, TruncationAtEveryLengthIsAnError) {
  const Bytes whole = SmallModule();
  for (size_t length = 0; length < whole.size(); length += 7) {
    EXPECT_FALSE(CheckModuleArchive(ByteView(whole).first(length))) << length;
  }
}

// ---- code that runs while the file is loaded

// Before this check, `tributary-device pack evil.pt` wrote the file that such a module names.
TEST(ModuleArchive, RefusesSetState) {
  const std::string why =
      Why(With(kCode, "  def loss(",
               "  def __setstate__(self: __torch__.Small,\n    a: int) -> NoneType:\n    return None\n  def loss("));
  EXPECT_THAT(why, AllOf(HasSubstr("model-refused: code/__torch__.py, line"), HasSubstr("__setstate__"),
                         HasSubstr("nothing was run"), HasSubstr("Take __getstate__")));
}

// LibTorch computes default values and class constants while it loads: the second of these wrote a file here.
TEST(ModuleArchive, RefusesComputedConstants) {
  for (const char* value : {"torch.save(torch.zeros([1]), \"x\")", "__torch__.evil(3)", "[__torch__.evil(3)][0]",
                            "(__torch__.f)(1)", "annotate(int, __torch__.evil())", "__torch__.annotate(1)", "1 + 2",
                            "CONSTANTS.c0.T", "x", "ops.aten.relu(1)", "[x for x in y]"}) {
    EXPECT_THAT(Why(With(kCode, "weight: float=0.5", std::string("weight: float=") + value)),
                HasSubstr("model-refused: code"))
        << value;
    EXPECT_THAT(Why(With(kCode, "  training : bool", std::string("  training : bool\n  k : Final[int] = ") + value)),
                HasSubstr("model-refused: code"))
        << value;
  }
  for (const char* value :
       {"-1.5", "1e-05", "inf", "\"a(b)\"", "[1, 2, ]", "annotate(List[int], [])", "torch.device(\"cpu\")", "None",
        "__torch__.Color.RED", "(1, True)", "{\"a\": 1}", "CONSTANTS.c0"}) {
    EXPECT_EQ(Why(With(kCode, "weight: float=0.5", std::string("weight: float=") + value)), "fine") << value;
  }
}

TEST(ModuleArchive, RefusesOperatorsByNameAndLine) {
  for (const char* call :
       {"torch.save(x, \"f\")", "ops.aten.from_file(\"f\")", "torch . from_file(\"f\")", "print(x)", "fork(x)",
        "ops.quantized.linear(x)", "getattr(torch, \"save\")", "ops", "__torch__.torch.classes.foo.Bar()",
        "torch._make_per_tensor_quantized_tensor(x)", "torch.sparse_coo_tensor(x)"}) {
    EXPECT_THAT(
        Why(With(kCode, "    layer = self.layer\n", std::string("    layer = self.layer\n    y = ") + call + "\n")),
        AllOf(HasSubstr("model-refused: code/__torch__.py, line"), HasSubstr("nothing was run")))
        << call;
  }
  const Files fine = With(kCode, "    layer = self.layer\n",
                          "    layer = self.layer\n    y = (self).save(x, \"torch.save(x)\", self.ops)\n");
  EXPECT_EQ(Why(fine), "fine");  // a method of the module, and a text
}

// Texts that LibTorch's lexer could read in another way than this one.
TEST(ModuleArchive, RefusesOddCode) {
  for (const char* text : {"\\\n", "# type: __torch__.X\n", "\"\"\"a\"\"\"\n", "\t1\n", "\"a\n", "(\n\0", ")\n",
                           "1.save\n", "0x10\n", "\xc3\xa4\n", "x; y\n"}) {
    Files files = SmallFiles();
    files.at(kCode) += text;
    EXPECT_THAT(Why(files), HasSubstr("model-refused: code/__torch__.py, line")) << text;
  }
  EXPECT_THAT(Why(With(kCode, ") -> Tensor:\n", ") -> Tensor: return x\n")), HasSubstr("behind the head"));
}

std::string Repeated(size_t count, const std::function<std::string(size_t)>& part) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += part(i);
  return text;
}

// LibTorch's parser calls itself for each part of a part, until its stack is full.
TEST(ModuleArchive, RefusesCodeThatIsNestedDeeply) {
  const std::string layer = "    layer = self.layer\n";
  const auto all = [](size_t count, const std::string& text) { return Repeated(count, [&](size_t) { return text; }); };
  const std::function<std::string(size_t)> kinds[] = {
      [&](size_t n) { return "    y = " + all(n, "(") + "x" + all(n, ")") + "\n"; },
      [&](size_t n) { return "    y = annotate(" + all(n, "List[") + "int" + all(n, "]") + ", [])\n"; },
      [&](size_t n) { return "    y = " + all(n, "-") + "x\n"; },
      [&](size_t n) { return "    y = " + all(n, "not ") + "x\n"; },
      [&](size_t n) { return "    y = " + all(n, "x+") + "x\n"; },
      [&](size_t n) { return "    y = x" + all(n, ".T") + "\n"; },
      [&](size_t n) { return "    y = x" + all(n, "[0]") + "\n"; },
      [&](size_t n) { return "    y = 1" + all(n, " if x else 1") + "\n"; },
      [&](size_t n) {
        return Repeated(n, [](size_t i) { return std::string(4 + i, ' ') + "if x:\n"; }) + std::string(4 + n, ' ') +
               "pass\n";
      },
      [&](size_t n) { return "    if x:\n      pass\n" + all(n, "    elif x:\n      pass\n"); },
  };
  for (const auto& kind : kinds) {
    EXPECT_EQ(Why(With(kCode, layer, layer + kind(20))), "fine") << kind(20);
    for (const size_t count : {300, 1'000}) {
      EXPECT_THAT(Why(With(kCode, layer, layer + kind(count))),
                  AllOf(HasSubstr("model-refused: code/__torch__.py, line"), HasSubstr("nested too deeply")))
          << kind(2);
    }
  }
  EXPECT_EQ(Why(With(kCode, layer, layer + "    y = [" + all(10'000, "(x), ") + "]\n" + all(10'000, layer))), "fine");
}

// ---- pickles

TEST(ModuleArchive, RefusesForeignGlobals) {
  for (const char* global : {"cposix\nsystem\n", "cbuiltins\neval\n", "c__torch__.torch.classes.foo\nBar\n",
                             "ctorch.distributed.rpc\nrref\n", "ctorch.jit._pickle\nbuild_tensor_from_id\n",
                             "c__torch__\na/b\n", "c__main__\nTensorID\n"}) {
    Files files = SmallFiles();
    files[kData] = "\x80\x02" + std::string(global) + ")R.";
    EXPECT_THAT(Why(files), AllOf(HasSubstr("model-refused: data.pkl names"), HasSubstr("nothing was loaded")))
        << global;
    files = SmallFiles();
    files["code/__torch__.py.debug_pkl"] = "\x80\x02" + std::string(global) + ")R.";
    EXPECT_THAT(Why(files), HasSubstr("model-refused: code/__torch__.py.debug_pkl names")) << global;
  }
}

TEST(ModuleArchive, RefusesPicklesThatLibTorchWouldTrust) {
  const std::pair<const char*, std::string> programs[] = {
      {"an unknown opcode", "\x93."},
      {"a text for a class (STACK_GLOBAL)", Raw("X\2\0\0\0osX\6\0\0\0system\x93.")},
      {"a number for a function", "K\0)R."},
      {"a number for a storage's type", Raw("(X\7\0\0\0storageK\6X\1\0\0\0"
                                            "0X\3\0\0\0cpuK\1tQ.")},
      {"a memo far away", Raw("Nr\xff\xff\xff\x7f.")},
      {"a memo that is not there", "h\5."},
      {"a value that is not there", "R."},
      {"a mark that is not there", "u."},
      {"no list", "N(Ne."},
      {"two values", "NN."},
      {"more behind it", "N.N"},
      {"no end", "N"},
      {"an empty program", ""},
  };
  for (const auto& [what, program] : programs) {
    Files files = SmallFiles();
    files[kData] = "\x80\x02" + program;
    EXPECT_THAT(Why(files), HasSubstr("model-refused: data.pkl")) << what;
  }
}

TEST(ModuleArchive, RefusesPicklesThatAreNestedDeeply) {
  const auto all = [](size_t count, const std::string& text) { return Repeated(count, [&](size_t) { return text; }); };
  const auto tagged = [](const std::string& type) {
    Bytes size;
    AppendU32(size, static_cast<uint32_t>(type.size()));
    return "ctorch.jit._pickle\nrestore_type_tag\n]X" + std::string(AsText(size)) + type + "\x86R";
  };
  const std::function<std::string(size_t)> kinds[] = {
      [&](size_t n) { return "N" + all(n, "\x85"); },
      [&](size_t n) { return all(n, "](") + "N" + all(n, "e"); },
      [&](size_t n) { return all(n, "}(N") + "N" + all(n, "u"); },
      [&](size_t n) { return all(n, "c__torch__\nSmall\n)\x81") + "N" + all(n, "b"); },
      [&](size_t n) { return all(n, "c__torch__\nSmall\n") + "N" + all(n, "R"); },
      [&](size_t n) { return tagged(all(n, "List[") + "int" + all(n, "]")); },
      [&](size_t n) { return tagged(all(n, "-") + "int"); },
      [&](size_t n) { return tagged("a" + all(n, ".a")); },
  };
  const auto why = [](const std::string& program) {
    Files files = SmallFiles();
    files["constants.pkl"] = "\x80\x02" + program + ".";
    return Why(files);
  };
  for (const auto& kind : kinds) {
    EXPECT_EQ(why(kind(50)), "fine") << kind(2);
    for (const size_t count : {600, 200'000}) {
      EXPECT_THAT(why(kind(count)), AllOf(HasSubstr("model-refused: constants.pkl"), HasSubstr("too deeply")))
          << kind(2);
    }
  }
  // A list that goes on growing after it was put into others, and one in itself.
  EXPECT_THAT(why(Raw("]q\0](h\0eq\1h\0(h\1e")), HasSubstr("fills a list or dictionary that it kept before"));
}

// LibTorch believes what the pickle says of a tensor's size: with a false one the model's weights are whatever lies
// behind them in memory.
TEST(ModuleArchive, RefusesTensorsOutsideOfTheirBytes) {
  Files files = SmallFiles();
  files.at("data/0").resize(40);
  EXPECT_THAT(Why(files), AllOf(HasSubstr("model-refused: data.pkl"), HasSubstr("storage 0 has 12 elements"),
                                HasSubstr("40 bytes")));
  files = SmallFiles();
  files.erase("data/0");
  EXPECT_THAT(Why(files), HasSubstr("storage 0 has 12 elements"));
  // The first tensor has sizes (3, 4) and strides (4, 1).
  const std::string sizes = Raw("(K\3K\4t"), strides = Raw("(K\4K\1t");
  EXPECT_THAT(Why(With(kData, sizes, Raw("(K\4K\4t"))), HasSubstr("outside of its storage of 12 elements"));
  EXPECT_THAT(Why(With(kData, strides, Raw("(K\5K\1t"))), HasSubstr("outside of its storage"));
  EXPECT_EQ(Why(With(kData, sizes, Raw("(K\2K\4t"))), "fine");
  const std::string minus("\xff\xff\xff\xff", 4);
  EXPECT_THAT(Why(With(kData, strides, "(J" + minus + "K\1t")), HasSubstr("outside of its storage"));
}

// ---- operators

TEST(ModuleOperators, AreAllowedByName) {
  for (const char* name :
       {"aten::relu", "aten::add_", "aten::lstm", "aten::dropout", "aten::__getitem__", "aten::_convolution",
        "aten::_transformer_encoder_layer_fwd", "aten::embedding", "aten::cross_entropy_loss", "aten::uniform_",
        "aten::values", "aten::backward", "prim::If", "prim::CallMethod", "prim::RaiseException"}) {
    EXPECT_TRUE(MayCallOperator(name)) << name;
  }
  for (const char* name : {"aten::save",
                           "aten::from_file",
                           "aten::set_",
                           "aten::resize_",
                           "aten::_resize_output_",
                           "aten::_unsafe_view",
                           "aten::_test_warn_in_autograd",
                           "aten::_sparse_coo_tensor_unsafe",
                           "aten::sparse_coo_tensor",
                           "aten::quantize_per_tensor",
                           "aten::cudnn_batch_norm",
                           "aten::relu6_backward",
                           "aten::wait",
                           "aten::variable_data",
                           "aten::searchsorted",
                           "prim::data",
                           "prim::fork",
                           "prim::Print",
                           "prim::rpc_async",
                           "prim::PythonOp",
                           "prims::add",
                           "c10d::send",
                           "quantized::linear",
                           "profiler::_record_function_enter",
                           "relu",
                           ""}) {
    EXPECT_FALSE(MayCallOperator(name)) << name;
  }
}

}  // namespace
}  // namespace tributary::module_archive_test
