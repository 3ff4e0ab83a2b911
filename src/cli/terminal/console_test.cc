#include "cli/terminal/console.h"

#include <gtest/gtest.h>

#include <string>

namespace zimage::cli {
namespace {

// A console whose output and time belong to the test.
struct Recorder {
  std::string text;
  double now = 0;

  Console make(Verbosity verbosity, ConsoleStyle style) {
    return Console(
        verbosity, style, [this](std::string_view piece) { text += piece; },
        [this] { return now; });
  }
};

constexpr ConsoleStyle kPlain{.redraws = false, .columns = 80};
constexpr ConsoleStyle kLive{.redraws = true, .columns = 80};

TEST(WithoutControls, KeepsTextAndEscapesTheRest) {
  EXPECT_EQ(without_controls("caf\xc3\xa9 \xe7\x8c\xab\n\ttab"), "caf\xc3\xa9 \xe7\x8c\xab\n\ttab");
  EXPECT_EQ(without_controls("a\x1b[2Jb\r"), "a\\x1b[2Jb\\x0d");
  EXPECT_EQ(without_controls("\xc2\x9b"),
            "\\xc2\\x9b");  // U+009B is a control sequence's start, too
  EXPECT_EQ(without_controls("\x7f \xff"), "\\x7f \\xff");
}

TEST(Console, VerbosityDecidesWhatIsPrinted) {
  const auto printed = [](Verbosity verbosity) {
    Recorder recorder;
    Console console = recorder.make(verbosity, kPlain);
    console.always("always");
    console.note("note");
    console.detail("detail");
    return recorder.text;
  };
  EXPECT_EQ(printed(Verbosity::Quiet), "always\n");
  EXPECT_EQ(printed(Verbosity::Normal), "always\nnote\n");
  EXPECT_EQ(printed(Verbosity::Verbose), "always\nnote\ndetail\n");
}

TEST(Console, PlainOutputHasOneLineForEachStage) {
  Recorder recorder;
  {
    Console console = recorder.make(Verbosity::Normal, kPlain);
    console.status("loading the model");
    console.progress({.stage = Stage::EncodePrompt});
    console.progress({.stage = Stage::EncodePrompt, .step = 1});
    for (std::int64_t step = 0; step <= 3; ++step) {
      console.progress({.stage = Stage::Denoise, .step = step, .steps = 3});
    }
    console.clear();
  }
  EXPECT_EQ(recorder.text, "loading the model\ntext encoder\ndenoise, 3 steps\n");
}

TEST(Console, QuietShowsNoProgress) {
  for (const ConsoleStyle style : {kPlain, kLive}) {
    Recorder recorder;
    Console console = recorder.make(Verbosity::Quiet, style);
    console.status("loading the model");
    console.progress({.stage = Stage::Denoise, .step = 1, .steps = 3});
    console.clear();
    EXPECT_EQ(recorder.text, "");
  }
}

TEST(Console, ATerminalsLineIsRedrawnInPlace) {
  Recorder recorder;
  Console console = recorder.make(Verbosity::Normal, kLive);
  console.progress({.stage = Stage::Denoise, .step = 0, .steps = 2});
  EXPECT_EQ(recorder.text, "\r\x1b[Kdenoise 0/2 [                    ]");
  recorder.text.clear();
  recorder.now = 3;
  console.progress({.stage = Stage::Denoise, .step = 1, .steps = 2});
  EXPECT_EQ(recorder.text, "\r\x1b[Kdenoise 1/2 [##########          ] 3 s/it, 3.0 s left");
  recorder.text.clear();
  console.clear();
  EXPECT_EQ(recorder.text, "\r\x1b[K");
  recorder.text.clear();
  console.clear();
  EXPECT_EQ(recorder.text, "");
}

TEST(Console, MessagesStandAboveTheLine) {
  Recorder recorder;
  Console console = recorder.make(Verbosity::Normal, kLive);
  console.status("loading");
  recorder.text.clear();
  console.note("message");
  EXPECT_EQ(recorder.text, "\r\x1b[Kmessage\n\r\x1b[Kloading");
}

TEST(Console, TheLineGoesWithTheConsole) {
  Recorder recorder;
  {
    recorder.make(Verbosity::Normal, kLive).status("loading");
  }
  EXPECT_TRUE(recorder.text.ends_with("loading\r\x1b[K")) << recorder.text;
}

TEST(Console, NothingReachesTheLastColumn) {
  Recorder recorder;
  Console console = recorder.make(Verbosity::Normal, {.redraws = true, .columns = 8});
  console.status("loading the model");
  EXPECT_EQ(recorder.text, "\r\x1b[Kloading");
}

}  // namespace
}  // namespace zimage::cli
