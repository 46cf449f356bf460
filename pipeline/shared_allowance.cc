#include "pipeline/shared_allowance.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "base/file_descriptor.h"
#include "base/hash.h"
#include "base/log.h"
#include "embedflow/status.h"

namespace embedflow {
namespace {

constexpr std::string_view kMagic = "efallow\n";
constexpr std::uint32_t kVersion = 2;
constexpr std::size_t kBootIdBytes = 40;
constexpr std::size_t kNameBytesMax = 128;
constexpr std::chrono::milliseconds kContended{1};
// A lock is held for microseconds. One that is never free for so long, asked so many times in a
// row, is held by a process that is stopped.
constexpr std::chrono::seconds kContendedMax{1};
constexpr int kContendedTriesMax = 20;
// A state from further ahead than this is of another clock.
constexpr std::int64_t kAheadMaxNs = 60'000'000'000;

// The whole file. A boot's steady clock is common to all of its processes and to no other's.
struct Image {
  std::array<char, 8> magic{};
  std::uint32_t version = 0;
  std::uint32_t bytes = 0;
  std::array<char, kBootIdBytes> boot_id{};
  AllowanceState state;
  std::uint64_t checksum = 0;  // Of all bytes before it.
};
static_assert(std::is_trivially_copyable_v<Image>);

std::uint64_t ChecksumOf(const Image& image) {
  return Checksum({reinterpret_cast<const char*>(&image), offsetof(Image, checksum)});
}

std::array<char, kBootIdBytes> ReadBootId() {
  std::array<char, kBootIdBytes> id{};
  const FileDescriptor file(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  // Without one, kAheadMaxNs still finds most files of another boot.
  if (!file.ok() || read(file.get(), id.data(), id.size()) < 0) id = {};
  return id;
}

Status SystemError(const std::string& what) {
  return Status(Code::kIo, what + ": " + std::generic_category().message(errno));
}

std::string DirectoryOf(const FlowOptions& flow) {
  if (!flow.allowance_directory.empty()) return flow.allowance_directory;
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe)
  if (runtime != nullptr && runtime[0] == '/') return std::string(runtime) + "/embedflow";
  return "/tmp/embedflow-" + std::to_string(geteuid());
}

// Nothing of a provider's making may lead out of the directory.
std::string FileNameOf(const std::string& id) {
  const bool is_plain = id.size() <= kNameBytesMax && std::all_of(id.begin(), id.end(), [](char c) {
                          return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
                        });
  return (is_plain ? id : HashContent(id).hex()) + ".allowance";
}

// Others must not be able to put files in our way; the default below /tmp is open to all.
Result<FileDescriptor> OpenDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return SystemError(path);
  FileDescriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory.ok()) return SystemError(path);
  struct stat about {};
  if (fstat(directory.get(), &about) != 0) return SystemError(path);
  if (about.st_uid != geteuid() || (about.st_mode & 022) != 0) {
    return Status(Code::kIo, path + ": belongs to another user, or others may write there");
  }
  return directory;
}

Result<FileDescriptor> OpenFile(const FileDescriptor& directory, const std::string& name) {
  FileDescriptor file(openat(directory.get(), name.c_str(),
                             O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600));
  if (!file.ok()) return SystemError(name);
  struct stat about {};
  if (fstat(file.get(), &about) != 0) return SystemError(name);
  if (!S_ISREG(about.st_mode) || about.st_uid != geteuid() || (about.st_mode & 077) != 0) {
    return Status(Code::kIo, name + ": is no file of ours alone");
  }
  return file;
}

// What could not be told to the file because another process held it.
struct News {
  AllowanceCost taken{0, 0, 0}, real{0, 0, 0};
  bool has_costs = false;
  std::optional<std::pair<RateHints, AllowanceCost>> hints;  // The latest.
  std::optional<TimePoint> pause_until;
  bool ramp_was_too_fast = false;

  bool empty() const { return !has_costs && !hints && !pause_until; }
};

void AddTo(AllowanceCost* sum, const AllowanceCost& cost) {
  sum->requests += cost.requests;
  sum->inputs += cost.inputs;
  sum->model_tokens += cost.model_tokens;
}

class SharedAllowance final : public Allowance {
 public:
  SharedAllowance(FileDescriptor directory, FileDescriptor file, std::string name,
                  const AllowanceLimits& limits, bool limits_are_the_users, TimePoint now)
      : rules_(limits, limits_are_the_users),
        boot_id_(ReadBootId()),
        name_(std::move(name)),
        directory_(std::move(directory)),
        file_(std::move(file)),
        own_(rules_.Fresh(now)),
        last_now_(now) {}
  SharedAllowance(const SharedAllowance&) = delete;
  SharedAllowance& operator=(const SharedAllowance&) = delete;
  // Others pay for what they are not told.
  ~SharedAllowance() override {
    if (file_.ok() && !news_.empty()) Tell(last_now_);
  }

  std::optional<TimePoint> Take(const AllowanceCost& cost, TimePoint now) override {
    std::optional<TimePoint> again;
    const bool done = Change(now, [&](AllowanceState* state) {
      again = rules_.Take(state, cost, now);
      return !again;
    });
    return done ? again : now + kContended;
  }
  void Settle(const AllowanceCost& taken, const AllowanceCost& real, TimePoint now) override {
    AddTo(&news_.taken, taken);
    AddTo(&news_.real, real);
    news_.has_costs = true;
    Tell(now);
  }
  void Feed(const RateHints& hints, const AllowanceCost& under_way, TimePoint now) override {
    if (hints == RateHints{}) return;
    news_.hints = {hints, under_way};
    Tell(now);
  }
  void Pause(TimePoint until, bool ramp_was_too_fast, TimePoint now) override {
    news_.pause_until = std::max(news_.pause_until.value_or(until), until);
    news_.ramp_was_too_fast = news_.ramp_was_too_fast || ramp_was_too_fast;
    Tell(now);
  }

