#include "cli/terminal/line_editor.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace zimage::cli {
namespace {

using Event = LineEditor::Event;

LineEditor::Event feed(LineEditor& editor, std::string_view keys) {
  Event last = Event::None;
  for (const char key : keys) last = editor.feed(key);
  return last;
}

// The line after the keys, with "|" where the cursor stands.
std::string edited(std::string_view keys) {
  LineEditor editor;
  editor.begin({"first", "second"});
  feed(editor, keys);
  const std::size_t size = editor.line().size();
  feed(editor, "|");
  EXPECT_EQ(editor.line().size(), size + 1);
  return editor.line();
}

constexpr const char* kLeft = "\x1b[D";
constexpr const char* kUp = "\x1b[A";
constexpr const char* kDown = "\x1b[B";

std::string keys(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const std::string_view part : parts) all += part;
  return all;
}

TEST(LineEditor, EditsAsShellsDo) {
  EXPECT_EQ(edited("abc"), "abc|");
  EXPECT_EQ(edited(keys({"abc", kLeft, "x"})), "abx|c");
  EXPECT_EQ(edited("abc\x7f"), "ab|");
  EXPECT_EQ(edited("abc\x01"), "|abc");
  EXPECT_EQ(edited("abc\x01\x04"), "|bc");
  EXPECT_EQ(edited("abc\x1b[H\x1b[3~"), "|bc");
  EXPECT_EQ(edited("abc\x1bOH\x1bOF"), "abc|");
  EXPECT_EQ(edited("a red apple\x17"), "a red |");
  EXPECT_EQ(edited("a red apple\x1b"
                   "b\x1b"
                   "b"),
            "a |red apple");
  EXPECT_EQ(edited("a red apple\x01\x1b[1;5C"), "a| red apple");
  EXPECT_EQ(edited("a red apple\x01\x1b"
                   "f\x0b"),
            "a|");
  EXPECT_EQ(edited("a red apple\x15"
                   "x\x19"),
            "xa red apple|");
  EXPECT_EQ(edited("\x7f\x1b[D\x1b[C\x1b[3~"), "|");
}

TEST(LineEditor, SaysWhatTheUserAsksFor) {
  LineEditor editor;
  editor.begin({});
  EXPECT_EQ(feed(editor, "\x04"), Event::End);
  EXPECT_EQ(feed(editor, "a\x04"), Event::None);
  EXPECT_EQ(feed(editor, "\x03"), Event::Interrupt);
  EXPECT_EQ(feed(editor, "\x1a"), Event::Suspend);
  EXPECT_EQ(feed(editor, "\x0c"), Event::Clear);
  EXPECT_EQ(feed(editor, "\r"), Event::Line);
  EXPECT_EQ(editor.line(), "a");
}

TEST(LineEditor, BringsEarlierLinesAndTheNewOneBack) {
  EXPECT_EQ(edited(kUp), "second|");
  EXPECT_EQ(edited(keys({kUp, kUp, kUp})), "first|");
  EXPECT_EQ(edited(keys({"new", kUp, kUp, kDown, kDown, kDown})), "new|");
  EXPECT_EQ(edited(keys({kUp, "!\x10"})), "first|");
}

// Two bytes, three, four; an accent apart from its letter; a family of four emoji.
TEST(LineEditor, MovesByWhatAReaderTakesForOneCharacter) {
  for (const std::string character :
       {"\u00e9", "\u732b", "\U0001f34e", "e\u0301",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"}) {
    EXPECT_EQ(edited(keys({"a", character, kLeft})), "a|" + character);
    EXPECT_EQ(edited(keys({"a", character, "\x7f"})), "a|");
    EXPECT_EQ(edited(keys({character, "\x01\x04"})), "|");
    EXPECT_EQ(edited(keys({character, "b\x01\x1b[C"})), character + "|b");
  }
}

TEST(LineEditor, TakesNothingThatIsNoText) {
  EXPECT_EQ(edited("a\xff\xc3"
                   "b\xe4\xb8"
                   "c\xed\xa0\x80"),
            "abc|");
  EXPECT_EQ(edited("a\xc2\x80\x02\x05"
                   "b"),
            "ab|");
  EXPECT_EQ(edited("a\x1b[200;300;400;500;600;700;800qb\x1b[99~\x1bz"), "ab|");
}

// Of a terminal that was asked what it shows and answered late.
TEST(LineEditor, TakesNoAnswerForText) {
  EXPECT_EQ(edited("\x1b_Gi=31;OK\x1b\\\x1b[?62;4;22cab"), "ab|");
  EXPECT_EQ(edited("\x1b_Gi=31;ENOTSUP:no\x1b\\ab"), "ab|");
  EXPECT_EQ(edited("a\x1b_b"), "ab|");  // a key with Alt
  LineEditor editor;
  editor.begin({});
  for (const char byte : std::string_view("\x1b_Gi=31")) editor.feed(byte);
  EXPECT_EQ(editor.feed('\x03'), LineEditor::Event::Interrupt);  // of one that never ends
}

TEST(LineEditor, TakesPastedLinesAsOne) {
  EXPECT_EQ(edited("\x1b[200~a\nred\tapple\r\x03\x1b[201~!"), "a red apple !|");
}

TEST(LineEditor, ShowsThePartAroundTheCursor) {
  LineEditor editor;
  editor.begin({});
  feed(editor, "abcdef");
  EXPECT_EQ(editor.view(10).text, "abcdef");
  EXPECT_EQ(editor.view(10).cursor, 6U);
  EXPECT_EQ(editor.view(4).text, "def");
  EXPECT_EQ(editor.view(4).cursor, 3U);
  feed(editor, "\x01");
  EXPECT_EQ(editor.view(4).text, "abcd");
  EXPECT_EQ(editor.view(4).cursor, 0U);
}

TEST(LineEditor, CountsColumnsOfWideCharacters) {
  EXPECT_EQ(columns_of("a cat"), 5U);
  EXPECT_EQ(columns_of("\u4e00\u53ea\u732b"), 6U);
  EXPECT_EQ(columns_of("e\u0301"), 1U);
  EXPECT_EQ(columns_of("\U0001f468\u200d\U0001f469\u200d\U0001f467"), 2U);
  LineEditor editor;
  editor.begin({});
  feed(editor, "\u4e00\u53ea\u732b");
  EXPECT_EQ(editor.view(20).cursor, 6U);
  // A character is shown whole or not at all.
  EXPECT_EQ(editor.view(6).text, "\u53ea\u732b");
  EXPECT_EQ(editor.view(6).cursor, 4U);
  feed(editor, kLeft);
  EXPECT_EQ(editor.view(20).cursor, 4U);
  EXPECT_EQ(editor.view(5).text, "\u4e00\u53ea");
  EXPECT_EQ(editor.view(5).cursor, 4U);
}

}  // namespace
}  // namespace zimage::cli
