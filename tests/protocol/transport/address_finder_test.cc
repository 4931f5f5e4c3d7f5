#include "protocol/transport/address_finder.h"

#include <condition_variable>
#include <mutex>
#include <optional>

#include <gtest/gtest.h>

#include "protocol/transport/host_questions.h"
#include "tests/protocol/hop/hop_fixture.h"

namespace tributary::address_finder_test {
namespace {

std::string Form(const std::string& endpoint) {
  const auto parts = ParseTcpEndpoint(endpoint);
  if (!parts) return std::string(Name(parts.error().code));
  return parts->host + " " + parts->port + (parts->IsAddress() ? " address " : " name ") + parts->text();
}

TEST(TcpEndpoint, HasAHostAndAPort) {
  EXPECT_EQ(Form("tcp://127.0.0.1:7000"), "127.0.0.1 7000 address tcp://127.0.0.1:7000");
  EXPECT_EQ(Form("tcp://[::1]:7000"), "::1 7000 address tcp://[::1]:7000");
  EXPECT_EQ(Form("tcp://[fe80::1%eth0]:*"), "fe80::1%eth0 * address tcp://[fe80::1%eth0]:*");
  EXPECT_EQ(Form("tcp://gateway.example:7000"), "gateway.example 7000 name tcp://gateway.example:7000");
  EXPECT_EQ(Form("tcp://*:0"), "* 0 name tcp://*:0");
  for (const char* wrong : {"", "http://a:1", "tcp://a", "tcp://:1", "tcp://a:", "tcp://a:65536", "tcp://a:1x",
                            "tcp://::1:7000", "tcp://[::1:7000", "tcp://[gateway]:7000"}) {
    EXPECT_EQ(Form(wrong), "invalid-argument") << wrong;
  }
}

// A name service that says what the test says, when the test says so.
class NameService {
 public:
  AddressFinder::Ask ask() {
    return [this](const TcpEndpoint&) -> Result<std::vector<std::string>> {
      std::unique_lock lock(mutex_);
      ++asked_;
      changed_.wait(lock, [this] { return !silent_; });
      ++answered_;
      if (addresses_.empty()) return Fail(Code::kUnreachable, "no such name");
      return addresses_;
    };
  }
  void Say(std::vector<std::string> addresses) {
    const std::lock_guard lock(mutex_);
    silent_ = false;
    addresses_ = std::move(addresses);
    changed_.notify_all();
  }
  void SayNothing() {
    const std::lock_guard lock(mutex_);
    silent_ = true;
  }
  int asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  int answered() {
    const std::lock_guard lock(mutex_);
    return answered_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool silent_ = false;
  int asked_ = 0;
  int answered_ = 0;
  std::vector<std::string> addresses_;
};

class AddressFinderTest : public ::testing::Test {
 protected:
  ~AddressFinderTest() override {
    names_.Say({});
    EXPECT_TRUE(world_.RunUntil([&] { return names_.asked() == names_.answered(); }));
  }
  // The answer to the next attempt.
  std::string Next() {
    std::optional<std::string> given;
    finder_.Find([&](const Result<std::string>& found) { given = found ? *found : found.error().message; });
    world_.RunUntilWithTime([&] { return given.has_value(); });
    return given.value_or("nothing");
  }

