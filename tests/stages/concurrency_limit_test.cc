// Runs every file of tests/scenarios: a server model and what the limit must make of it, on a
// manual clock. tests/scenarios/README.md explains the lines.
#include "stages/concurrency_limit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <queue>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"

namespace embedflow {
namespace {

constexpr TimePoint kBegin{std::chrono::hours(1)};

TimePoint At(double seconds) {
  return kBegin + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

struct Change {
  double from_s = 0, until_s = 0;
  std::string what;
  double value = 0;
};

struct Expectation {
  std::string what;  // "limit" or "throughput".
  double from_s = 0, until_s = 0, least = 0, most = 0;
};

struct Scenario {
  std::string name;
  double max = 64, run_s = 60, seed = 1;
  double fixed_ms = 50, per_token_us = 0, spread = 0, knee = 0, fault_share = 0;
  double tokens_least = 1000, tokens_most = 1000;
  double rejects_above = 0;  // 503 at once when so many are inside; 0: never.
  double rate = 0;           // Requests a second that are there to be sent; 0: always more.
  std::vector<Change> changes;
  std::vector<Expectation> expectations;
};

double* Field(Scenario* scenario, const std::string& name) {
  const struct {
    const char* name;
    double Scenario::*field;
  } fields[] = {{"max", &Scenario::max},
                {"run_s", &Scenario::run_s},
                {"seed", &Scenario::seed},
                {"fixed_ms", &Scenario::fixed_ms},
                {"per_token_us", &Scenario::per_token_us},
                {"spread", &Scenario::spread},
                {"knee", &Scenario::knee},
                {"fault_share", &Scenario::fault_share},
                {"tokens_least", &Scenario::tokens_least},
                {"tokens_most", &Scenario::tokens_most},
                {"rejects_above", &Scenario::rejects_above},
                {"rate", &Scenario::rate}};
  for (const auto& field : fields) {
    if (name == field.name) return &(scenario->*field.field);
  }
  return nullptr;
}

Scenario Read(const std::filesystem::path& path) {
  Scenario scenario;
  scenario.name = path.stem().string();
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string first;
    if (!(words >> first)) continue;
    bool is_good = false;
    if (first == "from") {
      Change change;
      std::string until, equals;
      is_good = static_cast<bool>(words >> change.from_s >> until >> change.until_s >>
                                  change.what >> equals >> change.value);
      is_good = is_good && Field(&scenario, change.what) != nullptr;
      scenario.changes.push_back(change);
    } else if (first == "expect") {
      Expectation expectation;
      std::string from, until, in;
      is_good =
          static_cast<bool>(words >> expectation.what >> from >> expectation.from_s >> until >>
                            expectation.until_s >> in >> expectation.least >> expectation.most);
      scenario.expectations.push_back(expectation);
    } else if (double* field = Field(&scenario, first); field != nullptr) {
      std::string equals;
      is_good = static_cast<bool>(words >> equals >> *field);
    }
    EXPECT_TRUE(is_good) << path << ": " << line;
  }
  EXPECT_FALSE(scenario.expectations.empty()) << path;
  return scenario;
}

// A server of `knee` workers and one queue before them, and a client that sends whenever the limit
// lets it.
class Simulation {
 public:
  explicit Simulation(const Scenario& scenario)
      : scenario_(scenario),
        rng_(static_cast<std::uint64_t>(scenario.seed)),
        limit_({true, static_cast<std::size_t>(scenario.max)}) {}

  void Run() {
    double now = 0;
    limits_.push_back({0, limit_.limit()});
    while (now < scenario_.run_s) {
      SendAll(now);
      double next = ends_.empty() ? scenario_.run_s : ends_.top().at;
      if (scenario_.rate > 0) next = std::min(next, std::max(now + 1e-6, due_));
      now = std::min(next, scenario_.run_s);
      while (!ends_.empty() && ends_.top().at <= now) End(now);
    }
  }

  void Check() const {
    for (const Expectation& expected : scenario_.expectations) {
      if (expected.what == "limit") {
        CheckLimit(expected);
      } else {
        ASSERT_EQ(expected.what, "throughput");
        CheckThroughput(expected);
      }
    }
  }

 private:
  struct Request {
    double sent = 0, tokens = 0;
  };
  struct Ending {
    double at = 0;
    Request request;
    ConcurrencyLimit::Result result = ConcurrencyLimit::Result::kOk;
    bool held_worker = true;
    bool operator<(const Ending& other) const { return at > other.at; }
  };
  struct Step {
    double at = 0;
    std::size_t limit = 0;
  };