 private:
  void Tell(TimePoint now) {
    Change(now, [](AllowanceState*) { return false; });
  }

  // Applies the news and then `change`, which says whether it changed anything, to the state in the
  // file. False if another process holds the file, for the time being.
  template <typename F>
  bool Change(TimePoint now, F change) {
    last_now_ = now;
    if (file_.ok()) {
      if (Lock()) {
        contended_tries_ = 0;
        Load(now);
      } else if (errno != EWOULDBLOCK && errno != EINTR) {
        KeepToOurselves(SystemError(name_));
      } else if (IsHeldForGood(now)) {
        // Half of somebody's write is told by the checksum.
        Load(now);
        KeepToOurselves(Status(Code::kUnavailable,
                               name_ + ": another process has held it for longer than a second"));
      } else {
        return false;
      }
    }
    const bool had_news = ApplyNews(now);
    const bool changed = change(&own_);
    if (!file_.ok()) return true;
    if ((had_news || changed) && !Save()) {
      KeepToOurselves(SystemError(name_));
    } else {
      flock(file_.get(), LOCK_UN);
    }
    return true;
  }

  bool Lock() {
    if (flock(file_.get(), LOCK_EX | LOCK_NB) != 0) return false;
    struct stat about {};
    if (fstat(file_.get(), &about) == 0 && about.st_nlink > 0) return true;
    // Somebody tidied up: the others will meet in a new file, and so must we.
    Result<FileDescriptor> anew = OpenFile(directory_, name_);
    if (!anew.ok()) return true;
    file_ = std::move(*anew);
    return flock(file_.get(), LOCK_EX | LOCK_NB) == 0;
  }

  bool IsHeldForGood(TimePoint now) {
    if (contended_tries_++ == 0) contended_since_ = now;
    return contended_tries_ > kContendedTriesMax && now - contended_since_ >= kContendedMax;
  }

  void Load(TimePoint now) {
    Image image;
    const ssize_t bytes = pread(file_.get(), &image, sizeof image, 0);
    const std::int64_t now_ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
    const bool is_good = bytes == static_cast<ssize_t>(sizeof image) &&
                         std::memcmp(image.magic.data(), kMagic.data(), kMagic.size()) == 0 &&
                         image.version == kVersion && image.bytes == sizeof image &&
                         image.checksum == ChecksumOf(image) && image.boot_id == boot_id_ &&
                         image.state.updated_ns <= now_ns + kAheadMaxNs;
    if (!is_good) {
      // What this process knows is better than nothing; at first that is a fresh state.
      return;
    }
    own_ = image.state;
    // Who wrote it may have other limits.
    rules_.Adopt(&own_, now);
  }

  bool Save() {
    Image image;
    std::memcpy(image.magic.data(), kMagic.data(), kMagic.size());
    image.version = kVersion;
    image.bytes = sizeof image;
    image.boot_id = boot_id_;
    image.state = own_;
    image.checksum = ChecksumOf(image);
    return pwrite(file_.get(), &image, sizeof image, 0) == static_cast<ssize_t>(sizeof image);
  }

  bool ApplyNews(TimePoint now) {
    if (news_.empty()) return false;
    if (news_.has_costs) rules_.Settle(&own_, news_.taken, news_.real, now);
    if (news_.hints && rules_.Feed(&own_, news_.hints->first, news_.hints->second, now)) {
      LogLoweredRate(own_, &is_lowered_rate_told_);
    }
    if (news_.pause_until) {
      rules_.Pause(&own_, *news_.pause_until, news_.ramp_was_too_fast, now);
    }
    news_ = {};
    return true;
  }

  // The last state known goes on as this process's own.
  void KeepToOurselves(const Status& why) {
    Log(LogLevel::kWarning,
        "the allowance is no longer shared with other processes: " + why.message());
    file_ = FileDescriptor();
  }

  const AllowanceRules rules_;
  const std::array<char, kBootIdBytes> boot_id_;
  const std::string name_;
  const FileDescriptor directory_;
  FileDescriptor file_;  // Not ok: the allowance is of this process alone.
  AllowanceState own_;   // The file's as last seen.
  News news_;
  TimePoint last_now_;
  TimePoint contended_since_;
  int contended_tries_ = 0;  // In a row.
  bool is_lowered_rate_told_ = false;
};

}  // namespace

std::unique_ptr<Allowance> OpenAllowance(const FlowOptions& flow, const std::string& allowance_id,
                                         bool limits_are_the_users, TimePoint now) {
  const AllowanceLimits limits = AllowanceLimits::Of(flow);
  if (flow.allowance_is_shared && !allowance_id.empty()) {
    const std::string name = FileNameOf(allowance_id);
    const auto open_both = [&]() -> Result<std::pair<FileDescriptor, FileDescriptor>> {
      EF_ASSIGN_OR_RETURN(FileDescriptor directory, OpenDirectory(DirectoryOf(flow)));
      EF_ASSIGN_OR_RETURN(FileDescriptor file, OpenFile(directory, name));
      return std::pair(std::move(directory), std::move(file));
    };
    if (Result<std::pair<FileDescriptor, FileDescriptor>> both = open_both(); both.ok()) {
      return std::make_unique<SharedAllowance>(std::move(both->first), std::move(both->second),
                                               name, limits, limits_are_the_users, now);
    } else {
      Log(LogLevel::kWarning,
          "the allowance is not shared with other processes: " + both.status().message());
    }
  }
  return std::make_unique<LocalAllowance>(limits, limits_are_the_users, now);
}

}  // namespace embedflow
