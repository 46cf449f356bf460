// What came and what became of it: counts, and a line for each request.
// Threads: may be called from any.
#ifndef EMBEDFLOW_SIMULATOR_LEDGER_H_
#define EMBEDFLOW_SIMULATOR_LEDGER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/file_descriptor.h"
#include "base/mutex.h"
#include "simulator/exchange.h"
#include "simulator/wire.h"

namespace embedflow {

class SimulatorLedger {
 public:
  // Opens or makes the file, where there is to be one. Errors: kIo.
  static Result<std::unique_ptr<SimulatorLedger>> Open(const SimulatorOptions& options);

  // A request for embeddings came at `request.arrived`; `is_admitted` if no limit on rates refused
  // it.
  void Arrived(const SimulatorRequest& request, bool is_admitted);
  // It was answered, or not. The line is in the kernel's hands when this returns.
  void Done(const SimulatorRequest& request, const SimulatorReply& reply,
            const SimulatorSent& sent);

  SimulatorStats stats() const;
  Status status() const;

 private:
  struct Text {
    std::uint32_t answered = 0;
  };

  SimulatorLedger(const SimulatorOptions& options, FileDescriptor file);
  std::string LineFor(const SimulatorRequest& request, const SimulatorReply& reply,
                      const SimulatorSent& sent, bool is_right) const;
  void Count(const SimulatorRequest& request, const SimulatorReply& reply,
             const SimulatorSent& sent, bool is_right) EF_REQUIRES(mu_);

  // Constant after construction.
  const SimulatorLimits limits_;
  const bool has_texts_;
  const std::string path_;
  const FileDescriptor file_;
  // Guarded by mu_.
  mutable Mutex mu_;
  SimulatorStats stats_ EF_GUARDED_BY(mu_);
  // By checksum of (text, model, dimensions): what was seen, and how often it was answered.
  std::unordered_map<std::uint64_t, Text> texts_ EF_GUARDED_BY(mu_);
  std::uint64_t inside_ EF_GUARDED_BY(mu_) = 0;
  TimePoint first_ EF_GUARDED_BY(mu_){};
  TimePoint last_ EF_GUARDED_BY(mu_){};
  // Of what the limits admitted.
  TimePoint first_admitted_ EF_GUARDED_BY(mu_){};
  TimePoint last_admitted_ EF_GUARDED_BY(mu_){};
  std::uint64_t admitted_ EF_GUARDED_BY(mu_) = 0;
  std::uint64_t admitted_tokens_ EF_GUARDED_BY(mu_) = 0;
  std::uint64_t last_tokens_ EF_GUARDED_BY(mu_) = 0;
  Status status_ EF_GUARDED_BY(mu_);
};

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_LEDGER_H_