  HopWorld world_;
  NameService names_;
  AddressFinder finder_{world_.loop, "tcp://gateway.example:7000", names_.ask()};
};

TEST_F(AddressFinderTest, GivesOneAddressAfterTheOtherUntilOneWorks) {
  names_.Say({"10.0.0.1", "fd00::2"});
  EXPECT_EQ(Next(), "tcp://10.0.0.1:7000");
  EXPECT_TRUE(finder_.HasOthers());
  EXPECT_EQ(Next(), "tcp://[fd00::2]:7000");
  finder_.Worked();
  EXPECT_EQ(Next(), "tcp://[fd00::2]:7000");
  EXPECT_EQ(Next(), "tcp://10.0.0.1:7000");
  EXPECT_EQ(names_.asked(), 4) << "each attempt asks again: the host may have moved";
  names_.Say({"10.0.0.9"});
  EXPECT_EQ(Next(), "tcp://10.0.0.9:7000");
}

TEST_F(AddressFinderTest, WaitsBoundedAndKeepsTheLastAnswer) {
  names_.Say({"10.0.0.1"});
  EXPECT_EQ(Next(), "tcp://10.0.0.1:7000");
  names_.SayNothing();
  const Millis before = world_.clock.Monotonic();
  EXPECT_EQ(Next(), "tcp://10.0.0.1:7000");
  EXPECT_GE(world_.clock.Monotonic() - before, AddressFinder::kPatience);
  EXPECT_EQ(Next(), "tcp://10.0.0.1:7000");
  EXPECT_EQ(names_.asked(), 2) << "one question at a time";
  names_.Say({});
  EXPECT_EQ(Next(), "tcp://10.0.0.1:7000");
}

TEST_F(AddressFinderTest, WithoutAnyAnswerSaysWhy) {
  names_.SayNothing();
  EXPECT_EQ(Next(), "the address of gateway.example is not known: no name server has answered for 5000 ms");
  names_.Say({});
  ASSERT_TRUE(world_.RunUntil([&] { return names_.answered() == 1; }));
  EXPECT_EQ(Next(), "the address of gateway.example is not known: no such name");
}

TEST_F(AddressFinderTest, AnAnswerThatComesAfterItsEndIsNobodys) {
  names_.SayNothing();
  auto brief = std::make_unique<AddressFinder>(world_.loop, "tcp://another.example:1", names_.ask());
  brief->Find([](const Result<std::string>&) { FAIL() << "nobody waits"; });
  ASSERT_TRUE(world_.RunUntil([&] { return names_.asked() == 1; }));
  brief.reset();
  names_.Say({"10.0.0.1"});
  EXPECT_EQ(Next(), "tcp://10.0.0.1:7000");
}

TEST_F(AddressFinderTest, AHostIsAskedForOnceHoweverManyWait) {
  names_.SayNothing();
  std::vector<std::unique_ptr<AddressFinder>> finders;
  std::vector<std::string> given;
  for (int port = 1; port <= 100; ++port) {
    finders.push_back(
        std::make_unique<AddressFinder>(world_.loop, fmt::format("tcp://gateway.example:{}", port), names_.ask()));
    finders.back()->Find([&](const Result<std::string>& found) { given.push_back(found ? *found : "nothing"); });
  }
  finders[2].reset();
  ASSERT_TRUE(world_.RunUntil([&] { return names_.asked() == 1; }));
  names_.Say({"10.0.0.1"});
  ASSERT_TRUE(world_.RunUntil([&] { return given.size() == 99; }));
  EXPECT_EQ(names_.asked(), 1);
  EXPECT_EQ(given[0], "tcp://10.0.0.1:1");
  EXPECT_EQ(given[2], "tcp://10.0.0.1:4");
  EXPECT_EQ(given[98], "tcp://10.0.0.1:100");
}

TEST_F(AddressFinderTest, ASilentNameServerHoldsAFewQuestionsAndTheOthersWait) {
  names_.SayNothing();
  std::vector<std::unique_ptr<AddressFinder>> finders;
  int given = 0;
  for (int host = 0; host < 20; ++host) {
    finders.push_back(
        std::make_unique<AddressFinder>(world_.loop, fmt::format("tcp://gateway-{}.example:1", host), names_.ask()));
    finders.back()->Find([&](const Result<std::string>& found) { given += found ? 1 : 0; });
  }
  constexpr int kMost = HostQuestions::kAtOnce;
  ASSERT_TRUE(world_.RunUntil([&] { return names_.asked() == kMost; }));
  finders[10].reset();
  names_.Say({"10.0.0.1"});
  ASSERT_TRUE(world_.RunUntil([&] { return given == 19; }));
  EXPECT_EQ(names_.asked(), 19) << "nobody asks for him who went away";
}

}  // namespace
}  // namespace tributary::address_finder_test