  double Now(double Scenario::*field, const char* name, double at) const {
    for (const Change& change : scenario_.changes) {
      if (change.what == name && at >= change.from_s && at < change.until_s) return change.value;
    }
    return scenario_.*field;
  }
  double Tokens(double at) {
    const double least = Now(&Scenario::tokens_least, "tokens_least", at);
    const double most = Now(&Scenario::tokens_most, "tokens_most", at);
    return least + (most - least) * rng_.Uniform();
  }
  double ServiceSeconds(double tokens, double at) const {
    return Now(&Scenario::fixed_ms, "fixed_ms", at) * 1e-3 +
           Now(&Scenario::per_token_us, "per_token_us", at) * 1e-6 * tokens;
  }

  void SendAll(double now) {
    while (limit_.MayStart()) {
      if (scenario_.rate > 0) {
        if (due_ > now) return;
        due_ = std::max(due_, now - 1) + 1 / scenario_.rate;
      }
      limit_.Start(At(now));
      const Request request{now, Tokens(now)};
      const double rejects_above = Now(&Scenario::rejects_above, "rejects_above", now);
      if (rejects_above > 0 && static_cast<double>(busy_ + queue_.size()) >= rejects_above) {
        ends_.push({now + 0.01, request, ConcurrencyLimit::Result::kCongested, false});
      } else {
        queue_.push_back(request);
        Serve(now);
      }
    }
  }

  void Serve(double now) {
    const double knee = Now(&Scenario::knee, "knee", now);
    while (!queue_.empty() && (knee == 0 || static_cast<double>(busy_) < knee)) {
      const Request request = queue_.front();
      queue_.pop_front();
      ++busy_;
      const double seconds =
          ServiceSeconds(request.tokens, now) * (1 + scenario_.spread * (2 * rng_.Uniform() - 1));
      const bool fails = rng_.Uniform() < Now(&Scenario::fault_share, "fault_share", now);
      ends_.push({now + seconds, request,
                  fails ? ConcurrencyLimit::Result::kCongested : ConcurrencyLimit::Result::kOk,
                  true});
    }
  }

  void End(double now) {
    const Ending ending = ends_.top();
    ends_.pop();
    if (ending.held_worker) --busy_;
    Serve(now);
    limit_.End(ending.result, At(now) - At(ending.request.sent), ending.request.tokens, At(now));
    if (ending.result == ConcurrencyLimit::Result::kOk) {
      done_.push_back({now, ServiceSeconds(ending.request.tokens, now)});
    }
    if (limit_.limit() != limits_.back().limit) limits_.push_back({now, limit_.limit()});
    EXPECT_GE(limit_.limit(), 1u);
    EXPECT_LE(limit_.limit(), static_cast<std::size_t>(scenario_.max));
  }

  // The limit must be in the range for at least 95 % of the time (it looks around now and then), on
  // average, and never outside of twice the range.
  void CheckLimit(const Expectation& expected) const {
    double inside = 0, sum = 0, least = 1e9, most = 0;
    for (std::size_t i = 0; i < limits_.size(); ++i) {
      const double from = std::max(limits_[i].at, expected.from_s);
      const double until =
          std::min(i + 1 < limits_.size() ? limits_[i + 1].at : scenario_.run_s, expected.until_s);
      if (until <= from) continue;
      const auto limit = static_cast<double>(limits_[i].limit);
      sum += limit * (until - from);
      if (limit >= expected.least && limit <= expected.most) inside += until - from;
      least = std::min(least, limit);
      most = std::max(most, limit);
    }
    const double span = expected.until_s - expected.from_s;
    std::cout << scenario_.name << ": limit " << sum / span << " on average, " << least << " to "
              << most << ", " << 100 * inside / span << " % within " << expected.least << ".."
              << expected.most << "\n";
    EXPECT_GE(inside / span, 0.95) << scenario_.name;
    EXPECT_GE(sum / span, expected.least) << scenario_.name;
    EXPECT_LE(sum / span, expected.most) << scenario_.name;
    EXPECT_GE(least, std::floor(expected.least / 2)) << scenario_.name;
    EXPECT_LE(most, expected.most * 2) << scenario_.name;
  }

