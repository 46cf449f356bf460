// The bodies of the simulator's replies under the names that tests use.
#ifndef EMBEDFLOW_TESTS_FAKES_FLAKY_REPLY_H_
#define EMBEDFLOW_TESTS_FAKES_FLAKY_REPLY_H_

#include <string>

#include "base/random.h"
#include "simulator/embedding.h"
#include "simulator/gzip.h"
#include "simulator/reply_body.h"
#include "simulator/request.h"
#include "tests/fakes/flaky_server.h"

namespace embedflow {

inline void ReadFlakyBody(FlakyRequest* request) { ReadSimulatorBody(request); }

inline std::string WriteFlakyBody(const FlakyRequest& request, const FlakyReply& reply,
                                  int dimensions, Rng& rng) {
  return WriteSimulatorBody(request, reply, dimensions, rng);
}

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_FAKES_FLAKY_REPLY_H_
