// Tests that text from files cannot do harm in a message.
#include "base/quote.h"

#include <gtest/gtest.h>

#include <string>

namespace zimage {
namespace {

TEST(Quote, LeavesPrintableTextAsItIs) {
  EXPECT_EQ(quote("layers.0.attention.to_q.weight"), "\"layers.0.attention.to_q.weight\"");
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("\xe4\xb8\x80\xe5\x8f\xaa\xe7\x8c\xab \xf0\x9f\x90\xb1 \xc3\xa9"),
            "\xe4\xb8\x80\xe5\x8f\xaa\xe7\x8c\xab \xf0\x9f\x90\xb1 \xc3\xa9");
}

TEST(Quote, EscapesWhatSteersATerminal) {
  EXPECT_EQ(printable("\x1b[31mred\n\t\x7f"), "\\x1b[31mred\\x0a\\x09\\x7f");
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
  // U+009B is one character that some terminals take for ESC [.
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");
}

TEST(Quote, FindsControlCharacters) {
  for (const char* text : {"\x1b[1m", "a\n", "\x7f", "\xc2\x9b"})
    EXPECT_TRUE(has_control_character(text)) << text;
  for (const char* text : {"", "a b", "\xe7\x8c\xab", "\xc2\xa0", "\x9b\xff"})
    EXPECT_FALSE(has_control_character(text)) << text;
}

TEST(Quote, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(printable("\xff\x80"), "\\xff\\x80");
  EXPECT_EQ(printable("\xe4\xb8"), "\\xe4\\xb8");           // cut short
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");           // overlong "/"
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xf5\x80\x80\x80"), "\\xf5\\x80\\x80\\x80");
}

TEST(Quote, CutsLongTextBetweenCharacters) {
  EXPECT_EQ(printable(std::string(200, 'x')), std::string(200, 'x'));
  EXPECT_EQ(printable(std::string(5000, 'x')), std::string(200, 'x') + "... (5000 bytes)");
  std::string accents = "x";
  for (int i = 0; i < 101; ++i) accents += "\xc3\xa9";
  EXPECT_EQ(printable(accents), accents.substr(0, 201) + "... (203 bytes)");
}

}  // namespace
}  // namespace zimage
