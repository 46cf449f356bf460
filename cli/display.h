// Shows a run's progress on standard error: a block that is redrawn on a terminal, lines of logfmt
// anywhere else. What is decided stands in progress.h; this draws.
#ifndef EMBEDFLOW_CLI_DISPLAY_H_
#define EMBEDFLOW_CLI_DISPLAY_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cli/progress.h"
#include "cli/terminal.h"

namespace embedflow::cli {

// Draws from the newest snapshot, on a thread of its own, so that a terminal that does not take
// bytes (Ctrl-S) holds up nothing but itself.
// Threads: Update and Say may be called by any; the rest by one.
class Display {
 public:
  enum class Mode { kBar, kPlain, kNone };
  // What `--progress WHEN` means on this stream: a bar needs a terminal.
  static Mode ModeFor(std::string_view when, const Stream& stream);

  Display(Mode mode, const ProgressContext& context, const Stream& stream);
  Display(const Display&) = delete;
  Display& operator=(const Display&) = delete;
  ~Display();

  // Keeps a copy of the snapshot and returns at once.
  void Update(const Progress& snapshot);
  // The newest snapshot.
  Progress latest() const;
  // Writes whole lines (each with its line end) above the block.
  void Say(std::string_view lines);
  // Removes the block. Nothing is drawn afterwards; Say still works.
  void Finish();

 private:
  void Run();
  void Draw(double now);
  void DrawPlain(double now);
  void Erase();

  const Mode mode_;
  const ProgressContext context_;
  const Stream stream_;
  const std::chrono::steady_clock::time_point begin_;

  mutable std::mutex snapshot_mu_;
  std::optional<Progress> snapshot_;  // Guarded by snapshot_mu_.

  std::mutex draw_mu_;       // Also keeps lines of several threads apart.
  ProgressTracker tracker_;  // Guarded by draw_mu_, as all below.
  PlainSchedule schedule_;
  std::vector<std::string> drawn_;
  bool finished_ = false;
  std::condition_variable finish_;
  std::thread thread_;
};

// Writes to standard error without any buffer; what cannot be written is lost.
void WriteToStderr(std::string_view text);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_DISPLAY_H_
