#include "tests/fakes/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/check.h"
#include "base/file_descriptor.h"

namespace embedflow {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

Program::Program(const std::string& path, const std::vector<std::string>& arguments,
                 const std::string& input, const std::vector<std::string>& environment) {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "embedflow_program_XXXXXX").string();
  EF_CHECK(mkdtemp(pattern.data()) != nullptr);
  directory_ = pattern;
  std::ofstream(directory_ + "/in", std::ios::binary) << input;

  std::vector<std::string> words = {path};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> variables = environment;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
  std::vector<char*> envp;
  for (std::string& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, (directory_ + "/in").c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, (directory_ + "/out").c_str(), O_WRONLY | O_CREAT,
                                   0600);
  posix_spawn_file_actions_addopen(&files, 2, (directory_ + "/err").c_str(), O_WRONLY | O_CREAT,
                                   0600);
  EF_CHECK(posix_spawn(&pid_, path.c_str(), &files, nullptr, argv.data(), envp.data()) == 0);
  posix_spawn_file_actions_destroy(&files);
}

Program::~Program() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    (void)Wait();
  }
  std::filesystem::remove_all(directory_);
}

void Program::Signal(int signal) { kill(pid_, signal); }

bool Program::EndsWithin(std::chrono::microseconds time) const {
  const FileDescriptor process(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  EF_CHECK(process.ok());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  const timespec timeout{seconds.count(), (time - seconds).count() * 1000};
  pollfd end{process.get(), POLLIN, 0};
  return ppoll(&end, 1, &timeout, nullptr) == 1;
}

ProgramResult Program::Wait() {
  int state = 0;
  EF_CHECK(waitpid(pid_, &state, 0) == pid_);
  pid_ = -1;
  ProgramResult result;
  result.exit_code = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  result.out = ReadFile(directory_ + "/out");
  result.err = ReadFile(directory_ + "/err");
  return result;
}

ProgramResult RunProgram(const std::string& path, const std::vector<std::string>& arguments,
                         const std::string& input, const std::vector<std::string>& environment) {
  return Program(path, arguments, input, environment).Wait();
}

}  // namespace embedflow
