// Runs the built program as a user would: arguments in, exit code and output back.
#ifndef EMBEDFLOW_TESTS_FAKES_PROGRAM_H_
#define EMBEDFLOW_TESTS_FAKES_PROGRAM_H_

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace embedflow {

struct ProgramResult {
  int exit_code = -1;  // 128 + signal if it was killed.
  std::string out;
  std::string err;
};

// A running program. Its output goes to files, so a full pipe never blocks it.
class Program {
 public:
  // Starts `path` with `arguments`; standard input is `input` or nothing. Extra environment entries
  // are "NAME=value".
  Program(const std::string& path, const std::vector<std::string>& arguments,
          const std::string& input = "", const std::vector<std::string>& environment = {});
  // Kills it if it still runs.
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal);
  // Waits for its end for so long at most; true if it has ended.
  bool EndsWithin(std::chrono::microseconds time) const;
  // Waits for its end.
  ProgramResult Wait();

 private:
  std::string directory_;
  pid_t pid_ = -1;
};

ProgramResult RunProgram(const std::string& path, const std::vector<std::string>& arguments,
                         const std::string& input = "",
                         const std::vector<std::string>& environment = {});

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_FAKES_PROGRAM_H_
