// Reads HTTP/1.1 requests off a connection of FlakyServer.
#ifndef EMBEDFLOW_TESTS_FAKES_FLAKY_REQUEST_H_
#define EMBEDFLOW_TESTS_FAKES_FLAKY_REQUEST_H_

#include <string>

#include "tests/fakes/flaky_server.h"

namespace embedflow {

// `text` with its ASCII letters small.
std::string LowerAscii(std::string text);

// One connection; requests that arrive together are kept apart.
// Threads: one.
class FlakyReader {
 public:
  // Does not own `fd`.
  explicit FlakyReader(int fd) : fd_(fd) {}

  // Waits for a whole request. False when the connection ends or holds none.
  bool Next(FlakyRequest* request);

 private:
  bool More();

  const int fd_;
  std::string buffer_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_FAKES_FLAKY_REQUEST_H_
