// FlakyServer as a program, for tests that drive the command line from a shell.
//
//   flaky_server --dimensions 64 --fail-rate 0.01 --shuffle --ledger ledger.jsonl &
// prints its port and runs until its standard input ends or it gets a signal.
//
//   flaky_server --verify export.jsonl
// reads what `embedflow export --format jsonl` wrote and compares each embedding with what this
// server gives for its text: exit 0 if all are the same floats.
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

#include "base/json_reader.h"
#include "base/json_writer.h"
#include "base/random.h"
#include "tests/fakes/flaky_server.h"

namespace embedflow {
namespace {

struct Flags {
  FlakyOptions server;
  std::chrono::milliseconds delay{0};
  bool shuffles = false;
  double fail_rate = 0;  // Of 500s, resets and closes, equally often.
  std::string form = "asked";
  std::string ledger, verify;
};

constexpr const char* kUsage =
    "flaky_server [--port N] [--dimensions N] [--delay-ms N] [--shuffle] [--fail-rate X]\n"
    "             [--seed N] [--form asked|float|base64] [--ledger FILE]\n"
    "flaky_server --verify EXPORT.jsonl\n";

bool ReadFlags(int count, char** words, Flags* flags) {
  for (int i = 1; i < count; ++i) {
    const std::string name = words[i];
    if (name == "--shuffle") {
      flags->shuffles = true;
      continue;
    }
    if (++i == count) return false;
    const char* value = words[i];
    if (name == "--port") {
      flags->server.port = static_cast<std::uint16_t>(std::atoi(value));
    } else if (name == "--dimensions") {
      flags->server.dimensions = std::atoi(value);
    } else if (name == "--delay-ms") {
      flags->delay = std::chrono::milliseconds(std::atoi(value));
    } else if (name == "--fail-rate") {
      flags->fail_rate = std::atof(value);
    } else if (name == "--seed") {
      flags->server.seed = std::strtoull(value, nullptr, 10);
    } else if (name == "--form") {
      flags->form = value;
    } else if (name == "--ledger") {
      flags->ledger = value;
    } else if (name == "--verify") {
      flags->verify = value;
    } else {
      return false;
    }
  }
  return flags->server.dimensions > 0 &&
         (flags->form == "asked" || flags->form == "float" || flags->form == "base64");
}

// The text and the embedding of one line of an export.
class ExportLine final : public JsonHandler {
 public:
  bool Null() override { return true; }
  bool Bool(bool) override { return true; }
  bool Number(std::string_view number) override {
    float value = 0;
    std::from_chars(number.data(), number.data() + number.size(), value);
    if (depth_ == 2 && key_ == "embedding") embedding.push_back(value);
    return true;
  }
  bool String(std::string_view value) override {
    if (depth_ == 1 && key_ == "text") text = value;
    return true;
  }
  bool StartObject() override { return ++depth_, true; }
  bool Key(std::string_view name) override {
    if (depth_ == 1) key_ = name;
    return true;
  }
  bool EndObject() override { return --depth_, true; }
  bool StartArray() override { return ++depth_, true; }
  bool EndArray() override { return --depth_, true; }

  std::string text;
  std::vector<float> embedding;

 private:
  int depth_ = 0;
  std::string key_;
};

int Verify(const std::string& path) {
  std::ifstream in(path);
  if (!in) {
    std::cerr << "cannot read " << path << '\n';
    return 2;
  }
  std::string line;
  std::uint64_t lines = 0;
  std::uint64_t wrong = 0;
  while (std::getline(in, line)) {
    ++lines;
    ExportLine entry;
    const Status status = ParseJson(line, 16, &entry);
    if (status.ok() && !entry.embedding.empty() &&
        entry.embedding == FlakyVector(entry.text, static_cast<int>(entry.embedding.size()))) {
      continue;
    }
    if (++wrong <= 10) std::cerr << path << ':' << lines << ": not this server's vector\n";
  }
  std::cout << lines << " vectors, " << wrong << " wrong\n";
  return wrong == 0 && lines > 0 ? 0 : 1;
}

void WriteLedgerLine(std::ofstream& out, const FlakyRequest& request, const char* outcome) {
  JsonWriter json;
  json.BeginObject().Key("request").Value(request.number).Key("outcome").Value(outcome);
  json.Key("texts").BeginArray();
  for (const std::string& text : request.texts) json.Value(text);
  json.EndArray().EndObject();
  // Flushed: what a killed run has bought is read from here.
  out << json.str() << std::endl;
}

int Serve(const Flags& flags) {
  std::ofstream ledger;
  if (!flags.ledger.empty()) {
    ledger.open(flags.ledger, std::ios::app);
    if (!ledger) {
      std::cerr << "cannot write " << flags.ledger << '\n';
      return 2;
    }
  }
  Rng rng(flags.server.seed);
  FlakyServer server(flags.server, [&](const FlakyRequest& request) {
    FlakyReply reply;
    reply.delay = flags.delay;
    if (flags.shuffles) reply.flaw = FlakyFlaw::kShuffled;
    if (flags.form != "asked") reply.is_base64 = flags.form == "base64";
    const char* outcome = "answered";
    if (rng.Uniform() < flags.fail_rate) {
      constexpr std::array<FlakyWire, 3> kBreaks = {
          FlakyWire::kResetMidBody, FlakyWire::kCloseNoReply, FlakyWire::kTruncatedLength};
      const std::uint64_t way = rng.Below(4);
      outcome = way == 3 ? "500" : "broken";
      if (way == 3) {
        reply.status = 500;
      } else {
        reply.wire = kBreaks[way];
      }
    }
    if (ledger.is_open()) WriteLedgerLine(ledger, request, outcome);
    return reply;
  });
  std::cout << server.port() << std::endl;
  // Until whoever started us closes our input, or ends us.
  std::array<char, 256> ignored;
  while (::read(STDIN_FILENO, ignored.data(), ignored.size()) > 0) {
  }
  return 0;
}

}  // namespace
}  // namespace embedflow

int main(int count, char** words) {
  embedflow::Flags flags;
  if (!embedflow::ReadFlags(count, words, &flags)) {
    std::cerr << embedflow::kUsage;
    return 2;
  }
  return flags.verify.empty() ? embedflow::Serve(flags) : embedflow::Verify(flags.verify);
}
