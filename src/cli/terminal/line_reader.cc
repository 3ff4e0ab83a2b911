// Waits with poll() for a byte or for the end of the program, whichever comes first.
#include "cli/terminal/line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace zimage::cli {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";
constexpr std::string_view kClearScreen = "\x1b[H\x1b[2J";
constexpr std::string_view kBeginPaste = "\x1b[?2004h";  // marks around what is pasted
constexpr std::string_view kEndPaste = "\x1b[?2004l";

// The terminal's own state while it is raw. Written before g_raw is set, read after.
termios g_original;
std::atomic<bool> g_raw{false};

void write_terminal(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

// Keys come one by one, and Ctrl-C as one of them, while this lives.
class RawTerminal {
 public:
  RawTerminal() {
    if (tcgetattr(STDIN_FILENO, &g_original) != 0)
      throw Error(ErrorCode::Io, std::string("standard input: ") + std::strerror(errno));
    termios raw = g_original;
    raw.c_iflag &= static_cast<tcflag_t>(~(BRKINT | ICRNL | INPCK | ISTRIP | IXON));
    raw.c_lflag &= static_cast<tcflag_t>(~(ECHO | ICANON | IEXTEN | ISIG));
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    // What was typed while a picture was drawn is not lost.
    g_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
    write_terminal(kBeginPaste);
  }
  ~RawTerminal() { LineReader::restore_terminal(); }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
};

class EventDescriptor {
 public:
  EventDescriptor() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (descriptor_ < 0)
      throw Error(ErrorCode::Io, std::string("eventfd: ") + std::strerror(errno));
  }
  ~EventDescriptor() { ::close(descriptor_); }
  EventDescriptor(const EventDescriptor&) = delete;
  EventDescriptor& operator=(const EventDescriptor&) = delete;

  int get() const { return descriptor_; }
  void set() const {
    const std::uint64_t one = 1;
    // It cannot be full: nobody sets it often.
    if (::write(descriptor_, &one, sizeof one) < 0) return;
  }

 private:
  int descriptor_;
};

// Adds what standard input has to `pending`; false at its end.
bool read_more(std::string& pending, int wake) {
  pollfd waits[] = {{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                    {.fd = wake, .events = POLLIN, .revents = 0}};
  while (::poll(waits, 2, -1) < 0) {
    if (errno != EINTR) throw Error(ErrorCode::Io, std::string("poll: ") + std::strerror(errno));
  }
  if (waits[1].revents != 0) throw Error(ErrorCode::Cancelled, "interrupted");
  char bytes[4096];
  const ssize_t count = ::read(STDIN_FILENO, bytes, sizeof bytes);
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  // A terminal that is gone.
  if (count < 0 && errno == EIO) return false;
  if (count < 0) throw Error(ErrorCode::Io, std::string("standard input: ") + std::strerror(errno));
  pending.append(bytes, static_cast<std::size_t>(count));
  return count > 0;
}

std::size_t terminal_columns() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

LineReader::LineReader() {
  if (isatty(STDIN_FILENO) != 1) return;
  const char* term = std::getenv("TERM");
  const bool edits =
      isatty(STDERR_FILENO) == 1 && term != nullptr && std::strcmp(term, "dumb") != 0;
  kind_ = edits ? Kind::Edited : Kind::Plain;
}

void LineReader::restore_terminal() {
  if (!g_raw.exchange(false)) return;
  write_terminal(kEndPaste);
  tcsetattr(STDIN_FILENO, TCSADRAIN, &g_original);
}

LineReader::Answer LineReader::read(const std::string& sign,
                                    const std::vector<std::string>& history,
                                    const std::stop_token& stop) {
  const EventDescriptor stopped;
  const std::stop_callback wake(stop, [&stopped] { stopped.set(); });
  if (kind_ == Kind::Edited) return read_edited(sign, history, stopped.get());
  if (kind_ == Kind::Plain) write_terminal(sign);
  return read_line(stopped.get());
}

void LineReader::show(const std::string& sign) const {
  const std::size_t columns = terminal_columns();
  const std::size_t before = columns_of(sign);
  // The last column stays free: a character there makes some terminals wrap.
  const LineEditor::View view = editor_.view(columns > before + 2 ? columns - before - 1 : 2);
  const std::size_t at = before + view.cursor;
  std::string text(kEraseLine);
  text += sign + view.text + "\r";
  if (at > 0) text += "\x1b[" + std::to_string(at) + "C";
  write_terminal(text);
}

LineReader::Answer LineReader::read_edited(const std::string& sign,
                                           const std::vector<std::string>& history, int wake) {
  std::optional<RawTerminal> raw(std::in_place);
  editor_.begin(history);
  show(sign);
  for (;;) {
    std::size_t used = 0;
    LineEditor::Event event = LineEditor::Event::None;
    while (used < pending_.size() && event == LineEditor::Event::None)
      event = editor_.feed(pending_[used++]);
    pending_.erase(0, used);
    if (event == LineEditor::Event::Clear) write_terminal(kClearScreen);
    if (event == LineEditor::Event::Suspend) {
      raw.reset();
      ::raise(SIGTSTP);
      raw.emplace();
    }
    show(sign);
    switch (event) {
      case LineEditor::Event::Line:
        write_terminal("\n");
        return {.event = Answer::Event::Line, .line = editor_.line()};
      case LineEditor::Event::Interrupt:
        write_terminal("^C\n");
        return {.event = Answer::Event::Interrupt, .line = editor_.line()};
      case LineEditor::Event::End:
        write_terminal("\n");
        return {.event = Answer::Event::End, .line = {}};
      default: break;
    }
    if (pending_.empty() && !read_more(pending_, wake)) {
      write_terminal("\n");
      return {.event = Answer::Event::End, .line = {}};
    }
  }
}

LineReader::Answer LineReader::read_line(int wake) {
  Answer answer;
  for (;;) {
    const std::size_t end = pending_.find('\n');
    const std::size_t length = end == std::string::npos ? pending_.size() : end;
    const std::size_t room = kMaxBytes - answer.line.size();
    answer.cut |= length > room;
    answer.line.append(pending_, 0, std::min(length, room));
    pending_.erase(0, end == std::string::npos ? length : length + 1);
    if (end != std::string::npos) return answer;
    if (ended_ || !read_more(pending_, wake)) {
      ended_ = true;
      if (answer.line.empty()) answer.event = Answer::Event::End;
      return answer;
    }
  }
}

}  // namespace zimage::cli
