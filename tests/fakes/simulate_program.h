// `embedflow simulate` as a running program whose address is known.
#ifndef EMBEDFLOW_TESTS_FAKES_SIMULATE_PROGRAM_H_
#define EMBEDFLOW_TESTS_FAKES_SIMULATE_PROGRAM_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace embedflow {

class SimulateProgram {
 public:
  // Starts `path simulate arguments...` and waits for its first line. Standard error is the test's.
  SimulateProgram(const std::string& path, const std::vector<std::string>& arguments);
  // Kills it if it still runs.
  ~SimulateProgram();
  SimulateProgram(const SimulateProgram&) = delete;
  SimulateProgram& operator=(const SimulateProgram&) = delete;

  const std::string& first_line() const { return first_line_; }
  // "http://127.0.0.1:PORT/v1"; empty if the first line was another.
  std::string base_url() const;

  struct Ended {
    int exit_code = -1;  // 128 + signal if it was killed.
    std::string rest;    // Its standard output behind the first line.
  };
  // Sends it `signal` and waits for its end.
  Ended Stop(int signal);

 private:
  std::string ReadLine();

  pid_t pid_ = -1;
  int output_ = -1;
  std::string first_line_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_FAKES_SIMULATE_PROGRAM_H_
