#include "tests/fakes/simulate_program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

namespace embedflow {

SimulateProgram::SimulateProgram(const std::string& path,
                                 const std::vector<std::string>& arguments) {
  int ends[2];
  EF_CHECK(pipe2(ends, O_CLOEXEC) == 0);
  std::vector<std::string> words = {path, "simulate"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, ends[1], 1);
  EF_CHECK(posix_spawn(&pid_, path.c_str(), &files, nullptr, argv.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&files);
  close(ends[1]);
  output_ = ends[0];
  first_line_ = ReadLine();
}

SimulateProgram::~SimulateProgram() {
  if (pid_ > 0) (void)Stop(SIGKILL);
  close(output_);
}

std::string SimulateProgram::ReadLine() {
  std::string line;
  for (char c = 0; read(output_, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

std::string SimulateProgram::base_url() const {
  const std::string begin = "listening on ";
  return first_line_.starts_with(begin) ? first_line_.substr(begin.size()) : "";
}

SimulateProgram::Ended SimulateProgram::Stop(int signal) {
  kill(pid_, signal);
  Ended ended;
  for (char c = 0; read(output_, &c, 1) == 1;) ended.rest += c;
  int state = 0;
  EF_CHECK(waitpid(pid_, &state, 0) == pid_);
  pid_ = -1;
  ended.exit_code = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  return ended;
}

}  // namespace embedflow
