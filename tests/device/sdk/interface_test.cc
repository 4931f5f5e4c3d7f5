#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>

#include "protocol/base/code.h"
#include "protocol/base/log.h"
#include "tests/device/sdk/application.h"
#include "tests/support/temporary_folder.h"

// What the C interface takes and refuses, without a fleet.
namespace tributary::interface_test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kHeader = TRIBUTARY_SOURCE_DIR "/device/sdk/include/tributary/tributary.h";

std::string TextOf(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class InterfaceTest : public testing::Test {
 protected:
  void SetUp() override { app_.Open(folder_ / "device"); }
  // Refuses with a sentence that names what is wrong.
  void Refuses(int answered, int code, const std::string& part) {
    EXPECT_EQ(answered, code) << app_.message();
    EXPECT_THAT(app_.message(), HasSubstr(part));
  }

  const TemporaryFolder folder_;
  Application app_;
};

TEST(InterfaceListTest, TheLibraryExportsWhatTheHeaderDeclaresAndNothingElse) {
  std::set<std::string> declared, listed, exported;
  const std::string header = TextOf(kHeader), map = TextOf(TRIBUTARY_SOURCE_DIR "/device/sdk/symbols.map");
  static const std::regex function(R"(\b(tributary_\w+)\()"), entry(R"(\n    (tributary_\w+);)");
  for (std::sregex_iterator at(header.begin(), header.end(), function), end; at != end; ++at) declared.insert((*at)[1]);
  for (std::sregex_iterator at(map.begin(), map.end(), entry), end; at != end; ++at) listed.insert((*at)[1]);
  FILE* pipe = popen("nm -D --defined-only " TRIBUTARY_BIN_DIR "/../lib/libtributary.so", "r");
  std::array<char, 512> line;
  while (fgets(line.data(), line.size(), pipe)) {
    std::istringstream words(line.data());
    std::string address, kind, name;
    words >> address >> kind >> name;
    if (kind != "A") exported.insert(name.substr(0, name.find('@')));  // A: the name of the list itself
  }
  EXPECT_EQ(pclose(pipe), 0);
  EXPECT_EQ(listed, declared);
  EXPECT_EQ(exported, declared);
  EXPECT_GT(declared.size(), 20u);
}

TEST(InterfaceListTest, ItsCodesAreThoseOfTheClosedList) {
  const std::string header = TextOf(kHeader);
  static const std::regex code(R"(\n  TRIBUTARY_(\w+) = (\d+),? )");
  size_t found = 0;
  const size_t begin = header.find("TRIBUTARY_OK"), end = header.find("typedef struct tributary_error");
  const std::string codes = header.substr(begin, end - begin);
  for (std::sregex_iterator at(codes.begin(), codes.end(), code), last; at != last; ++at, ++found) {
    std::string name = (*at)[1];
    std::ranges::transform(name, name.begin(), [](char c) { return c == '_' ? '-' : static_cast<char>(tolower(c)); });
    EXPECT_EQ(tributary_code_name(std::stoi((*at)[2])), name);
  }
  EXPECT_GT(found, 10u);
  for (const CodeEntry& entry : AllCodes()) {
    EXPECT_EQ(tributary_code_name(static_cast<int>(entry.code)), entry.name);
    EXPECT_THAT(tributary_code_explain(static_cast<int>(entry.code)), HasSubstr(std::string(entry.sentence)));
  }
  for (const int unknown : {-1, 49, 1'000'000}) {
    EXPECT_STREQ(tributary_code_name(unknown), "unknown");
    EXPECT_THAT(tributary_code_explain(unknown), HasSubstr("not know"));
  }
  EXPECT_STREQ(tributary_code_name(TRIBUTARY_OK), "ok");
  tributary_free(nullptr);
}

TEST_F(InterfaceTest, RefusesEveryNull) {
  tributary_device* const device = app_.get();
  tributary_device* opened = device;
  const tributary_options options{};
  uint64_t number = 7;
  char* text = app_.error()->message;
  auto* list = reinterpret_cast<tributary_collection_list*>(text);
  auto* prediction = reinterpret_cast<tributary_prediction*>(text);
  const tributary_collection collection{};
  const tributary_source source{};
  const tributary_tensor tensor{};
  const auto refuses = [&](int answered, const std::string& name) {
    Refuses(answered, TRIBUTARY_INVALID_ARGUMENT, name + " is NULL");
  };
  refuses(tributary_open(nullptr, &opened, app_.error()), "options");
  EXPECT_EQ(opened, nullptr);
  refuses(tributary_open(&options, nullptr, app_.error()), "device");
  EXPECT_EQ(tributary_close(nullptr, app_.error()), TRIBUTARY_OK);
  refuses(tributary_enrol(nullptr, "x", nullptr, 1, app_.error()), "device");
  refuses(tributary_enrol(device, nullptr, nullptr, 1, app_.error()), "invitation");
  refuses(tributary_set_events(nullptr, nullptr, nullptr, app_.error()), "device");
  refuses(tributary_set_conditions(nullptr, nullptr, nullptr, app_.error()), "device");
  refuses(tributary_start(nullptr, app_.error()), "device");
  uint32_t next = 7;
  refuses(tributary_tick(nullptr, 0, &next, app_.error()), "device");
  EXPECT_EQ(next, 0u);
  refuses(tributary_stop(nullptr, app_.error()), "device");
  refuses(tributary_status(nullptr, &text, app_.error()), "device");
  EXPECT_EQ(text, nullptr);
  refuses(tributary_status(device, nullptr, app_.error()), "json");
  refuses(tributary_create(nullptr, &collection, app_.error()), "device");
  refuses(tributary_create(device, nullptr, app_.error()), "collection");
  refuses(tributary_add(nullptr, "x", nullptr, 0, app_.error()), "device");
  refuses(tributary_add(device, nullptr, nullptr, 0, app_.error()), "collection");
  refuses(tributary_add(device, "x", nullptr, 1, app_.error()), "examples");
  for (const auto remove : {tributary_remove, tributary_remove_group}) {
    refuses(remove(nullptr, "x", "y", &number, app_.error()), "device");
    EXPECT_EQ(number, 0u);
    refuses(remove(device, nullptr, "y", nullptr, app_.error()), "collection");
    refuses(remove(device, "x", nullptr, nullptr, app_.error()), "id or group");
  }
  for (const auto empty : {tributary_clear, tributary_drop, tributary_count}) {
    refuses(empty(nullptr, "x", &number, app_.error()), "device");
    refuses(empty(device, nullptr, &number, app_.error()), "collection");
  }
  refuses(tributary_count(device, "x", nullptr, app_.error()), "examples");
  refuses(tributary_list(nullptr, &list, app_.error()), "device");
  EXPECT_EQ(list, nullptr);
  refuses(tributary_list(device, nullptr, app_.error()), "list");
  refuses(tributary_host(nullptr, &source, app_.error()), "device");
  refuses(tributary_host(device, nullptr, app_.error()), "source");
  for (const auto note : {tributary_host_changed, tributary_host_erased}) {
    refuses(note(nullptr, "x", app_.error()), "device");
    refuses(note(device, nullptr, app_.error()), "collection");
  }
  refuses(tributary_predict(nullptr, "line", &tensor, 1, &prediction, app_.error()), "device");
  EXPECT_EQ(prediction, nullptr);
  refuses(tributary_predict(device, nullptr, &tensor, 1, &prediction, app_.error()), "task");
  refuses(tributary_predict(device, "line", nullptr, 1, &prediction, app_.error()), "tensors");
  refuses(tributary_predict(device, "line", &tensor, 1, nullptr, app_.error()), "prediction");
  // Without a place for the sentence.
  EXPECT_EQ(tributary_start(nullptr, nullptr), TRIBUTARY_INVALID_ARGUMENT);
}

TEST_F(InterfaceTest, TakesStructsOfOlderAndNewerPrograms) {
  struct Newer {
    tributary_options options{};
    uint64_t wish = 0;
  } newer;
  const std::string folder = folder_ / "other";
  const auto open = [&] {
    tributary_device* device = nullptr;
    const int code = tributary_open(&newer.options, &device, app_.error());
    EXPECT_EQ(device != nullptr, code == TRIBUTARY_OK);
    EXPECT_EQ(tributary_close(device, nullptr), TRIBUTARY_OK);
    return code;
  };
  newer.options.folder = folder.c_str();
  Refuses(open(), TRIBUTARY_INVALID_ARGUMENT, "struct_size of options is 0");
  newer.options.struct_size = sizeof(newer);
  EXPECT_EQ(open(), TRIBUTARY_OK) << app_.message();
  newer.wish = 1;
  Refuses(open(), TRIBUTARY_INVALID_ARGUMENT, "does not know");
  newer.options.struct_size = sizeof(tributary_options);
  EXPECT_EQ(open(), TRIBUTARY_OK) << app_.message();
  // An older program's struct ended before this option; what lies behind it is not the option's.
  newer.options.outbox_max_mib = UINT64_MAX;
  Refuses(open(), TRIBUTARY_CONFIG_INVALID, "outbox_max_mib");
  newer.options.struct_size = offsetof(tributary_options, outbox_max_mib);
  EXPECT_EQ(open(), TRIBUTARY_OK) << app_.message();
  for (const uint32_t size : {1u, 3u, 7u, 9u, 1u << 20}) {
    newer.options.struct_size = size;
    Refuses(open(), TRIBUTARY_INVALID_ARGUMENT, "struct_size");
  }
  newer.options.struct_size = 8;  // before `folder`
  Refuses(open(), TRIBUTARY_INVALID_ARGUMENT, "options.folder is NULL");
}

TEST_F(InterfaceTest, AnErrorIsAsLongAsItsProgramSays) {
  struct Guarded {
    tributary_error error{};
    char guard = 'g';
  } told;
  const auto fail = [&] { return tributary_count(app_.get(), "no-such-collection", nullptr, &told.error); };
  told.error.message[0] = 'm';
  EXPECT_EQ(fail(), TRIBUTARY_INVALID_ARGUMENT);
  EXPECT_EQ(told.error.message[0], 'm') << "struct_size 0 has no room";
  told.error.struct_size = offsetof(tributary_error, message) + 4;
  std::ranges::fill(told.error.message, 'm');
  EXPECT_EQ(fail(), TRIBUTARY_INVALID_ARGUMENT);
  EXPECT_EQ(std::string(told.error.message, 5), std::string("exa\0m", 5));
  told.error.struct_size = sizeof(told) + 100;
  EXPECT_EQ(fail(), told.error.code);
  EXPECT_STREQ(told.error.message, "examples is NULL");
  EXPECT_EQ(told.guard, 'g');
}

TEST_F(InterfaceTest, AFolderIsOpenOnce) {
  tributary_options options{};
  options.struct_size = sizeof(options);
  const std::string folder = folder_ / "device";
  options.folder = folder.c_str();
  tributary_device* second = nullptr;
  Refuses(tributary_open(&options, &second, app_.error()), TRIBUTARY_LOCKED, "is open already");
  app_.Close();
  ASSERT_EQ(tributary_open(&options, &second, app_.error()), TRIBUTARY_OK) << app_.message();
  EXPECT_EQ(tributary_close(second, nullptr), TRIBUTARY_OK);
}

TEST_F(InterfaceTest, AWrongSettingIsNamed) {
  tributary_options options{};
  options.struct_size = sizeof(options);
  const std::string folder = folder_ / "other";
  options.folder = folder.c_str();
  tributary_device* device = nullptr;
  const auto open = [&] { return tributary_open(&options, &device, app_.error()); };
  options.gateway = "tcp://127.0.0.1:9";
  Refuses(open(), TRIBUTARY_CONFIG_INVALID, "server_key");
  options.server_key = "abc";
  Refuses(open(), TRIBUTARY_CONFIG_INVALID, "server_key");
  options.gateway = options.server_key = nullptr;
  options.learner_memory_mib = 1;
  Refuses(open(), TRIBUTARY_CONFIG_INVALID, "learner.memory_mib");
  options.learner_memory_mib = 0;
  options.folder = "";
  Refuses(open(), TRIBUTARY_CONFIG_INVALID, "folder");
  options.folder = "a\xff";
  Refuses(open(), TRIBUTARY_INVALID_ARGUMENT, "UTF-8");
  const std::string file = folder_ / "file";
  std::ofstream(file) << "x";
  options.folder = file.c_str();
  EXPECT_NE(open(), TRIBUTARY_OK);
  EXPECT_STRNE(app_.message().c_str(), "");
}

TEST_F(InterfaceTest, WithoutGatewayOrIdentityItSaysSo) {
  Refuses(tributary_start(app_.get(), app_.error()), TRIBUTARY_CONFIG_INVALID, "gateway");
  Refuses(tributary_tick(app_.get(), 0, nullptr, app_.error()), TRIBUTARY_CONFIG_INVALID, "gateway");
  Refuses(tributary_enrol(app_.get(), "x", nullptr, 0, app_.error()), TRIBUTARY_CONFIG_INVALID, "gateway");
  Application other;
  other.Open(folder_ / "other", "tcp://127.0.0.1:9", std::string(64, '1'));
  EXPECT_EQ(tributary_start(other.get(), other.error()), TRIBUTARY_MISSING_DATA) << other.message();
  EXPECT_EQ(tributary_enrol(other.get(), (folder_ / "no").c_str(), nullptr, 0, other.error()), TRIBUTARY_NOT_FOUND)
      << other.message();
  EXPECT_EQ(tributary_stop(other.get(), other.error()), TRIBUTARY_OK) << "nothing happens";
}

TEST_F(InterfaceTest, CollectionsAreMadeFilledListedAndEmptied) {
  ASSERT_EQ(app_.CreatePoints(), TRIBUTARY_OK) << app_.message();
  EXPECT_EQ(app_.CreatePoints(), TRIBUTARY_OK) << "again, with the same fields";
  ASSERT_EQ(app_.AddPoints(0, 50, true, app_.error()), TRIBUTARY_OK) << app_.message();
  EXPECT_EQ(app_.Count(), 50u);
  Refuses(app_.AddPoints(49, 60, true, app_.error()), TRIBUTARY_ALREADY_EXISTS, "p49");
  EXPECT_EQ(app_.Count(), 50u) << "all or nothing";
  ASSERT_EQ(app_.CreatePoints("another"), TRIBUTARY_OK);

  tributary_collection_list* list = nullptr;
  ASSERT_EQ(tributary_list(app_.get(), &list, app_.error()), TRIBUTARY_OK) << app_.message();
  ASSERT_EQ(list->count, 2u);
  EXPECT_STREQ(list->collections[0].name, "another");
  const tributary_collection& points = list->collections[1];
  EXPECT_STREQ(points.name, "points");
  EXPECT_EQ(list->examples[1], 50u);
  EXPECT_EQ(list->bytes[1], 600u);
  ASSERT_EQ(points.field_count, 2u);
  EXPECT_STREQ(points.fields[0].name, "x");
  EXPECT_EQ(points.fields[0].dtype, static_cast<uint32_t>(TRIBUTARY_FP32));
  ASSERT_EQ(points.fields[0].ndim, 1u);
  EXPECT_EQ(points.fields[0].shape[0], 2);
  EXPECT_EQ(points.fields[1].ndim, 0u);
  // What is listed can be created.
  EXPECT_EQ(tributary_create(app_.get(), &points, app_.error()), TRIBUTARY_OK) << app_.message();
  tributary_free(list);

  uint64_t removed = 0;
  EXPECT_EQ(tributary_remove(app_.get(), "points", "p7", &removed, app_.error()), TRIBUTARY_OK) << app_.message();
  EXPECT_EQ(removed, 1u);
  EXPECT_EQ(tributary_remove_group(app_.get(), "points", "nobody", &removed, app_.error()), TRIBUTARY_OK);
  EXPECT_EQ(removed, 0u);
  EXPECT_EQ(tributary_clear(app_.get(), "points", &removed, app_.error()), TRIBUTARY_OK);
  EXPECT_EQ(removed, 49u);
  EXPECT_EQ(tributary_drop(app_.get(), "points", nullptr, app_.error()), TRIBUTARY_OK);
  Refuses(tributary_count(app_.get(), "points", &removed, app_.error()), TRIBUTARY_NOT_FOUND, "points");

  char* json = nullptr;
  ASSERT_EQ(tributary_status(app_.get(), &json, app_.error()), TRIBUTARY_OK) << app_.message();
  EXPECT_THAT(json, HasSubstr(R"("runs":false)"));
  EXPECT_THAT(json, HasSubstr(R"("name":"another","examples":0)"));
  tributary_free(json);
}

TEST_F(InterfaceTest, AnExampleThatDoesNotFitIsRefusedWithoutItsValues) {
  ASSERT_EQ(app_.CreatePoints(), TRIBUTARY_OK);
  constexpr double kSecret = 31337.25;
  float x[] = {static_cast<float>(kSecret), static_cast<float>(kSecret)}, y = static_cast<float>(kSecret);
  const double wide = kSecret;
  const int64_t two[] = {2}, three[] = {3}, less[] = {-1}, huge[] = {INT64_MAX, INT64_MAX};
  const tributary_tensor good[] = {{"x", TRIBUTARY_FP32, 1, two, x, 8}, {"y", TRIBUTARY_FP32, 0, nullptr, &y, 4}};
  tributary_example example{};
  example.struct_size = sizeof(example);
  const auto refuses = [&](std::vector<tributary_tensor> tensors, int code, const std::string& part) {
    example.tensor_count = static_cast<uint32_t>(tensors.size());
    example.tensors = tensors.data();
    Refuses(tributary_add(app_.get(), "points", &example, 1, app_.error()), code, part);
    EXPECT_THAT(app_.message(), Not(HasSubstr("31337")));
    EXPECT_EQ(app_.Count(), 0u);
  };
  refuses({good[0]}, TRIBUTARY_MISSING_FIELD, "'y'");
  refuses({good[0], good[1], {"z", TRIBUTARY_FP32, 0, nullptr, &y, 4}}, TRIBUTARY_BAD_EXAMPLE, "'z'");
  refuses({good[0], good[1], good[1]}, TRIBUTARY_INVALID_ARGUMENT, "twice");
  refuses({good[0], {"y", TRIBUTARY_FP64, 0, nullptr, &wide, 8}}, TRIBUTARY_BAD_EXAMPLE, "FP64");
  refuses({good[0], {"y", TRIBUTARY_FP32, 0, nullptr, &y, 5}}, TRIBUTARY_BAD_EXAMPLE, "5 bytes");
  refuses({good[0], {"y", TRIBUTARY_FP32, 0, nullptr, nullptr, 4}}, TRIBUTARY_INVALID_ARGUMENT, "NULL");
  refuses({good[0], {nullptr, TRIBUTARY_FP32, 0, nullptr, &y, 4}}, TRIBUTARY_INVALID_ARGUMENT, "name");
  refuses({good[0], {"y", 0, 0, nullptr, &y, 4}}, TRIBUTARY_INVALID_ARGUMENT, "dtype 0");
  refuses({good[0], {"y", 99, 0, nullptr, &y, 4}}, TRIBUTARY_INVALID_ARGUMENT, "dtype 99");
  refuses({{"x", TRIBUTARY_FP32, 1, three, x, 12}, good[1]}, TRIBUTARY_BAD_EXAMPLE, "[3]");
  refuses({{"x", TRIBUTARY_FP32, 1, less, x, 8}, good[1]}, TRIBUTARY_INVALID_ARGUMENT, "[-1]");
  refuses({{"x", TRIBUTARY_FP32, 2, huge, x, 8}, good[1]}, TRIBUTARY_INVALID_ARGUMENT, "shape");
  refuses({{"x", TRIBUTARY_FP32, 1, nullptr, x, 8}, good[1]}, TRIBUTARY_INVALID_ARGUMENT, "shape");
  refuses({{"x", TRIBUTARY_FP32, 99, two, x, 8}, good[1]}, TRIBUTARY_INVALID_ARGUMENT, "dimensions");
  x[1] = NAN;
  refuses({good[0], good[1]}, TRIBUTARY_BAD_EXAMPLE, "finite");
  x[1] = 0;
  example.id = "#made";
  refuses({good[0], good[1]}, TRIBUTARY_INVALID_ARGUMENT, "'#'");
  example.id = "\xff";
  refuses({good[0], good[1]}, TRIBUTARY_INVALID_ARGUMENT, "UTF-8");
  example.id = nullptr;
  example.struct_size = 0;
  refuses({good[0], good[1]}, TRIBUTARY_INVALID_ARGUMENT, "struct_size");
}

TEST_F(InterfaceTest, AFieldMayVaryInLength) {
  const int64_t any[] = {-1};
  const tributary_field field = {"tokens", TRIBUTARY_INT64, 1, any};
  tributary_collection texts{};
  texts.struct_size = sizeof(texts);
  texts.field_count = 1;
  texts.name = "texts";
  texts.fields = &field;
  ASSERT_EQ(tributary_create(app_.get(), &texts, app_.error()), TRIBUTARY_OK) << app_.message();
  const int64_t tokens[] = {3, 1, 4};
  for (int64_t length = 0; length <= 3; ++length) {
    const tributary_tensor tensor = {"tokens", TRIBUTARY_INT64, 1, &length, length == 0 ? nullptr : tokens,
                                     static_cast<size_t>(length) * sizeof(int64_t)};
    tributary_example example{};
    example.struct_size = sizeof(example);
    example.tensor_count = 1;
    example.tensors = &tensor;
    EXPECT_EQ(tributary_add(app_.get(), "texts", &example, 1, app_.error()), TRIBUTARY_OK) << app_.message();
  }
  EXPECT_EQ(app_.Count("texts"), 4u);
}

TEST_F(InterfaceTest, ManyThreadsAddAtOnce) {
  ASSERT_EQ(app_.CreatePoints(), TRIBUTARY_OK);
  constexpr int kThreads = 4, kEach = 20;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const int first = (t * kEach + i) * 2;
        EXPECT_EQ(app_.AddPoints(first, first + 2, true), TRIBUTARY_OK);
        uint64_t count = 0;
        EXPECT_EQ(tributary_count(app_.get(), "points", &count, nullptr), TRIBUTARY_OK);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(app_.Count(), static_cast<uint64_t>(2 * kThreads * kEach));
}

TEST_F(InterfaceTest, WhatWasAddedIsThereAfterAKill) {
  const std::string folder = folder_ / "killed";
  const pid_t child = fork();
  if (child == 0) {
    Application app;
    app.Open(folder);
    app.CreatePoints();
    _exit(app.AddPoints(0, 30) == TRIBUTARY_OK ? 0 : 1);  // without any end
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  Application app;
  app.Open(folder);
  EXPECT_EQ(app.Count(), 30u);
}

TEST_F(InterfaceTest, TheLogGoesToWhoAsksForIt) {
  EXPECT_EQ(tributary_set_log(nullptr, nullptr, 0, app_.error()), TRIBUTARY_INVALID_ARGUMENT);
  EXPECT_EQ(tributary_set_log(nullptr, nullptr, 5, app_.error()), TRIBUTARY_INVALID_ARGUMENT);
  const auto take = [](void* user, int, const char* line) { static_cast<std::vector<std::string>*>(user)->push_back(line); };
  std::vector<std::string> lines;
  EXPECT_EQ(tributary_set_log(take, &lines, TRIBUTARY_LOG_INFO, app_.error()), TRIBUTARY_OK);
  EXPECT_EQ(tributary_set_log(nullptr, nullptr, TRIBUTARY_LOG_ERROR, app_.error()), TRIBUTARY_OK);
}

}  // namespace
}  // namespace tributary::interface_test
