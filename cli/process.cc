#include "cli/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace embedflow::cli {
namespace {

// After this many the user does not want to wait any more, not even for a commit.
constexpr int kSignalsMax = 3;

sigset_t StopSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
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
}

std::uint64_t PeakRssBytes() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

StopSignals::StopSignals(std::function<void(int, int)> handler) : handler_(std::move(handler)) {
  const sigset_t set = StopSet();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  quit_ = eventfd(0, EFD_CLOEXEC);
  if (signals_ < 0 || quit_ < 0) {
    // Out of descriptors: better to die of a signal than to be deaf to it.
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    return;
  }
  thread_ = std::thread([this] { Run(); });
}

StopSignals::~StopSignals() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  if (write(quit_, &one, sizeof one) < 0) _exit(1);
  thread_.join();
  close(signals_);
  close(quit_);
  const sigset_t set = StopSet();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void StopSignals::Run() {
  pollfd sources[] = {{signals_, POLLIN, 0}, {quit_, POLLIN, 0}};
  while (true) {
    if (poll(sources, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (sources[1].revents != 0) return;
    signalfd_siginfo info{};
    if (read(signals_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
    const int signal = static_cast<int>(info.ssi_signo);
    int none = 0;
    first_.compare_exchange_strong(none, signal);
    const int count = ++count_;
    if (count >= kSignalsMax) _exit(128 + signal);
    handler_(signal, count);
  }
}

}  // namespace embedflow::cli
