// The simulator over a real socket, spoken to byte by byte.
#include "embedflow/simulator.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"

namespace embedflow {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::UnorderedElementsAre;

std::unique_ptr<Simulator> Started(const SimulatorOptions& options) {
  Result<std::unique_ptr<Simulator>> server = Simulator::Start(options);
  EXPECT_TRUE(server.ok()) << server.status().ToString();
  return server.ok() ? *std::move(server) : nullptr;
}

// A connection that says exactly what it is told, and hears everything.
class RawClient {
 public:
  explicit RawClient(const Simulator& server)
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(server.port()));
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~RawClient() { close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void Say(const std::string& bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // One reply with Content-Length, or all until the connection ends.
  std::string Hear() {
    std::string heard;
    std::size_t wanted = std::string::npos;
    for (char c = 0; heard.size() < wanted && recv(fd_, &c, 1, 0) == 1;) {
      heard += c;
      if (wanted == std::string::npos && heard.ends_with("\r\n\r\n")) {
        const std::size_t length = heard.find("Content-Length: ");
        if (length == std::string::npos) continue;
        wanted = heard.size() + std::stoul(heard.substr(length + 16));
      }
    }
    return heard;
  }

 private:
  const int fd_;
};

std::string Post(const std::string& path, const std::string& body,
                 const std::string& headers = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string Ask(const Simulator& server, const std::string& request) {
  RawClient client(server);
  client.Say(request);
  return client.Hear();
}

std::string BodyOf(const std::string& reply) { return reply.substr(reply.find("\r\n\r\n") + 4); }

SimulatorFault Fault(const std::string& text) {
  Result<SimulatorFault> fault = ParseSimulatorFault(text);
  EXPECT_TRUE(fault.ok()) << fault.status().ToString();
  return *fault;
}

class SimulatorFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_simulator_XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  std::string Read(const std::string& name) const {
    std::ifstream file(Path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name)) << text;
  }
  std::string directory_;
};

TEST(Simulator, VectorsAreTheFormulaOfTheDocs) {
  // Worked out from docs/simulate.md by hand, in Python: XXH3-64("hello", seed 3), SplitMix64.
  const std::vector<float> vector = SimulatedVector("hello", 3);
  ASSERT_EQ(vector.size(), 3u);
  EXPECT_FLOAT_EQ(vector[0], 0.72760123f);
  EXPECT_FLOAT_EQ(vector[1], -0.382283747f);
  EXPECT_FLOAT_EQ(vector[2], 0.56961f);
}

// Returns once `holds` does, or after 10 s.
void WaitUntil(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!holds() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
}

TEST(Simulator, AnswersEveryDialectOnOnePort) {
  const auto server = Started({});
  for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
           {"/v1/embeddings", R"({"input":["a"],"dimensions":3})"},
           {"/openai/deployments/d/embeddings?api-version=1", R"({"input":["a"]})"},
           {"/v2/embed", R"({"texts":["a"],"input_type":"search_query"})"},
           {"/v1beta/models/g:batchEmbedContents",
            R"({"requests":[{"content":{"parts":[{"text":"a"}]}}]})"},
           {"/api/embed", R"({"input":"a"})"},
           {"/embed", R"({"inputs":"a"})"},
           {"/embedding", R"({"content":"a"})"},
       }) {
    EXPECT_THAT(Ask(*server, Post(path, body)), HasSubstr("HTTP/1.1 200 OK")) << path;
  }
  EXPECT_THAT(Ask(*server, Post("/v1/chat", "{}")), HasSubstr("HTTP/1.1 404"));
  // A reply is counted once all of it was sent, which is after it was heard.
  WaitUntil([&] { return server->stats().answered == 7 && server->stats().refused == 1; });
  EXPECT_EQ(server->stats().answered, 7u);
  EXPECT_EQ(server->stats().refused, 1u);
}

