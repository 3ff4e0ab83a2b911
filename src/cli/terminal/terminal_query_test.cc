#include "cli/terminal/terminal_query.h"

#include <gtest/gtest.h>

#include <string>

namespace zimage::cli {
namespace {

const std::string kKitty = "\x1b_Gi=31;OK\x1b\\";
const std::string kNotKitty = "\x1b_Gi=31;EINVAL:no pictures\x1b\\";

void expect(std::string_view bytes, TerminalGraphics graphics, bool complete) {
  const QueryAnswer answer = parse_query_answer(bytes);
  EXPECT_EQ(answer.graphics, graphics) << bytes;
  EXPECT_EQ(answer.complete, complete) << bytes;
}

TEST(QueryAnswer, TellsTheProtocol) {
  expect(kKitty + "\x1b[?62c", TerminalGraphics::Kitty, true);
  expect(kKitty + "\x1b[?62;4;22c", TerminalGraphics::Kitty, true);
  expect(kNotKitty + "\x1b[?62;4;22c", TerminalGraphics::Sixel, true);
  expect("\x1b[?62;4;22c", TerminalGraphics::Sixel, true);
  expect("\x1b[?63;1;2;4c", TerminalGraphics::Sixel, true);
  expect(kNotKitty + "\x1b[?62c", TerminalGraphics::None, true);
}

TEST(QueryAnswer, KnowsSixelByAnAttributeOfItsOwn) {
  for (const char* attributes : {"4", "6", "1;2", "62;22", "62;14;24;40;44", "64;"})
    expect("\x1b[?" + std::string(attributes) + "c", TerminalGraphics::None, true);
}

TEST(QueryAnswer, IsCompleteAtTheLastByte) {
  const std::string whole = kKitty + "\x1b[?62;4c";
  for (std::size_t i = 0; i < whole.size(); ++i) {
    expect(whole.substr(0, i), i < kKitty.size() ? TerminalGraphics::None : TerminalGraphics::Kitty,
           false);
  }
}

TEST(QueryAnswer, PassesOverOtherBytes) {
  expect("", TerminalGraphics::None, false);
  expect("c", TerminalGraphics::None, false);
  expect("a pear\r\x1b[A\x1b[?c\x1b[?1;4R\x1b[>1;4c", TerminalGraphics::None, false);
  expect("x\x1b[?25h\x1b[?62\x1b[?62;4cy", TerminalGraphics::Sixel, true);
  expect("x" + kKitty + "y\x1b[?6c", TerminalGraphics::Kitty, true);
  expect("\x1b_Gi=32;OK\x1b\\\x1b[?6c", TerminalGraphics::None, true);
}

}  // namespace
}  // namespace zimage::cli
