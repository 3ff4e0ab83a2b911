#include "cli/terminal/terminal_picture.h"

#include <gmock/gmock.h>

#include <map>
#include <optional>

namespace zimage::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::optional<TerminalGraphics> detect(const std::map<std::string, std::string>& variables) {
  return detect_graphics([&variables](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(DetectGraphics, KnowsTerminalsByTheirEnvironment) {
  EXPECT_EQ(detect({{"TERM", "xterm-256color"}}), std::nullopt);
  EXPECT_EQ(detect({{"TERM", "xterm-kitty"}}), TerminalGraphics::Kitty);
  EXPECT_EQ(detect({{"TERM", "xterm"}, {"KITTY_WINDOW_ID", "1"}}), TerminalGraphics::Kitty);
  EXPECT_EQ(detect({{"TERM", "xterm-ghostty"}}), TerminalGraphics::Kitty);
  EXPECT_EQ(detect({{"TERM", "xterm"}, {"TERM_PROGRAM", "iTerm.app"}}), TerminalGraphics::ITerm2);
  EXPECT_EQ(detect({{"TERM", "xterm"}, {"TERM_PROGRAM", "WezTerm"}}), TerminalGraphics::ITerm2);
  EXPECT_EQ(detect({{"TERM", "xterm"}, {"LC_TERMINAL", "iTerm2"}}), TerminalGraphics::ITerm2);
  EXPECT_EQ(detect({{"TERM", "foot"}}), TerminalGraphics::Sixel);
  EXPECT_EQ(detect({{"TERM", "mlterm-256color"}}), TerminalGraphics::Sixel);
}

TEST(DetectGraphics, KnowsTerminalsWithoutPictures) {
  EXPECT_EQ(detect({}), TerminalGraphics::None);
  EXPECT_EQ(detect({{"TERM", "dumb"}}), TerminalGraphics::None);
  EXPECT_EQ(detect({{"TERM", "linux"}}), TerminalGraphics::None);
  EXPECT_EQ(detect({{"TERM", "xterm"}, {"TERM_PROGRAM", "Apple_Terminal"}}),
            TerminalGraphics::None);
}

TEST(DetectGraphics, SaysNoInsideAMultiplexer) {
  EXPECT_EQ(detect({{"TERM", "tmux-256color"}, {"KITTY_WINDOW_ID", "1"}}), TerminalGraphics::None);
  EXPECT_EQ(detect({{"TERM", "xterm-kitty"}, {"TMUX", "/tmp/x"}}), TerminalGraphics::None);
  EXPECT_EQ(detect({{"TERM", "screen"}, {"TERM_PROGRAM", "iTerm.app"}}), TerminalGraphics::None);
}

TEST(Base64, IsPadded) {
  const auto of = [](std::string_view text) {
    return base64({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  };
  EXPECT_EQ(of(""), "");
  EXPECT_EQ(of("f"), "Zg==");
  EXPECT_EQ(of("fo"), "Zm8=");
  EXPECT_EQ(of("foo"), "Zm9v");
  EXPECT_EQ(of("foob"), "Zm9vYg==");
  EXPECT_EQ(of("\xff\xfe\xfb"), "//77");
}

// Noise, which PNG does not shrink.
Image noise(std::int64_t side) {
  Image image{.width = side, .height = side, .rgb = {}};
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < side * side * 3; ++i) {
    state = state * 1664525U + 1013904223U;
    image.rgb.push_back(static_cast<std::uint8_t>(state >> 24));
  }
  return image;
}

TEST(TerminalPicture, KittyGetsPngInChunks) {
  const Image image = noise(64);
  std::string text = terminal_picture(image, TerminalGraphics::Kitty, 20);
  EXPECT_THAT(text, StartsWith("\x1b_Ga=T,f=100,q=2,c=20,m=1;"));
  EXPECT_THAT(text, EndsWith("\x1b\\\n"));
  std::string data;
  std::size_t chunks = 0;
  for (std::size_t at = 0; (at = text.find("\x1b_G", at)) != std::string::npos; ++chunks) {
    const std::size_t begin = text.find(';', at) + 1;
    const std::size_t end = text.find("\x1b\\", begin);
    EXPECT_LE(end - begin, 4096U);
    EXPECT_EQ(text[begin - 2], end + 3 == text.size() ? '0' : '1');
    data += text.substr(begin, end - begin);
    at = end;
  }
  EXPECT_GT(chunks, 3U);
  EXPECT_EQ(data, base64(encode_png(image, {})));
}

TEST(TerminalPicture, ITerm2GetsPngInOnePiece) {
  const Image image = noise(4);
  const std::vector<std::uint8_t> png = encode_png(image, {});
  EXPECT_EQ(terminal_picture(image, TerminalGraphics::ITerm2, 30),
            "\x1b]1337;File=inline=1;size=" + std::to_string(png.size()) +
                ";width=30;preserveAspectRatio=1:" + base64(png) + "\x07\n");
}

// Two pixels, black and white, each eight wide and high: a band of six rows, and one of two.
TEST(TerminalPicture, SixelsHaveAPaletteAndBands) {
  const Image image{.width = 2, .height = 1, .rgb = {0, 0, 0, 255, 255, 255}};
  EXPECT_EQ(terminal_picture(image, TerminalGraphics::Sixel, 2),
            "\x1bPq\"1;1;16;8#0;2;0;0;0#215;2;100;100;100"
            "#0!8~!8?$#215!8?!8~$-"
            "#0!8B!8?$#215!8?!8B$-\x1b\\\n");
}

TEST(TerminalPicture, IsNothingWithoutAProtocol) {
  EXPECT_EQ(terminal_picture(noise(4), TerminalGraphics::None, 30), "");
}

}  // namespace
}  // namespace zimage::cli
