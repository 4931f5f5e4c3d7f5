#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <regex>

#include <gmock/gmock.h>

#include "protocol/base/limits.h"
#include "tests/device/learn/learn_fixture.h"
#include "tests/support/sanitized.h"

// Learners that do what they must not, in Python: each is told apart, and the device goes on within a second.
namespace tributary::hostile_learner_test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using Steady = std::chrono::steady_clock;

// `now()` puts the moment of the deed among its last words.
constexpr std::string_view kPrelude = R"(
import ctypes, json, os, socket, struct, sys, time
agent = socket.socket(fileno=3)
inbox = agent.makefile("rb")
def say(kind, body=b"", **values):
    agent.sendall(json.dumps({"type": kind, "bytes": len(body), **values}).encode() + b"\n" + body)
def work():
    for line in inbox:
        message = json.loads(line)
        inbox.read(message["bytes"])
        if message["type"] == "hello":
            say("hello", protocol=1, formats=[], program="hostile")
        if message["type"] in ("learn", "evaluate"):
            return
def now():
    print("at", int(time.monotonic() * 1000), file=sys.stderr, flush=True)
learned = dict(examples=3, loss=0.5, steps=1, millis=1, peak_memory_bytes=1)
work()
)";

class HostileLearnerTest : public ::testing::Test {
 protected:
  Result<Learned> Run(const std::string& script, LearnerLimits limits = {}, const LearnHooks& hooks = {}) {
    const Path file = folder_ / "learner.py";
    std::ofstream(file) << kPrelude << script;
    ProcessLearner learner({"/usr/bin/python3", "-S", file.string()}, limits);
    auto learned = learner.Learn(fixture_.Order(), fixture_.examples, hooks);
    const auto end = std::chrono::duration_cast<Millis>(Steady::now().time_since_epoch());
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
    std::smatch at;
    if (!learned && std::regex_search(learned.error().message, at, std::regex("at (\\d+)"))) {
      EXPECT_LT(end.count() - std::stoll(at[1]), 1'000) << "the device waits";
    }
    return learned;
  }
  void Expect(Code code, const std::string& words, const std::string& script, LearnerLimits limits = {}) {
    const auto learned = Run(script, limits);
    ASSERT_FALSE(learned) << script;
    EXPECT_EQ(learned.error().code, code) << learned.error().ToString();
    EXPECT_THAT(learned.error().message, HasSubstr(words));
  }

  LearnFixture fixture_;
  TemporaryFolder folder_;
};

TEST_F(HostileLearnerTest, OneThatEndsIsCrashed) {
  Expect(Code::kLearnerCrashed, "exit code 3", "now()\nsys.exit(3)");
  Expect(Code::kLearnerCrashed, "exit code 0", "now()\nsys.exit(0)");
  Expect(Code::kLearnerCrashed, "SIGSEGV", "now()\nctypes.string_at(0)");
  Expect(Code::kLearnerCrashed, "SIGABRT", "now()\nos.abort()");
  Expect(Code::kLearnerCrashed, "the loss went through the roof",
         "now()\nraise Exception('the loss went through the roof')");
}

TEST_F(HostileLearnerTest, OneThatTakesTooLongIsTimedOut) {
  for (const std::string script : {"while True: pass", "time.sleep(1000)", "os.kill(os.getpid(), 19)",
                                   "while True: say('progress', steps=1, loss=0.5)"}) {
    const auto start = Steady::now();
    Expect(Code::kLearnerTimeout, "", script, {.wall = Millis(1'500)});
    EXPECT_LT(Steady::now() - start, Millis(2'500)) << script;
  }
}

TEST_F(HostileLearnerTest, OneThatEatsMemoryIsOutOfMemory) {
  if (kSanitized) GTEST_SKIP() << "its address space is not limited";
  Expect(Code::kLearnerMemory, "MemoryError", "hoard = []\nwhile True: hoard.append(bytearray(1 << 20))",
         {.memory_bytes = 300 * limits::kMiB});
  Expect(Code::kLearnerMemory, "SIGKILL", "now()\nos.kill(os.getpid(), 9)");
  Expect(Code::kLearnerMemory, "too large a batch",
         "say('error', code='learner-memory', message='too large a batch')\ntime.sleep(1000)");
}

TEST_F(HostileLearnerTest, OneThatAnswersNonsenseBreaksTheProtocol) {
  for (const std::string script :
       {"agent.sendall(b'\\x00\\xff garbage\\n')",
        "agent.sendall(b'{\"type\": \"learned\", ')",
        "agent.sendall(b'[]\\n')",
        "agent.sendall(b'{}\\n')",
        "say('dance')",
        "say('weights')",
        "say('learned')",
        "say('progress', steps=1, loss=0.5, body=b'1234')",
        "say('progress', steps=-1, loss=0.5)",
        "say('learned', bytes(5), **learned)",
        "say('learned', bytes(12), **{**learned, 'examples': 1000})",
        "say('learned', bytes(12), **{**learned, 'examples': 0})",
        "say('learned', bytes(12), **{**learned, 'loss': float('nan')})",
        "agent.sendall(b'{\"type\":\"learned\",\"bytes\":12,\"examples\":3,\"loss\":1,\"steps\":1,\"millis\":1,"
        "\"peak_memory_bytes\":1}\\n12345')",
        "say('evaluated', model='global', examples=5, millis=1, metrics={})",
        "say('evaluated', model='global', examples=5, millis=1, metrics={'loss': {'sum': 1, 'weight': -1}})",
        "say('evaluated', model='global', examples=500, millis=1, metrics={'loss': {'sum': 1, 'weight': 1}})",
        "say('evaluated', model='global', examples=1, millis=1, metrics={})\n"
        "say('evaluated', model='global', examples=1, millis=1, metrics={})",
        "say('personal', b'nonsense')\nsay('learned', bytes(12), **learned)",
        "agent.sendall(b'{\"type\": \"personal\", \"bytes\": 1000000000}\\n')",
        "say('personal', b'{\"format\":\"tributary-personal-1\",\"task\":\"line\",\"base\":6,\"strategy\":\"x\",\"choice\":\"x\","
        "\"examples\":0,\"global\":{},\"personal\":{},\"alpha\":0.5,\"generation\":0,\"lineage\":[],\"tensors\":[]}\\n')",
        "say('error', code='no-such-code', message='?')",
        "say('error', code='busy', message='later')",
        "while True: agent.sendall(b'x' * 1000000)",
        "agent.sendall(b'{' * 100000 + b'\\n')"}) {
    const auto learned = Run(script);
    ASSERT_FALSE(learned) << script;
    EXPECT_THAT(learned.error().code, AnyOf(Code::kLearnerProtocol, Code::kWrongTensorCount)) << script;
    EXPECT_EQ(learned.error().code == Code::kWrongTensorCount, script == "say('learned', bytes(5), **learned)")
        << script << ": " << learned.error().ToString();
  }
}

TEST_F(HostileLearnerTest, NumbersAreCountedAndLookedAt) {
  Expect(Code::kWrongTensorCount, "16 bytes for a model of 3 values", "say('learned', bytes(16), **learned)");
  Expect(Code::kWrongTensorCount, "4503599627370496",
         "agent.sendall(json.dumps({'type': 'learned', 'bytes': 1 << 52, **learned}).encode() + b'\\n')\n"
         "while True: agent.sendall(bytes(1000000))");
  Expect(Code::kNotFinite, "value 1", "say('learned', struct.pack('<fff', 0, float('nan'), 0), **learned)");
  Expect(Code::kNotFinite, "value 2", "say('learned', struct.pack('<fff', 0, 0, float('inf')), **learned)");
}

TEST_F(HostileLearnerTest, WhatItSaysOfTheWorkIsPassedOn) {
  Expect(Code::kModelRefused, "aten::save in forward",
         "say('error', code='model-refused', message='aten::save in forward')");
  Expect(Code::kBadExample, "the class 3", "say('error', code='bad-example', message='the class 3')");
  Expect(Code::kLearnerMemory, "failed to map segment",
         "os.write(2, b'libdnnl.so.2: failed to map segment from shared object')\nos._exit(127)");
}

TEST_F(HostileLearnerTest, OneThatClosesItsEndIsEnded) {
  Expect(Code::kLearnerProtocol, "closed its end", "now()\nos.close(3)\ninbox.close()\ntime.sleep(1000)");
}

TEST_F(HostileLearnerTest, OneThatIgnoresCancelIsEndedWithinASecond) {
  std::atomic<bool> began = false;
  std::optional<Steady::time_point> asked;
  const LearnHooks hooks{.cancelled =
                             [&] {
                               if (began && !asked) asked = Steady::now();
                               return began.load();
                             },
                         .progress = [&](uint64_t, double) { began = true; }};
  const auto learned = Run("say('progress', steps=1, loss=0.5)\nwhile True: time.sleep(1)", {}, hooks);
  ASSERT_FALSE(learned);
  EXPECT_EQ(learned.error().code, Code::kShuttingDown);
  EXPECT_LT(Steady::now() - asked.value(), Millis(1'000));
}

bool Lives(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string number, name, state;
  return stat >> number >> name >> state && state != "Z" && state != "X";
}

// How many processes of a group live.
size_t Members(pid_t group) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    count += pid > 0 && getpgid(pid) == group && Lives(pid);
  }
  return count;
}

TEST_F(HostileLearnerTest, NoChildOfItStays) {
  const std::string fork = R"(
child = os.fork()
if child == 0:
    while True: time.sleep(1)
print("child", child, file=sys.stderr, flush=True)
)";
  const std::string flee = R"(
try:
    os.setsid() if os.fork() == 0 else os.setpgid(0, os.getppid())
except PermissionError as refused:
    print("stays:", refused, file=sys.stderr, flush=True)
)";
  for (const std::string& script : {fork + "now()\nsys.exit(1)", fork + flee + "time.sleep(0.2)\nnow()\nsys.exit(1)"}) {
    const auto learned = Run(script);
    ASSERT_FALSE(learned);
    EXPECT_EQ(learned.error().code, Code::kLearnerCrashed) << learned.error().ToString();
    std::smatch child;
    ASSERT_TRUE(std::regex_search(learned.error().message, child, std::regex("child (\\d+)")))
        << learned.error().message;
    for (int i = 0; i < 1'000'000 && Lives(std::stoi(child[1])); ++i) sched_yield();
    EXPECT_FALSE(Lives(std::stoi(child[1])));
  }
}

TEST_F(HostileLearnerTest, NothingOfItOutlivesAnAgentThatIsKilled) {
  const std::string script = R"(
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
read, write = os.pipe()
if os.fork() == 0:
    os.fork()
    os.write(write, b"x")
else:
    os.read(read, 1), os.read(read, 1)
    say("progress", steps=os.getpgrp(), loss=0.5)
while True: time.sleep(1)
)";
  int told[2];
  ASSERT_EQ(pipe(told), 0);
  const pid_t agent = ::fork();
  if (agent == 0) {
    const LearnHooks hooks{.progress = [&](uint64_t group, double) { (void)!write(told[1], &group, sizeof(group)); }};
    (void)Run(script, {}, hooks);
    _exit(1);
  }
  uint64_t group = 0;
  ASSERT_EQ(read(told[0], &group, sizeof(group)), static_cast<ssize_t>(sizeof(group)));
  EXPECT_EQ(Members(static_cast<pid_t>(group)), 4u) << "the keeper, the learner, its child and the child's";
  kill(agent, SIGKILL);
  waitpid(agent, nullptr, 0);
  const auto killed = Steady::now();
  while (Members(static_cast<pid_t>(group)) > 0 && Steady::now() - killed < Millis(5'000)) sched_yield();
  EXPECT_EQ(Members(static_cast<pid_t>(group)), 0u);
  close(told[0]);
  close(told[1]);
}

TEST_F(HostileLearnerTest, ItChangesNothingOnTheDisk) {
  if (!KeepsFilesSafe()) GTEST_SKIP() << "this kernel has no Landlock";
  const Path file = folder_ / "file";
  std::ofstream(file) << "of the user";
  const auto before = std::filesystem::last_write_time(file);
  const std::string deeds = R"(
at = os.path.join(os.path.dirname(__file__), "")
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) == -1: raise OSError(ctypes.get_errno(), "")
name = (at + "file").encode()
how = struct.pack("QQQ", os.O_TRUNC, 0, 0)
deeds = dict(
    appends=lambda: open(at + "file", "a"), writes=lambda: open(at + "file", "w"), makes=lambda: open(at + "new", "w"),
    truncates=lambda: os.truncate(at + "file", 0), opens_empty=lambda: os.open(at + "file", os.O_RDONLY | os.O_TRUNC),
    opens_oddly=lambda: os.open(at + "file", 3 | os.O_TRUNC), opens_by_call=lambda: call(2, name, os.O_TRUNC),
    opens_newly=lambda: call(437, -100, name, how, 24), opens_for_all=lambda: call(0x40000002, name, os.O_TRUNC),
    removes=lambda: os.unlink(at + "file"), renames=lambda: os.rename(at + "file", at + "new"),
    links=lambda: os.link(at + "file", at + "new"), points=lambda: os.symlink("file", at + "new"),
    makes_folder=lambda: os.mkdir(at + "new"), removes_folder=lambda: os.rmdir(at + "folder"),
    makes_pipe=lambda: os.mkfifo(at + "new"), listens=lambda: socket.socket(socket.AF_UNIX).bind(at + "new"),
    modes=lambda: os.chmod(at + "file", 0), modes_newly=lambda: call(452, -100, name, 0, 0),
    owns=lambda: os.chown(at + "file", 1, 1),
    dates=lambda: os.utime(at + "file", (0, 0)), tags=lambda: os.setxattr(at + "file", "user.x", b"x"),
    goes_around=lambda: call(425, 1, bytes(200)), limits_others=lambda: call(302, 1, 7, bytes(16), None))
done = []
for deed, do in deeds.items():
    try:
        do()
        done.append(deed)
    except OSError: pass
open("/dev/null", "w").write("x")
print("tried", len(deeds), "and did", done, open(at + "file").read(), file=sys.stderr, flush=True)
sys.exit(1)
)";
  std::filesystem::create_directory(folder_ / "folder");
  Expect(Code::kLearnerCrashed, "tried 24 and did [] of the user", deeds);
  EXPECT_EQ(std::filesystem::last_write_time(file), before);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "folder"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "new"));
}

TEST_F(HostileLearnerTest, ItSeesNoMoreThanItNeeds) {
  setenv("TRIBUTARY_TEST_TOKEN", "secret", 1);
  Expect(Code::kLearnerCrashed, "fds ['0', '1', '2', '3'] secret None core 0 privileges 1",
         "import ctypes, resource\n"
         "fds = [d for d in sorted(os.listdir('/proc/self/fd')) if os.path.exists('/proc/self/fd/' + d)]\n"
         "print('fds', fds, 'secret', os.environ.get('TRIBUTARY_TEST_TOKEN'), 'core', "
         "resource.getrlimit(resource.RLIMIT_CORE)[0], 'privileges', ctypes.CDLL(None).prctl(39, 0, 0, 0, 0), "
         "file=sys.stderr, flush=True)\n"
         "sys.exit(1)");
}

TEST_F(HostileLearnerTest, AProgramThatIsNotThereIsNamed) {
  for (const std::string program : {"/nowhere/learner", "no-such-learner-program"}) {
    const auto learned = ProcessLearner({program}).Learn(fixture_.Order(), fixture_.examples, {});
    ASSERT_FALSE(learned);
    EXPECT_EQ(learned.error().code, Code::kChildFailed);
    EXPECT_THAT(learned.error().message, HasSubstr(program));
  }
}

}  // namespace
}  // namespace tributary::hostile_learner_test