TEST(Simulator, DimensionsAreTheRequestsElseTheOptionsElseTheModels) {
  const auto count = [](const std::string& reply) {
    rapidjson::Document document;
    document.Parse(BodyOf(reply).c_str());
    return document["data"][0]["embedding"].Size();
  };
  const std::string large = R"({"input":"a","model":"text-embedding-3-large"})";
  const auto plain = Started({});
  EXPECT_EQ(count(Ask(*plain, Post("/v1/embeddings", large))), 3072u);
  EXPECT_EQ(count(Ask(*plain, Post("/v1/embeddings", R"({"input":"a","model":"x"})"))), 1536u);
  SimulatorOptions options;
  options.dimensions = 7;
  const auto seven = Started(options);
  EXPECT_EQ(count(Ask(*seven, Post("/v1/embeddings", large))), 7u);
  EXPECT_EQ(count(Ask(*seven, Post("/v1/embeddings", R"({"input":"a","dimensions":2})"))), 2u);
}

TEST(Simulator, ReadsBodiesInChunksAndSeveralRequestsOnOneConnection) {
  const auto server = Started({});
  RawClient client(*server);
  const std::string one = R"({"input":["a"],"dimensions":2})";
  client.Say("POST /v1/embeddings HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" +
             one.substr(0, 5) + "\r\n" + "19\r\n" + one.substr(5) + "\r\n0\r\n\r\n" +
             Post("/v1/embeddings", one));
  EXPECT_THAT(client.Hear(), HasSubstr("200 OK"));
  EXPECT_THAT(client.Hear(), HasSubstr("200 OK"));
  WaitUntil([&] { return server->stats().answered == 2; });
  const SimulatorStats stats = server->stats();
  EXPECT_EQ(stats.answered, 2u);
  EXPECT_EQ(stats.connections, 1u);
}

TEST(Simulator, StatsTellWhatCameAndWhatWasAnswered) {
  SimulatorOptions options;
  options.limits.rpm = 3;
  options.faults = {Fault("nan:first")};
  const auto server = Started(options);
  const std::string body = R"({"input":["one","two","one"],"model":"m","dimensions":4})";
  EXPECT_THAT(Ask(*server, Post("/v1/embeddings", body)), HasSubstr("NaN"));
  EXPECT_THAT(Ask(*server, Post("/v1/embeddings", body)), HasSubstr("200 OK"));
  EXPECT_THAT(Ask(*server, Post("/v1/embeddings", R"({"input":["two"],"model":"m"})")),
              HasSubstr("200 OK"));
  EXPECT_THAT(Ask(*server, Post("/v1/embeddings", body)), HasSubstr("429"));
  WaitUntil([&] {
    std::map<int, std::uint64_t> statuses = server->stats().statuses;
    return statuses[200] == 3 && statuses[429] == 1;
  });
  const std::string reply = Ask(*server, "GET /__stats HTTP/1.1\r\n\r\n");
  rapidjson::Document stats;
  stats.Parse(BodyOf(reply).c_str());
  ASSERT_FALSE(stats.HasParseError()) << reply;
  EXPECT_EQ(stats["requests"].GetInt(), 4);
  EXPECT_EQ(stats["answered"].GetInt(), 2);
  EXPECT_EQ(stats["connections"].GetInt(), 4);
  EXPECT_EQ(stats["throttled"].GetInt(), 1);
  EXPECT_EQ(stats["faults"]["nan"].GetInt(), 1);
  EXPECT_EQ(stats["statuses"]["200"].GetInt(), 3);
  EXPECT_EQ(stats["statuses"]["429"].GetInt(), 1);
  EXPECT_EQ(stats["texts"]["received"].GetInt(), 10);
  EXPECT_EQ(stats["texts"]["answered"].GetInt(), 4);
  // "two" in other dimensions is another purchase.
  EXPECT_EQ(stats["texts"]["distinct"].GetInt(), 3);
  EXPECT_EQ(stats["texts"]["answered_more_than_once"].GetInt(), 1);
  EXPECT_EQ(stats["concurrency_max"].GetInt(), 1);
}

