#include "pipeline/shared_allowance.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "embedflow/log.h"

namespace embedflow {
namespace {

using std::chrono::milliseconds;

constexpr TimePoint kStart{std::chrono::hours(1)};
const std::string kId = "00112233445566778899aabbccddeeff";

TimePoint At(double seconds) {
  return kStart + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

double SecondsSince(TimePoint when) { return std::chrono::duration<double>(when - kStart).count(); }

class SharedAllowanceTest : public testing::Test {
 protected:
  SharedAllowanceTest() {
    std::string name = testing::TempDir() + "allowance.XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    flow_.allowance_directory = root_ / "shared";
    flow_.requests_per_minute = 600;
    SetLogSink([this](LogLevel level, std::string_view message) {
      if (level == LogLevel::kWarning) warnings_.emplace_back(message);
    });
  }
  ~SharedAllowanceTest() override {
    SetLogSink({});
    std::filesystem::remove_all(root_);
  }

  std::unique_ptr<Allowance> Open(double at = 0) const {
    return OpenAllowance(flow_, kId, true, At(at));
  }
  std::filesystem::path File() const { return root_ / "shared" / (kId + ".allowance"); }
  // Two allowances know of each other if what one takes makes the other wait.
  static bool Share(Allowance* one, Allowance* other, double at) {
    EXPECT_FALSE(one->Take({}, At(at)));
    return other->Take({}, At(at)).has_value();
  }

  std::filesystem::path root_;
  FlowOptions flow_;
  std::vector<std::string> warnings_;
};

// Takes whatever may be taken for `span` of the manual clock, turn by turn; returns when.
std::vector<double> TakeByTurns(std::vector<Allowance*> allowances, double from, double span) {
  std::vector<double> times;
  for (double now = from; now < from + span;) {
    double next = from + span;
    for (Allowance* allowance : allowances) {
      if (const auto again = allowance->Take({}, At(now))) {
        next = std::min(next, SecondsSince(*again));
      } else {
        times.push_back(now);
        next = now;
      }
    }
    now = next;
  }
  return times;
}

TEST_F(SharedAllowanceTest, TwoTogetherGetWhatOneWouldGet) {
  const auto one = Open(), other = Open();
  const std::vector<double> together = TakeByTurns({one.get(), other.get()}, 0, 120);
  EXPECT_LE(together.size(), 1200u);
  EXPECT_GE(together.size(), 1200u * 98 / 100);
  for (std::size_t i = 1; i < together.size(); ++i) EXPECT_GE(together[i] - together[i - 1], 0.09);
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(SharedAllowanceTest, AllNewsReachTheOther) {
  flow_.model_tokens_per_minute = 60000;
  const auto one = Open(), other = Open();
  ASSERT_FALSE(one->Take({1, 0, 1000}, At(0)));
  one->Settle({1, 0, 1000}, {1, 0, 9000}, At(0.5));
  const auto settled = other->Take({1, 0, 10}, At(0.5));
  ASSERT_TRUE(settled);
  EXPECT_NEAR(SecondsSince(*settled), 9 / 0.99, 0.2);
  one->Pause(At(50), false, At(20));
  const auto paused = other->Take({1, 0, 10}, At(20));
  ASSERT_TRUE(paused);
  EXPECT_NEAR(SecondsSince(*paused), 50, 0.01);
  one->Feed({{60.0, {}, {}}, {}}, {0, 0, 0}, At(60));
  EXPECT_NEAR(static_cast<double>(TakeByTurns({other.get()}, 100, 60).size()), 60, 2);
}

TEST_F(SharedAllowanceTest, ThoseWhoComeLaterFindTheStateOfThoseWhoLeft) {
  {
    const auto one = Open();
    ASSERT_FALSE(one->Take({600, 0, 0}, At(0)));  // The whole minute.
  }
  const auto again = Open(1)->Take({}, At(1));
  ASSERT_TRUE(again);
  EXPECT_GT(SecondsSince(*again), 58);
}

TEST_F(SharedAllowanceTest, OtherKeysAreOtherAllowances) {
  const auto one = Open();
  const auto other = OpenAllowance(flow_, "ffeeddccbbaa99887766554433221100", true, kStart);
  EXPECT_FALSE(Share(one.get(), other.get(), 0));
}

TEST_F(SharedAllowanceTest, NotSharedWhereNotAskedForOrNameless) {
  const auto one = OpenAllowance(flow_, "", true, kStart);
  const auto other = OpenAllowance(flow_, "", true, kStart);
  EXPECT_FALSE(Share(one.get(), other.get(), 0));
  flow_.allowance_is_shared = false;
  EXPECT_FALSE(Share(Open().get(), Open().get(), 0));
  EXPECT_FALSE(std::filesystem::exists(root_ / "shared"));
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(SharedAllowanceTest, OtherLimitsForgetNoUse) {
  const auto wide = Open();
  flow_.requests_per_minute = 60;
  const auto narrow = Open();
  for (int i = 0; i < 30; ++i) {
    const std::vector<double> times = TakeByTurns({wide.get()}, i * 0.2, 0.2);
    EXPECT_GE(times.size(), 1u);
  }
  // 60 or so went in 6 s: for the narrow one that is its minute.
  const auto again = narrow->Take({}, At(6));
  ASSERT_TRUE(again);
  EXPECT_GT(SecondsSince(*again), 50);
}

TEST_F(SharedAllowanceTest, OtherLimitsForgetNoHeadersAndNoRamp) {
  const auto wide = Open();
  flow_.requests_per_minute = 480;
  const auto narrow = Open();
  wide->Feed({{120.0, {}, {}}, {}}, {0, 0, 0}, At(0));
  EXPECT_NEAR(static_cast<double>(TakeByTurns({wide.get(), narrow.get()}, 0, 60).size()), 119, 3);
  wide->Pause(At(61), true, At(60));
  EXPECT_NEAR(static_cast<double>(TakeByTurns({wide.get(), narrow.get()}, 200, 60).size()), 64, 4);
}

TEST_F(SharedAllowanceTest, DirectoryAndFileAreOursAlone) {
  const auto one = Open();
  one->Take({}, kStart);
  struct stat about {};
  ASSERT_EQ(stat((root_ / "shared").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0700u);
  ASSERT_EQ(stat(File().c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  // The name is the hash and nothing else is in the directory.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(root_ / "shared"), {}), 1);
}

TEST_F(SharedAllowanceTest, AnIdThatIsNoPlainNameStaysInTheDirectory) {
  for (const std::string& id : {std::string("../../escaped"), std::string("a/b"), std::string("."),
                                std::string(4000, 'a'), std::string("a\0b", 3)}) {
    const auto one = OpenAllowance(flow_, id, true, kStart);
    const auto other = OpenAllowance(flow_, id, true, kStart);
    EXPECT_TRUE(Share(one.get(), other.get(), 0));
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(root_), {}), 1);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(root_ / "shared"), {}), 5);
}

TEST_F(SharedAllowanceTest, EveryDamageBeginsAnew) {
  const auto write = [&](const std::string& bytes) {
    std::ofstream(File(), std::ios::binary | std::ios::trunc) << bytes;
  };
  {
    const auto one = Open();
    ASSERT_FALSE(one->Take({600, 0, 0}, kStart));
  }
  std::string good;
  {
    std::ifstream file(File(), std::ios::binary);
    good.assign(std::istreambuf_iterator<char>(file), {});
  }
  ASSERT_GT(good.size(), 1000u);
  EXPECT_TRUE(Open(1)->Take({}, At(1)));  // It is good.
  // Any flipped bit, any cut; and a file of something else.
  for (std::size_t i = 0; i < good.size(); i += 37) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
    write(bad);
    EXPECT_FALSE(Open(1)->Take({}, At(1))) << "byte " << i;
    write(good.substr(0, i));
    EXPECT_FALSE(Open(1)->Take({}, At(1))) << "cut at " << i;
  }
  write(std::string(1 << 20, 'x'));
  EXPECT_FALSE(Open(1)->Take({}, At(1)));
  // What was begun anew is shared again.
  EXPECT_TRUE(Open(1)->Take({}, At(1)));
  // A state from the far future is of another clock.
  write(good);
  EXPECT_FALSE(Open(-1000)->Take({}, At(-1000)));
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(SharedAllowanceTest, AFileThatWasTidiedAwayIsMadeAgain) {
  const auto one = Open(), other = Open();
  EXPECT_TRUE(Share(one.get(), other.get(), 0));
  std::filesystem::remove(File());
  EXPECT_FALSE(one->Take({}, At(10)));
  EXPECT_TRUE(other->Take({}, At(10)));
  EXPECT_TRUE(std::filesystem::exists(File()));
}

TEST_F(SharedAllowanceTest, UnderContentionItAsksAgainSoonAndKeepsTheNews) {
  const auto one = Open();
  const auto other = Open();
  const FileDescriptor held(open(File().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(flock(held.get(), LOCK_EX), 0);
  const auto again = one->Take({}, At(0));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, At(0) + milliseconds(1));
  one->Settle({0, 0, 0}, {300, 0, 0}, At(0));
  one->Settle({0, 0, 0}, {300, 0, 0}, At(0));
  one->Pause(At(5), false, At(0));
  ASSERT_EQ(flock(held.get(), LOCK_UN), 0);
  EXPECT_TRUE(one->Take({}, At(0)));  // Tells what it has to tell.
  const auto told = other->Take({}, At(6));
  ASSERT_TRUE(told);
  EXPECT_GT(SecondsSince(*told), 55);
}

TEST_F(SharedAllowanceTest, AFileThatIsNeverLetGoOfIsGivenUpAndItsStateKept) {
  const auto one = Open();
  ASSERT_FALSE(Open()->Take({300, 0, 0}, At(0)));
  const FileDescriptor held(open(File().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(flock(held.get(), LOCK_EX), 0);
  // Contention that ends, and tries that are few, are no reason.
  const auto is_contended = [&](double at) {
    const auto again = one->Take({}, At(at));
    return again == At(at) + milliseconds(1);
  };
  for (int i = 0; i < 900; ++i) ASSERT_TRUE(is_contended(i * 0.001));
  ASSERT_EQ(flock(held.get(), LOCK_UN), 0);
  EXPECT_FALSE(is_contended(0.95));
  ASSERT_EQ(flock(held.get(), LOCK_EX), 0);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(is_contended(1 + i));
  ASSERT_EQ(flock(held.get(), LOCK_UN), 0);
  EXPECT_FALSE(is_contended(11));
  EXPECT_TRUE(warnings_.empty());
  // And now for good: it keeps its news, and what the others have used.
  ASSERT_EQ(flock(held.get(), LOCK_EX), 0);
  int tries = 0;
  while (is_contended(12 + tries * 0.001)) ASSERT_LE(++tries, 1000);
  EXPECT_EQ(tries, 1000);
  EXPECT_EQ(warnings_.size(), 1u);
  const auto again = one->Take({}, At(13));
  ASSERT_TRUE(again);
  EXPECT_NEAR(SecondsSince(*again), 30, 1);  // 300 of 600 a minute, paid off.
  one->Settle({0, 0, 0}, {100, 0, 0}, At(13));
  const auto settled = one->Take({}, At(13));
  ASSERT_TRUE(settled);
  EXPECT_NEAR(SecondsSince(*settled), 40, 1);
  ASSERT_EQ(flock(held.get(), LOCK_UN), 0);
  EXPECT_NEAR(SecondsSince(Open(13)->Take({}, At(13)).value_or(At(0))), 30, 1);
  EXPECT_EQ(warnings_.size(), 1u);
}

TEST_F(SharedAllowanceTest, NewsKeptUnderContentionAreToldAtTheEnd) {
  for (const bool is_let_go : {false, true}) {
    auto one = Open();
    const FileDescriptor held(open(File().c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(flock(held.get(), LOCK_EX), 0);
    one->Settle({0, 0, 0}, {600, 0, 0}, At(0));
    if (is_let_go) {
      ASSERT_EQ(flock(held.get(), LOCK_UN), 0);
    }
    one.reset();  // One try, without waiting.
    ASSERT_EQ(flock(held.get(), LOCK_UN), 0);
    EXPECT_EQ(Open(1)->Take({}, At(1)).has_value(), is_let_go);
  }
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(SharedAllowanceTest, WhereNoFileCanBeEachKeepsToItselfAndSaysSoOnce) {
  const auto expect_local = [&](const std::string& why) {
    warnings_.clear();
    const auto one = Open(), other = Open();
    EXPECT_FALSE(Share(one.get(), other.get(), 0)) << why;
    EXPECT_EQ(warnings_.size(), 2u) << why;  // Once each.
  };
  const std::filesystem::path directory = root_ / "shared";
  std::ofstream(directory).put('x');
  expect_local("a file is in the way");
  std::filesystem::remove(directory);
  std::filesystem::create_directory(root_ / "elsewhere");
  std::filesystem::create_directory_symlink(root_ / "elsewhere", directory);
  expect_local("a link is in the way");
  std::filesystem::remove(directory);
  std::filesystem::create_directory(directory);
  std::filesystem::permissions(directory, std::filesystem::perms(0777));
  expect_local("others may write there");
  std::filesystem::permissions(directory, std::filesystem::perms(0700));
  std::filesystem::create_symlink(root_ / "target", File());
  expect_local("the file is a link");
  EXPECT_FALSE(std::filesystem::exists(root_ / "target"));
  std::filesystem::remove(File());
  ASSERT_EQ(mkfifo(File().c_str(), 0600), 0);
  expect_local("the file is a pipe");
  std::filesystem::remove(File());
  std::ofstream(File()).put('x');
  std::filesystem::permissions(File(), std::filesystem::perms(0644));
  expect_local("others may read the file");
  flow_.allowance_directory = root_ / "not" / "there";
  expect_local("nowhere to make the directory");
}

TEST_F(SharedAllowanceTest, ADefaultPlaceIsFound) {
  flow_.allowance_directory.clear();
  ASSERT_EQ(setenv("XDG_RUNTIME_DIR", root_.c_str(), 1), 0);
  const auto one = Open();
  one->Take({}, kStart);
  EXPECT_TRUE(std::filesystem::exists(root_ / "embedflow" / (kId + ".allowance")));
  unsetenv("XDG_RUNTIME_DIR");
}

// Waits for a timer that rings at `when`.
void WaitUntil(TimePoint when) {
  const FileDescriptor timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const auto ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
  itimerspec spec{};
  spec.it_value = {ns / 1'000'000'000, ns % 1'000'000'000};
  std::uint64_t rings = 0;
  if (timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &spec, nullptr) != 0 ||
      read(timer.get(), &rings, sizeof rings) != sizeof rings) {
    std::abort();
  }
}

// One process of several: takes from `begin` to `end` and writes the times of what it took.
[[noreturn]] void TakeInAProcess(const FlowOptions& flow, TimePoint begin, TimePoint end, int out) {
  WaitUntil(begin);
  TimePoint now = SystemClock().Now();
  const auto allowance = OpenAllowance(flow, kId, true, now);
  while (now < end) {
    if (const auto again = allowance->Take({}, now)) {
      WaitUntil(std::min(*again, end));
    } else {
      const std::int64_t at = now.time_since_epoch().count();
      if (write(out, &at, sizeof at) != sizeof at) _exit(1);
    }
    now = SystemClock().Now();
  }
  _exit(0);
}

TEST_F(SharedAllowanceTest, ProcessesTogetherStayWithinTheLimitAndUseIt) {
  // Two real processes on the real clock: 12,000 a minute are 200 a second.
  flow_.requests_per_minute = 12000;
  const TimePoint begin = SystemClock().Now() + milliseconds(50);
  const std::chrono::seconds span{3};
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  const FileDescriptor in(ends[0]);
  FileDescriptor out(ends[1]);
  std::vector<pid_t> children;
  for (int i = 0; i < 2; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) TakeInAProcess(flow_, begin, begin + span, out.get());
    children.push_back(child);
  }
  out = FileDescriptor();
  std::vector<std::int64_t> times;
  for (std::int64_t at = 0; read(in.get(), &at, sizeof at) == sizeof at;) times.push_back(at);
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  std::sort(times.begin(), times.end());
  const double share = static_cast<double>(times.size()) / 600;
  RecordProperty("share_percent", std::to_string(100 * share));
  std::cout << "together " << 100 * share << " % of the allowance\n";
  EXPECT_LE(share, 1.0);
  EXPECT_GE(share, 0.95);
  // And in no second more than about a second's: a process may be held up between reading the clock
  // and taking.
  for (std::size_t i = 0; i + 200 < times.size(); ++i) {
    EXPECT_GE(times[i + 200] - times[i], 930'000'000) << i;
  }
}

}  // namespace
}  // namespace embedflow
