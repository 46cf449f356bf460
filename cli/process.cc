#include "cli/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <utility>

namespace embedflow::cli {
namespace {

// After this many the user does not want to wait any more, not even for a commit.
constexpr int kSignalsMax = 3;

// What the handler may touch. A handler and a pipe, not a signalfd with blocked signals: OpenBLAS
// starts threads before main, which do not inherit what main blocks, and would die of the signal.
std::atomic<int> signal_pipe{-1};
std::atomic<int> signal_count{0};
std::atomic<int> signal_first{0};
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void OnStopSignal(int signal) {
  const int saved_errno = errno;
  int none = 0;
  signal_first.compare_exchange_strong(none, signal);
  if (++signal_count >= kSignalsMax) _exit(128 + signal);
  const auto byte = static_cast<unsigned char>(signal);
  // Two bytes at most ever stand in the pipe; it cannot be full.
  if (write(signal_pipe, &byte, 1) < 0) _exit(128 + signal);
  errno = saved_errno;
}

void SetStopHandler(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // nohup(1) ignores it for the whole life of the process.
  struct sigaction before {};
  if (sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) {
    sigaction(SIGHUP, &action, nullptr);
  }
}

}  // namespace

void PrepareProcess() {
  // Opened the wrong way round, so that using a stream that the caller closed is an error.
  constexpr int kModes[] = {O_WRONLY, O_RDONLY, O_WRONLY};
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
    // open() takes the lowest free number, which is this one.
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", kModes[fd]) != fd) _exit(1);
  }
  umask(077);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

void ForbidCoreFiles() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
#ifndef EMBEDFLOW_SANITIZED
  // A core that is piped to a program knows no limit of size.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

std::uint64_t PeakRssBytes() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

StopSignals::StopSignals(std::function<void(int, int)> handler) : handler_(std::move(handler)) {
  // Out of descriptors, signals keep their default: better to die of one than to be deaf to it.
  if (pipe2(pipe_, O_CLOEXEC) != 0) return;
  signal_pipe = pipe_[1];
  thread_ = std::thread([this] { Run(); });
  SetStopHandler(OnStopSignal);
}

StopSignals::~StopSignals() {
  if (!thread_.joinable()) return;
  SetStopHandler(SIG_DFL);
  const unsigned char quit = 0;
  if (write(pipe_[1], &quit, 1) < 0) _exit(1);
  thread_.join();
  signal_pipe = -1;
  close(pipe_[0]);
  close(pipe_[1]);
}

int StopSignals::count() const { return signal_count; }
int StopSignals::first() const { return signal_first; }

void StopSignals::Run() {
  int count = 0;
  while (true) {
    unsigned char signal = 0;
    const ssize_t got = read(pipe_[0], &signal, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got != 1 || signal == 0) return;
    handler_(signal, ++count);
  }
}

}  // namespace embedflow::cli