TEST_F(SimulatorFiles, TheLedgerHasALineForEachRequestAndNoKey) {
  SimulatorOptions options;
  options.ledger_path = Path("ledger");
  options.faults = {Fault("echo-key:first"), Fault("truncated:first=2"), Fault("close:first=3")};
  const std::string secret = "sk-very-secret";
  const std::string key = "Authorization: Bearer " + secret + "\r\n";
  {
    const auto server = Started(options);
    const std::string body = R"({"input":["one"],"model":"m","dimensions":2})";
    for (int i = 0; i < 4; ++i) {
      (void)Ask(*server, Post("/v1/embeddings?key=" + secret, body, key));
    }
  }
  const std::string text = Read("ledger");
  EXPECT_THAT(text, Not(HasSubstr(secret)));
  std::istringstream lines(text);
  std::vector<std::pair<int, bool>> outcomes;
  for (std::string line; std::getline(lines, line);) {
    rapidjson::Document entry;
    entry.Parse(line.c_str());
    ASSERT_FALSE(entry.HasParseError()) << line;
    EXPECT_STREQ(entry["path"].GetString(), "/v1/embeddings");
    EXPECT_STREQ(entry["dialect"].GetString(), "openai");
    EXPECT_TRUE(entry["has_key"].GetBool());
    EXPECT_EQ(entry["inputs"].GetInt(), 1);
    EXPECT_EQ(entry["tokens"].GetInt(), 1);
    EXPECT_EQ(entry["sha256"][0].GetString(), Sha256Hex("one"));
    EXPECT_EQ(entry["answered"].GetBool(), entry["note"].IsNull());
    outcomes.emplace_back(entry["status"].GetInt(), entry["whole"].GetBool());
  }
  // A line follows its reply, so the next request's may overtake it.
  EXPECT_THAT(outcomes, UnorderedElementsAre(Pair(401, true), Pair(200, false), Pair(0, false),
                                             Pair(200, true)));
  EXPECT_EQ(Sha256Hex("one"), "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
}

TEST_F(SimulatorFiles, TheLedgerHoldsTextsWhereAsked) {
  SimulatorOptions options;
  options.ledger_path = Path("ledger");
  options.ledger_texts = true;
  { (void)Ask(*Started(options), Post("/v1/embeddings", R"({"input":["one"],"dimensions":2})")); }
  EXPECT_THAT(Read("ledger"), HasSubstr(R"("texts":["one"])"));
  options.ledger_path = directory_ + "/none/ledger";
  EXPECT_EQ(Simulator::Start(options).status().code(), Code::kIo);
}

TEST(Simulator, AStalledReplyEndsWithItsClientAndWithTheServer) {
  SimulatorOptions options;
  options.faults = {Fault("stall")};
  auto server = Started(options);
  const std::string request = Post("/v1/embeddings", R"({"input":["one"],"dimensions":2})");
  {
    RawClient impatient(*server);
    impatient.Say(request);
  }
  RawClient patient(*server);
  patient.Say(request);
  std::thread ender([&server] {
    // Both have come, and the first has been given up.
    while (server->stats().statuses[0] < 1 || server->stats().requests < 2) {
      std::this_thread::yield();
    }
    server.reset();
  });
  EXPECT_EQ(patient.Hear(), "");
  ender.join();
}

TEST(Simulator, SaysThatAPortIsTaken) {
  const auto server = Started({});
  SimulatorOptions options;
  options.port = static_cast<std::uint16_t>(server->port());
  const Result<std::unique_ptr<Simulator>> second = Simulator::Start(options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().word(), "port_in_use");
}

TEST_F(SimulatorFiles, AScenarioSaysTheSameAsFlags) {
  Write("s.toml", R"(
dialect = "mistral"
dimensions = 12
seed = 9
requires_key = true
latency = "uniform:1ms..2ms"
slow_downs = ["5..10:3"]
faults = ["503:random=5%", "nan:every=10"]
ledger = "l.jsonl"
[limits]
rpm = 600
tpm = 1e6
window = "1s"
inputs_max = 0
capacity = 4
pending_max = 8
)");
  SimulatorOptions options;
  options.faults = {Fault("zero:first")};
  const Status read = ReadSimulatorScenario(Path("s.toml"), &options);
  ASSERT_TRUE(read.ok()) << read.ToString();
  EXPECT_TRUE(options.Validate().ok());
  EXPECT_EQ(options.dialect, SimulatorDialect::kMistral);
  EXPECT_EQ(options.dimensions, 12);
  EXPECT_EQ(options.seed, 9u);
  EXPECT_TRUE(options.requires_key);
  EXPECT_EQ(options.latency.kind, SimulatorLatency::Kind::kUniform);
  ASSERT_EQ(options.slow_downs.size(), 1u);
  EXPECT_EQ(options.slow_downs[0].factor, 3);
  ASSERT_EQ(options.faults.size(), 3u);
  EXPECT_EQ(options.faults[2].every, 10u);
  EXPECT_EQ(options.ledger_path, "l.jsonl");
  EXPECT_EQ(options.limits.rpm, 600);
  EXPECT_EQ(options.limits.tpm, 1e6);
  EXPECT_EQ(options.limits.window, SimulatorWindow::kSliding1);
  EXPECT_EQ(options.limits.inputs_max, 0u);
  EXPECT_EQ(options.limits.capacity, 4u);
  EXPECT_EQ(options.limits.pending_max, 8u);
}

TEST_F(SimulatorFiles, AScenarioNamesWhatIsWrongWithItAndChangesNothing) {
  for (const auto& [text, said] : std::vector<std::pair<std::string, std::string>>{
           {"dialekt = \"openai\"", "dialekt"},
           {"dialect = \"openapi\"", "dialect"},
           {"latency = \"fast\"", "latency"},
           {"faults = [\"nam\"]", "no such kind"},
           {"faults = \"nan\"", "faults"},
           {"[limits]\nrpms = 3", "limits.rpms"},
           {"port = 70000", "port"},
           {"= 3", "line 1"},
       }) {
    Write("s.toml", "seed = 5\n" + text);
    SimulatorOptions options;
    const Status read = ReadSimulatorScenario(Path("s.toml"), &options);
    ASSERT_FALSE(read.ok()) << text;
    if (said != "line 1") {
      EXPECT_THAT(read.message(), HasSubstr(said)) << text;
    }
    EXPECT_THAT(read.message(), HasSubstr("s.toml"));
    EXPECT_EQ(options.seed, 1u);
  }
  SimulatorOptions options;
  EXPECT_EQ(ReadSimulatorScenario(Path("none.toml"), &options).code(), Code::kIo);
}

TEST(SimulatorOptions, NameWhatIsOutOfRange) {
  const auto message = [](auto change) {
    SimulatorOptions options;
    change(&options);
    return options.Validate().message();
  };
  EXPECT_EQ(message([](SimulatorOptions*) {}), "");
  EXPECT_THAT(message([](SimulatorOptions* o) { o->dimensions = 0; }), HasSubstr("dimensions"));
  EXPECT_THAT(message([](SimulatorOptions* o) { o->limits.rpm = 0.5; }), HasSubstr("rpm"));
  EXPECT_THAT(message([](SimulatorOptions* o) { o->limits.tpm = 1e13; }), HasSubstr("tpm"));
  EXPECT_THAT(message([](SimulatorOptions* o) { o->limits.pending_max = 1; }),
              HasSubstr("capacity"));
  EXPECT_THAT(message([](SimulatorOptions* o) { o->ledger_texts = true; }), HasSubstr("ledger"));
  EXPECT_THAT(message([](SimulatorOptions* o) { o->latency.first_ms = -1; }), HasSubstr("latency"));
  EXPECT_THAT(message([](SimulatorOptions* o) { o->faults = {SimulatorFault{"nope"}}; }),
              HasSubstr("no such kind"));
}

}  // namespace
}  // namespace embedflow
