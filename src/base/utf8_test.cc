#include "base/utf8.h"

#include <gtest/gtest.h>

namespace zimage {
namespace {

TEST(Utf8, DecodesEveryLength) {
  EXPECT_EQ(first_character("A").code, U'A');
  EXPECT_EQ(first_character("\xc3\xa9").code, U'\u00e9');
  EXPECT_EQ(first_character("\xe7\x8c\xab!").code, U'\u732b');
  EXPECT_EQ(first_character("\xe7\x8c\xab!").length, 3U);
  EXPECT_EQ(first_character("\xf0\x9f\x98\x80").code, U'\U0001f600');
  EXPECT_EQ(first_character("").length, 0U);
}

TEST(Utf8, NamesTheFirstIllFormedByte) {
  EXPECT_EQ(find_invalid_utf8("plain \xe7\x8c\xab"), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("ab\xff"), 2U);
  EXPECT_EQ(find_invalid_utf8("ab\xe7\x8c"), 2U);         // cut short
  EXPECT_EQ(find_invalid_utf8("\xc0\xaf"), 0U);           // overlong "/"
  EXPECT_EQ(find_invalid_utf8("\xe0\x80\xaf"), 0U);       // overlong "/"
  EXPECT_EQ(find_invalid_utf8("a\xed\xa0\x80"), 1U);      // surrogate
  EXPECT_EQ(find_invalid_utf8("a\xf4\x90\x80\x80"), 1U);  // U+110000
  EXPECT_EQ(find_invalid_utf8("caf\xe9 noir"), 3U);       // Latin-1
  EXPECT_EQ(find_invalid_utf8(std::string_view("\0", 1)), std::nullopt);
}

TEST(Utf8, EncodesWhatItDecodes) {
  for (char32_t code = 0; code <= 0x10ffff; ++code) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    std::string text;
    append_utf8(text, code);
    const Utf8Character back = first_character(text);
    ASSERT_EQ(back.code, code);
    ASSERT_EQ(back.length, text.size());
  }
}

TEST(Utf8, IsReadAsLatin1WhereItIsNone) {
  EXPECT_EQ(utf8_or_latin1("caf\xe9"), "caf\xc3\xa9");
  EXPECT_EQ(utf8_or_latin1("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(utf8_or_latin1(""), "");
}

}  // namespace
}  // namespace zimage
