#include "simulator/faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "base/json_reader.h"
#include "simulator/fault_table.h"
#include "simulator/policy.h"
#include "simulator/reply_body.h"
#include "simulator/request.h"

namespace embedflow {
namespace {

using testing::HasSubstr;

SimulatorFault Fault(const std::string& text) {
  Result<SimulatorFault> fault = ParseSimulatorFault(text);
  EXPECT_TRUE(fault.ok()) << fault.status().ToString();
  return fault.ok() ? *fault : SimulatorFault();
}

SimulatorRequest Request(std::vector<std::string> texts) {
  SimulatorRequest request;
  request.method = "POST";
  request.target = "/v1/embeddings";
  request.is_embeddings = request.has_input = true;
  request.model = "m";
  request.dimensions = 4;
  request.texts = std::move(texts);
  request.number = request.on_connection = 2;
  return request;
}

// The numbers of the first `count` requests on which a fault falls.
std::vector<std::uint64_t> Hits(const std::string& text, std::uint64_t count,
                                std::uint64_t seed = 1) {
  const SimulatorFaultPlan plan({Fault(text)}, seed);
  std::vector<std::uint64_t> hits;
  for (std::uint64_t number = 1; number <= count; ++number) {
    if (plan.Choose(Request({"a"}), number, std::chrono::seconds(number)) != nullptr) {
      hits.push_back(number);
    }
  }
  return hits;
}

TEST(ParseSimulatorFault, ReadsKindValueAndConditions) {
  SimulatorFault fault = Fault("throttle=7:every=3,from=1..2.5,text=a,b:c");
  EXPECT_EQ(fault.kind, "throttle");
  EXPECT_EQ(fault.value, "7");
  EXPECT_EQ(fault.every, 3u);
  EXPECT_EQ(fault.from_seconds, 1);
  EXPECT_EQ(fault.until_seconds, 2.5);
  EXPECT_EQ(fault.text, "a,b:c");

  EXPECT_EQ(Fault("nan:first").first, 1u);
  EXPECT_EQ(Fault("nan:first=20").first, 20u);
  EXPECT_EQ(Fault("nan:random=5%").probability, 0.05);
  EXPECT_EQ(Fault("nan:random=0.5").probability, 0.5);
  EXPECT_EQ(Fault("nan:from=3").until_seconds, 1e18);
  EXPECT_EQ(Fault("nan:always").probability, 1);
  // A number is a status, and an address may hold colons.
  EXPECT_EQ(Fault("503:first").kind, "status");
  EXPECT_EQ(Fault("503").value, "503");
  EXPECT_EQ(Fault("redirect=http://127.0.0.1:80/x:first").value, "http://127.0.0.1:80/x");
}

TEST(ParseSimulatorFault, NamesWhatIsWrong) {
  for (const auto& [text, said] : std::vector<std::pair<std::string, std::string>>{
           {"", "no such kind"},
           {"nam", "no such kind"},
           {"nan:sometimes", "no such kind"},
           {"nan=3", "takes no value"},
           {"throttle=", "nothing stands behind"},
           {"status", "needs a value"},
           {"status=99", "out of range"},
           {"status=abc", "out of range"},
           {"700", "out of range"},
           {"delay=fast", "a time such as"},
           {"nan:first=0", "is no condition"},
           {"nan:every=1.5", "is no condition"},
           {"nan:random=2", "in [0, 1]"},
           {"nan:random=-1%", "in [0, 1]"},
           {"nan:random=nan", "is no condition"},
           {"nan:from=5..3", "end after it begins"},
           {"nan:from=-1..3", "begin at 0"},
           {"nan:first,often", "is no condition"},
           {"nan:text=", "is no condition"},
           {"throttle=a\r\nb", "control byte"},
       }) {
    const Result<SimulatorFault> fault = ParseSimulatorFault(text);
    ASSERT_FALSE(fault.ok()) << text;
    EXPECT_THAT(fault.status().message(), HasSubstr(said)) << text;
  }
}

TEST(SimulatorFaultPlan, ConditionsDecide) {
  using Numbers = std::vector<std::uint64_t>;
  EXPECT_EQ(Hits("nan", 4), (Numbers{1, 2, 3, 4}));
  EXPECT_EQ(Hits("nan:first", 9), (Numbers{1}));
  EXPECT_EQ(Hits("nan:first=3", 9), (Numbers{1, 2, 3}));
  EXPECT_EQ(Hits("nan:every=4", 9), (Numbers{4, 8}));
  EXPECT_EQ(Hits("nan:from=2..5", 9), (Numbers{2, 3, 4}));
  EXPECT_EQ(Hits("nan:every=2,from=4", 9), (Numbers{4, 6, 8}));
  EXPECT_EQ(Hits("nan:text=b", 9), Numbers());
  EXPECT_EQ(Hits("nan:text=a,every=3", 9), Numbers());  // text= takes the rest.
}

TEST(SimulatorFaultPlan, ChanceKeepsToItsShareAndItsSeed) {
  const std::vector<std::uint64_t> hits = Hits("nan:random=5%", 20'000);
  // Four deviations of a binomial distribution.
  EXPECT_NEAR(static_cast<double>(hits.size()), 1000, 124);
  EXPECT_EQ(hits, Hits("nan:random=5%", 20'000));
  EXPECT_NE(hits, Hits("nan:random=5%", 20'000, 2));
}

TEST(SimulatorFaultPlan, TheFirstThatFitsActs) {
  const SimulatorFaultPlan plan({Fault("nan:every=2"), Fault("503:text=poison")}, 1);
  EXPECT_EQ(plan.Choose(Request({"a"}), 1, {}), nullptr);
  EXPECT_EQ(plan.Choose(Request({"a"}), 2, {})->kind, "nan");
  EXPECT_EQ(plan.Choose(Request({"a", "some poison"}), 1, {})->kind, "status");
}

TEST(SimulatorFaultPlan, PassesOverWhatARequestsShapeDoesNotHave) {
  const SimulatorFaultPlan plan({Fault("repeated-index"), Fault("bad-base64"), Fault("nan")}, 1);
  SimulatorRequest request = Request({"a"});
  EXPECT_EQ(plan.Choose(request, 1, {})->kind, "repeated-index");
  request.shape = SimulatorShape::kCohere;
  EXPECT_EQ(plan.Choose(request, 1, {})->kind, "bad-base64");
  request.shape = SimulatorShape::kGemini;
  EXPECT_EQ(plan.Choose(request, 1, {})->kind, "nan");
}

bool IsSameReply(const SimulatorReply& a, const SimulatorReply& b) {
  return a.status == b.status && a.headers == b.headers && a.body == b.body && a.flaw == b.flaw &&
         a.wire == b.wire && a.latency == b.latency && a.closes_after == b.closes_after &&
         a.is_base64 == b.is_base64;
}

TEST(SimulatorFaultKinds, EveryOneChangesAReply) {
  std::set<std::string_view> names;
  for (const SimulatorFaultKind& kind : SimulatorFaultKinds()) {
    SCOPED_TRACE(std::string(kind.name));
    EXPECT_TRUE(names.insert(kind.name).second);
    EXPECT_FALSE(kind.line.empty());
    SimulatorOptions options;
    const bool needs_value = !kind.value_name.empty() && kind.default_text.empty();
    options.faults = {Fault(std::string(kind.name) + (needs_value ? "=500" : ""))};
    ASSERT_TRUE(options.Validate().ok());
    SimulatorRequest request = Request({"one", "two", "three"});
    request.body = "x";
    SimulatorPolicy faulty(options);
    SimulatorPolicy right{SimulatorOptions()};
    const SimulatorReply reply = faulty.Decide(request).reply;
    EXPECT_EQ(reply.note, kind.name);
    EXPECT_FALSE(IsSameReply(reply, right.Decide(request).reply));
  }
  EXPECT_GE(names.size(), 70u);
}

TEST(SimulatorFaultKinds, EveryFlawChangesTheBody) {
  const SimulatorRequest request = Request({"one", "two", "three"});
  Rng rng(3);
  const std::string right = WriteSimulatorBody(request, {}, 4, rng);
  for (const SimulatorFaultRow& row : SimulatorFaultRows()) {
    if (row.flaw == SimulatorFlaw::kNone) continue;
    SimulatorReply reply;
    reply.flaw = row.flaw;
    EXPECT_NE(WriteSimulatorBody(request, reply, 4, rng), right) << row.kind.name;
  }
}

TEST(SimulatorFaultKinds, ADateIsOneThatHttpKnows) {
  SimulatorOptions options;
  options.faults = {Fault("throttle-date=90")};
  const SimulatorReply reply = SimulatorPolicy(options).Decide(Request({"a"})).reply;
  EXPECT_EQ(reply.status, 429);
  ASSERT_FALSE(reply.headers.empty());
  EXPECT_EQ(reply.headers.front().first, "retry-after");
  EXPECT_THAT(reply.headers.front().second,
              testing::MatchesRegex("[A-Z][a-z]+, [0-9]+ [A-Z][a-z]+ [0-9]+ [0-9:]+ GMT"));
}

}  // namespace
}  // namespace embedflow
