// Reads HTTP/1.1 requests off a connection, and what their bodies ask for.
#ifndef EMBEDFLOW_SIMULATOR_REQUEST_H_
#define EMBEDFLOW_SIMULATOR_REQUEST_H_

#include <string>

#include "simulator/exchange.h"

namespace embedflow {

// One connection; requests that arrive together are kept apart.
// Threads: one.
class SimulatorReader {
 public:
  // Does not own `fd`.
  explicit SimulatorReader(int fd) : fd_(fd) {}

  // Waits for a whole request. False when the connection ends or holds none, or one whose head
  // passes 64 KiB or whose body passes 256 MiB.
  bool Next(SimulatorRequest* request);

 private:
  bool More();
  bool ReadBody(std::size_t length, std::string* body);
  bool ReadChunkedBody(std::string* body);

  const int fd_;
  std::string buffer_;
};

// Fills what stands in the body, in the words of any dialect. Where it cannot be read, texts are
// empty and `body_error` says why.
void ReadSimulatorBody(SimulatorRequest* request);

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_REQUEST_H_