  // Work done by what all workers can do in that time.
  void CheckThroughput(const Expectation& expected) const {
    double work = 0;
    for (const auto& [at, seconds] : done_) {
      if (at > expected.from_s && at <= expected.until_s) work += seconds;
    }
    double possible = 0;
    for (double at = expected.from_s; at < expected.until_s; at += 0.1) {
      const double knee = Now(&Scenario::knee, "knee", at);
      double workers = knee == 0 ? scenario_.max : std::min(knee, scenario_.max);
      const double mean_tokens = (scenario_.tokens_least + scenario_.tokens_most) / 2;
      if (scenario_.rate > 0) {
        workers = std::min(workers, scenario_.rate * ServiceSeconds(mean_tokens, at));
      }
      possible += workers * 0.1;
    }
    std::cout << scenario_.name << ": throughput " << 100 * work / possible << " % from "
              << expected.from_s << " s to " << expected.until_s << " s\n";
    EXPECT_GE(work / possible, expected.least) << scenario_.name;
    EXPECT_LE(work / possible, expected.most) << scenario_.name;
  }

  const Scenario scenario_;
  Rng rng_;
  ConcurrencyLimit limit_;
  std::priority_queue<Ending> ends_;
  std::deque<Request> queue_;
  std::size_t busy_ = 0;
  double due_ = 0;
  std::vector<Step> limits_;
  std::vector<std::pair<double, double>> done_;
};

TEST(ConcurrencyLimit, MeetsEveryScenario) {
  // A fixed set of further seeds besides the file's own, so that no scenario is met by luck.
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(EMBEDFLOW_SCENARIOS)) {
    if (entry.path().extension() != ".scenario") continue;
    ++count;
    const Scenario scenario = Read(entry.path());
    for (const double more : {0.0, 1000.0, 2000.0, 3000.0, 4000.0}) {
      Scenario seeded = scenario;
      seeded.seed += more;
      SCOPED_TRACE("seed " + std::to_string(seeded.seed));
      Simulation simulation(seeded);
      simulation.Run();
      simulation.Check();
    }
  }
  EXPECT_GE(count, 10u);
}

TEST(ConcurrencyLimit, OffIsAlwaysTheMaximum) {
  ConcurrencyLimit limit({false, 7});
  EXPECT_EQ(limit.limit(), 7u);
  for (int i = 0; i < 100; ++i) {
    limit.Start(kBegin);
    limit.End(ConcurrencyLimit::Result::kCongested, {}, 0, kBegin);
  }
  EXPECT_EQ(limit.limit(), 7u);
  EXPECT_EQ(limit.in_flight(), 0u);
  EXPECT_EQ(ConcurrencyLimit({false, 0}).limit(), 1u);
}

TEST(ConcurrencyLimit, ShrinkingCancelsNothing) {
  // What is under way stays so; nothing starts until it is below the limit again.
  ConcurrencyLimit limit({true, 64});
  double now = 0;
  while (limit.limit() < 64) {
    now += 0.05;
    while (limit.MayStart()) limit.Start(At(now));
    while (limit.in_flight() > 0) {
      limit.End(ConcurrencyLimit::Result::kOk, std::chrono::milliseconds(50), 1, At(now + 0.05));
    }
  }
  while (limit.MayStart()) limit.Start(At(now));
  for (int i = 0; i < 30; ++i) {
    limit.End(ConcurrencyLimit::Result::kCongested, {}, 0, At(now + 1));
  }
  EXPECT_LT(limit.limit(), 34u);
  EXPECT_EQ(limit.in_flight(), 34u);
  EXPECT_FALSE(limit.MayStart());
}

TEST(ConcurrencyLimit, NeutralResultsAndAbsurdOnesLeaveItAlone) {
  ConcurrencyLimit limit({true, 8});
  for (int i = 0; i < 100; ++i) {
    limit.Start(At(i));
    limit.End(ConcurrencyLimit::Result::kNeutral, std::chrono::hours(1), 5, At(i));
  }
  EXPECT_EQ(limit.limit(), 1u);
  const double absurd[] = {-1, 0, 1e300, std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity()};
  for (int i = 0; i < 1000; ++i) {
    limit.Start(At(i));
    limit.End(i % 3 == 0 ? ConcurrencyLimit::Result::kCongested : ConcurrencyLimit::Result::kOk,
              std::chrono::hours(i % 7 - 3), absurd[i % 5], At(i % 11));
    ASSERT_GE(limit.limit(), 1u);
    ASSERT_LE(limit.limit(), 8u);
  }
}

}  // namespace
}  // namespace embedflow
