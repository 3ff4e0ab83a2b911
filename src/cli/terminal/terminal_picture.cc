// The three protocols.
#include "cli/terminal/terminal_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <vector>

namespace zimage::cli {
namespace {

constexpr std::size_t kKittyChunk = 4096;
constexpr int kColumnPixels = 8;
// Levels of each colour in sixels.
constexpr int kLevels = 6;
constexpr int kBand = 6;  // rows of a sixel

std::string kitty(const Image& image, int columns) {
  const std::string data = base64(encode_png(image, {}));
  std::string text;
  for (std::size_t at = 0; at < data.size(); at += kKittyChunk) {
    const bool more = at + kKittyChunk < data.size();
    // q=2: the terminal does not answer.
    const std::string first = at == 0 ? fmt::format("a=T,f=100,q=2,c={},", columns) : "";
    text += fmt::format("\x1b_G{}m={};{}\x1b\\", first, more ? 1 : 0, data.substr(at, kKittyChunk));
  }
  return text + "\n";
}

std::string iterm2(const Image& image, int columns) {
  const std::vector<std::uint8_t> png = encode_png(image, {});
  return fmt::format("\x1b]1337;File=inline=1;size={};width={};preserveAspectRatio=1:{}\x07\n",
                     png.size(), columns, base64(png));
}

// Which of the palette's colours each pixel of an image `times` as large has.
class Sixels {
 public:
  Sixels(const Image& image, int times) : image_(image), times_(times) {}

  std::int64_t width() const { return image_.width * times_; }
  std::int64_t height() const { return image_.height * times_; }
  int colour(std::int64_t x, std::int64_t y) const {
    const std::int64_t at = (y / times_ * image_.width + x / times_) * 3;
    int index = 0;
    for (std::int64_t i = 0; i < 3; ++i) {
      const int value = image_.rgb[static_cast<std::size_t>(at + i)];
      index = index * kLevels + (value * (kLevels - 1) + 127) / 255;
    }
    return index;
  }

  // Those that occur, with their levels in percent.
  std::string palette() const {
    std::array<bool, kLevels * kLevels * kLevels> used{};
    for (std::int64_t y = 0; y < height(); y += times_) {
      for (std::int64_t x = 0; x < width(); x += times_)
        used[static_cast<std::size_t>(colour(x, y))] = true;
    }
    std::string text;
    for (int i = 0; i < static_cast<int>(used.size()); ++i) {
      if (!used[static_cast<std::size_t>(i)]) continue;
      constexpr int kPercent = 100 / (kLevels - 1);
      text += fmt::format("#{};2;{};{};{}", i, i / kLevels / kLevels * kPercent,
                          i / kLevels % kLevels * kPercent, i % kLevels * kPercent);
    }
    return text;
  }

  // Six rows: each of their colours over the whole width.
  std::string band(std::int64_t first) const {
    const std::int64_t rows = std::min<std::int64_t>(kBand, height() - first);
    std::array<std::string, kLevels * kLevels * kLevels> lines;
    for (std::int64_t x = 0; x < width(); ++x) {
      for (std::int64_t row = 0; row < rows; ++row) {
        std::string& line = lines[static_cast<std::size_t>(colour(x, first + row))];
        line.resize(static_cast<std::size_t>(width()), '?');  // no pixel set
        char& sixel = line[static_cast<std::size_t>(x)];
        sixel = static_cast<char>('?' + ((sixel - '?') | 1 << row));
      }
    }
    std::string text;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].empty()) continue;
      text += fmt::format("#{}{}$", i, packed(lines[i]));
    }
    return text + "-";
  }

 private:
  // Runs of four and more as their number.
  static std::string packed(const std::string& line) {
    constexpr std::size_t kFewest = 4;
    std::string text;
    for (std::size_t at = 0; at < line.size();) {
      const std::size_t end = std::min(line.find_first_not_of(line[at], at), line.size());
      const std::size_t run = end - at;
      text += run < kFewest ? std::string(run, line[at]) : fmt::format("!{}{}", run, line[at]);
      at = end;
    }
    return text;
  }

  const Image& image_;
  int times_;
};

std::string sixel(const Image& image, int columns) {
  const std::int64_t wanted = std::int64_t{columns} * kColumnPixels;
  const Sixels sixels(image,
                      static_cast<int>(std::clamp<std::int64_t>(wanted / image.width, 1, 64)));
  std::string text =
      fmt::format("\x1bPq\"1;1;{};{}{}", sixels.width(), sixels.height(), sixels.palette());
  for (std::int64_t row = 0; row < sixels.height(); row += kBand) text += sixels.band(row);
  return text + "\x1b\\\n";
}

}  // namespace

std::optional<TerminalGraphics> detect_graphics(
    const std::function<const char*(const char*)>& variable) {
  const auto value = [&variable](const char* name) {
    const char* text = variable(name);
    return std::string_view(text == nullptr ? "" : text);
  };
  const std::string_view term = value("TERM");
  const std::string_view program = value("TERM_PROGRAM");
  if (!value("TMUX").empty() || term.starts_with("tmux") || term.starts_with("screen"))
    return TerminalGraphics::None;
  if (!value("KITTY_WINDOW_ID").empty() || term.find("kitty") != std::string_view::npos ||
      term.find("ghostty") != std::string_view::npos || program == "ghostty")
    return TerminalGraphics::Kitty;
  if (program == "iTerm.app" || program == "WezTerm" || value("LC_TERMINAL") == "iTerm2" ||
      !value("WEZTERM_PANE").empty())
    return TerminalGraphics::ITerm2;
  for (const std::string_view name : {"foot", "mlterm", "yaft", "contour"}) {
    if (term.starts_with(name)) return TerminalGraphics::Sixel;
  }
  if (term.find("sixel") != std::string_view::npos) return TerminalGraphics::Sixel;
  if (term.empty() || term == "dumb" || term == "linux" || program == "Apple_Terminal")
    return TerminalGraphics::None;
  return std::nullopt;
}

std::string terminal_picture(const Image& image, TerminalGraphics graphics, int columns) {
  switch (graphics) {
    case TerminalGraphics::None: return {};
    case TerminalGraphics::Kitty: return kitty(image, columns);
    case TerminalGraphics::ITerm2: return iterm2(image, columns);
    case TerminalGraphics::Sixel: return sixel(image, columns);
  }
  return {};
}

std::string base64(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    unsigned word = 0;
    for (std::size_t i = 0; i < 3; ++i) word = word << 8 | (i < count ? bytes[at + i] : 0U);
    for (std::size_t i = 0; i < 4; ++i)
      text += i <= count ? kDigits[word >> (18 - 6 * i) & 63U] : '=';
  }
  return text;
}

}  // namespace zimage::cli
