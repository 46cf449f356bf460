// A running program whose standard streams a test chooses: a pipe, a terminal, a device, or none.
#ifndef EMBEDFLOW_TESTS_CLI_SPAWN_H_
#define EMBEDFLOW_TESTS_CLI_SPAWN_H_

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace embedflow {

// The two ends of a pipe or of a terminal; closed with it unless taken.
struct Ends {
  int ours = -1;
  int theirs = -1;

  Ends() = default;
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
  ~Ends() {
    CloseOurs();
    CloseTheirs();
  }
  void CloseOurs() {
    if (ours >= 0) close(ours);
    ours = -1;
  }
  void CloseTheirs() {
    if (theirs >= 0) close(theirs);
    theirs = -1;
  }
  void MakePipeFrom() {
    int fds[2];
    EF_CHECK(pipe2(fds, O_CLOEXEC) == 0);
    ours = fds[0];
    theirs = fds[1];
  }
  void MakePipeTo() {
    int fds[2];
    EF_CHECK(pipe2(fds, O_CLOEXEC) == 0);
    ours = fds[1];
    theirs = fds[0];
  }
  void MakeTerminal(unsigned short columns) {
    const winsize size{24, columns, 0, 0};
    EF_CHECK(openpty(&ours, &theirs, nullptr, nullptr, &size) == 0);
    fcntl(ours, F_SETFD, FD_CLOEXEC);
    fcntl(theirs, F_SETFD, FD_CLOEXEC);
  }
};

class Spawned {
 public:
  // Descriptors of -1 are closed in the program.
  Spawned(std::vector<std::string> words, int in, int out, int err,
          std::vector<std::string> environment = {}) {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
    std::vector<char*> envp;
    for (std::string& entry : environment) envp.push_back(entry.data());
    envp.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    const int fds[] = {in, out, err};
    for (int fd = 0; fd < 3; ++fd) {
      if (fds[fd] < 0) {
        posix_spawn_file_actions_addclose(&files, fd);
      } else {
        posix_spawn_file_actions_adddup2(&files, fds[fd], fd);
      }
    }
    EF_CHECK(posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), envp.data()) == 0);
    posix_spawn_file_actions_destroy(&files);
  }
  Spawned(const Spawned&) = delete;
  Spawned& operator=(const Spawned&) = delete;
  ~Spawned() {
    if (pid_ < 0) return;
    kill(pid_, SIGKILL);
    (void)Wait();
  }

  void Signal(int signal) const { kill(pid_, signal); }
  // The exit code, or 128 + signal.
  int Wait() {
    int state = 0;
    EF_CHECK(waitpid(pid_, &state, 0) == pid_);
    pid_ = -1;
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  }

 private:
  pid_t pid_ = -1;
};

// Appends to `text` what comes from `fd` until it holds `wanted`; false at the end or after 60 s.
inline bool ReadUntil(int fd, std::string_view wanted, std::string* text) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (wanted.empty() || text->find(wanted) == std::string::npos) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    pollfd source{fd, POLLIN, 0};
    if (poll(&source, 1, 1000) <= 0) continue;
    char buffer[4096];
    const ssize_t count = read(fd, buffer, sizeof buffer);
    // A terminal whose other end is closed answers EIO.
    if (count <= 0) return false;
    text->append(buffer, static_cast<std::size_t>(count));
  }
  return true;
}

inline std::string ReadToEnd(int fd) {
  std::string text;
  (void)ReadUntil(fd, {}, &text);
  return text;
}

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_CLI_SPAWN_H_
