// Sends a reply over a connection, whole or broken in the way it asks for.
// Threads: one a connection.
#ifndef EMBEDFLOW_SIMULATOR_WIRE_H_
#define EMBEDFLOW_SIMULATOR_WIRE_H_

#include <string>
#include <string_view>

#include "simulator/exchange.h"

namespace embedflow {

// How sending ended.
struct SimulatorSent {
  bool is_whole = false;   // Every byte of a reply is in the kernel's hands.
  bool goes_on = false;    // The connection may carry another request.
  bool resets = false;     // It shall be reset, not closed.
  bool has_begun = false;  // At least one byte of a status line was sent.
};

// Does not own its descriptors.
class SimulatorSocket {
 public:
  // `stop_fd` becomes readable when the server ends.
  SimulatorSocket(int fd, int stop_fd) : fd_(fd), stop_fd_(stop_fd) {}

  // Waits out the reply's time, then sends `body` under `status` and `headers` as `reply.wire`
  // says.
  SimulatorSent Send(const SimulatorReply& reply, std::string body);

 private:
  // False when the server ends or the client has gone.
  bool Pause(Duration time) const;
  bool SendAll(std::string_view bytes) const;
  bool SendBoth(std::string_view head, std::string_view body) const;
  SimulatorSent SendPieces(const SimulatorReply& reply, std::string_view head,
                           std::string_view body) const;
  bool SendByteWise(const SimulatorReply& reply, std::string_view bytes) const;
  bool SendGiant(const SimulatorReply& reply) const;
  bool SendHeaderFlood() const;

  const int fd_;
  const int stop_fd_;
};

// The next close() of `fd` resets its connection instead of ending it.
void MakeCloseReset(int fd);

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_WIRE_H_
