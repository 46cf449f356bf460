#include "cli/display.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <utility>

namespace embedflow::cli {
namespace {

constexpr std::chrono::milliseconds kRedrawEvery{250};
// A shorter run needs no bar.
constexpr double kBarAfterSeconds = 1;

std::string TimeStamp() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text;
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ ", &utc);
  return text.data();
}

}  // namespace

void WriteToStderr(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

Display::Mode Display::ModeFor(std::string_view when, const Stream& stream) {
  if (when == "none") return Mode::kNone;
  if (when == "plain") return Mode::kPlain;
  return stream.is_terminal ? Mode::kBar : Mode::kPlain;
}

Display::Display(Mode mode, const ProgressContext& context, const Stream& stream)
    : mode_(mode),
      context_(context),
      stream_(stream),
      begin_(std::chrono::steady_clock::now()),
      tracker_(context) {
  if (mode_ != Mode::kNone) thread_ = std::thread([this] { Run(); });
}

Display::~Display() { Finish(); }

void Display::Update(const Progress& snapshot) {
  const std::lock_guard<std::mutex> lock(snapshot_mu_);
  snapshot_ = snapshot;
}

Progress Display::latest() const {
  const std::lock_guard<std::mutex> lock(snapshot_mu_);
  return snapshot_.value_or(Progress{});
}

void Display::Say(std::string_view lines) {
  const std::lock_guard<std::mutex> lock(draw_mu_);
  Erase();
  WriteToStderr(lines);
}

void Display::Finish() {
  {
    const std::lock_guard<std::mutex> lock(draw_mu_);
    finished_ = true;
    Erase();
  }
  finish_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Display::Run() {
  std::unique_lock<std::mutex> lock(draw_mu_);
  while (!finish_.wait_for(lock, kRedrawEvery, [this] { return finished_; })) {
    const std::chrono::duration<double> now = std::chrono::steady_clock::now() - begin_;
    if (mode_ == Mode::kBar) {
      Draw(now.count());
    } else {
      DrawPlain(now.count());
    }
  }
}

void Display::Draw(double now) {
  const ProgressView view = tracker_.Update(latest(), now);
  if (now < kBarAfterSeconds) return;
  std::vector<std::string> lines =
      Render(view, context_, ColumnsOf(stream_.fd), stream_.utf8, stream_.colour);
  if (lines == drawn_) return;
  // One write, so that the terminal never shows half a block.
  std::string text;
  if (!drawn_.empty()) text = "\x1b[" + std::to_string(drawn_.size()) + "A";
  for (const std::string& line : lines) text += "\r\x1b[K" + line + "\n";
  text += "\x1b[J";
  WriteToStderr(text);
  drawn_ = std::move(lines);
}

void Display::DrawPlain(double now) {
  const ProgressView view = tracker_.Update(latest(), now);
  const std::string_view event = schedule_.Due(view, now);
  if (event.empty()) return;
  // The journal has time stamps of its own.
  std::string line = std::getenv("JOURNAL_STREAM") == nullptr ? TimeStamp() : std::string();
  WriteToStderr(line + RenderPlain(view, event) + "\n");
}

void Display::Erase() {
  if (drawn_.empty()) return;
  WriteToStderr("\x1b[" + std::to_string(drawn_.size()) + "A\r\x1b[J");
  drawn_.clear();
}

}  // namespace embedflow::cli
