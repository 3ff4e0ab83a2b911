// The loop, and the commands that a line can be.
#include "cli/repl.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/quote.h"
#include "cli/drawing/drawing_session.h"
#include "cli/drawing/output_file.h"
#include "cli/options/values.h"
#include "cli/terminal/console.h"
#include "cli/terminal/history.h"
#include "cli/terminal/line_reader.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/terminal_query.h"

namespace zimage::cli {
namespace {

constexpr const char* kSign = "zimage> ";
constexpr int kFailed = 1;
constexpr int kInterrupted = 128 + SIGINT;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// The first word, and what follows it.
std::pair<std::string, std::string> split_word(std::string_view text) {
  const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
  return {std::string(text.substr(0, end)), std::string(trimmed(text.substr(end)))};
}

// A value in double quotes is what stands between them.
std::string unquoted(const std::string& text) {
  const bool quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return quoted ? text.substr(1, text.size() - 2) : text;
}

// What the help of an option ends with: its range and its default.
std::string range_and_default(const OptionText& option) {
  std::string text = option.help;
  std::replace(text.begin(), text.end(), '\n', ' ');
  const std::size_t at = text.rfind(" (");
  return option.value.empty() || at == std::string::npos ? text : text.substr(at + 1);
}

// Options of generate that say how many requests there are, which here the lines do.
constexpr std::array<std::string_view, 4> kGenerateAlone = {"prompt", "prompt-file", "from-image",
                                                            "seeds"};

// Whether an option decides which model is open and where it computes.
bool is_of_model(const OptionText& option) {
  return option.group == "Machine" || option.group == "Parts" || option.name == "model" ||
         option.name == "revision" || option.name == "cache-dir";
}

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::InvalidArgument, message);
}

class Repl {
 public:
  Repl(const ReplOptions& options, Interrupt& interrupt);
  int run();

 private:
  using Command = void (Repl::*)(const std::string& rest);
  struct CommandText {
    const char* name;
    const char* rest;
    const char* help;
    Command run;
  };
  static const std::array<CommandText, 10> kCommands;

  void set(const std::string& rest);
  void unset(const std::string& rest);
  void show_options(const std::string& rest);
  void again(const std::string& rest);
  void seed(const std::string& rest);
  void model(const std::string& rest);
  void help(const std::string& rest);
  void quit(const std::string& rest);

  LineReader::Answer next_line();
  void take(const std::string& line);
  // Runs a line; what it throws is told and counted, unless it ends the program.
  void attempt(const LineReader::Answer& answer);
  void fail(const std::string& message);
  // True when a signal was the user's wish to stop a picture alone.
  bool goes_on();
  void draw(const std::string& prompt, std::optional<std::uint64_t> seed);
  void change(Settings settings);
  bool is_another_model(const Settings& settings) const;
  const OptionText& find_option(const std::string& word) const;

  Interrupt& interrupt_;
  LineReader reader_;
  Console console_;
  LogToConsole log_{console_};
  const std::vector<OptionText> texts_ = drawing_option_texts();
  Settings settings_;
  GenerateOptions options_;  // what they mean
  std::unique_ptr<DrawingSession> session_;
  History history_;
  std::string prompt_;                 // the last one
  std::optional<std::uint64_t> seed_;  // that it was drawn with; absent: there was none
  std::size_t line_number_ = 0;
  std::size_t failures_ = 0;
  bool interrupted_ = false;  // the last thing that happened was Ctrl-C
  bool ends_ = false;
};

const std::array<Repl::CommandText, 10> Repl::kCommands = {{
    {"/set", "OPTION [VALUE]", "change an option of generate, such as /set steps 4", &Repl::set},
    {"/unset", "OPTION", "give it its default back", &Repl::unset},
    {"/options", "", "list the options with their values, ranges and defaults",
     &Repl::show_options},
    {"/show", "", "the same", &Repl::show_options},
    {"/again", "", "draw the last prompt with the next seed", &Repl::again},
    {"/seed", "[N]", "tell the seed of the last picture, or set that of the next ones",
     &Repl::seed},
    {"/model", "[MODEL]", "tell which model is open, or open another one", &Repl::model},
    {"/help", "[OPTION]", "this list, or what an option does", &Repl::help},
    {"/quit", "", "end, as Ctrl-D does", &Repl::quit},
    {"/exit", "", "the same", &Repl::quit},
}};

Repl::Repl(const ReplOptions& options, Interrupt& interrupt)
    : interrupt_(interrupt),
      console_(options.drawing.verbosity),
      settings_(options.settings),
      options_(options.drawing),
      session_(std::make_unique<DrawingSession>(options.drawing.draw, console_)) {
  console_.clear();
  // Refuses before the first line what no picture could be drawn with.
  session_->complete(make_order(options_, "").request);
  if (reader_.kind() == LineReader::Kind::Piped) return;
  history_ = History(History::default_file());
  console_.note(fmt::format("zimage {}, {}, {}; a line is a prompt, /help lists commands",
                            version(), session_->model(), session_->device()));
}

int Repl::run() {
  while (!ends_) {
    const LineReader::Answer answer = next_line();
    ++line_number_;
    switch (answer.event) {
      case LineReader::Answer::Event::End: ends_ = true; break;
      case LineReader::Answer::Event::Interrupt:
        if (interrupted_ && answer.line.empty()) return kInterrupted;
        if (answer.line.empty()) console_.note("Ctrl-C once more ends, as Ctrl-D does");
        interrupted_ = answer.line.empty();
        break;
      case LineReader::Answer::Event::Line:
        interrupted_ = false;
        attempt(answer);
        break;
    }
  }
  return failures_ > 0 && reader_.kind() == LineReader::Kind::Piped ? kFailed : 0;
}

LineReader::Answer Repl::next_line() {
  try {
    return reader_.read(kSign, history_.lines(), interrupt_.token());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Cancelled || !goes_on()) throw;
    return {.event = LineReader::Answer::Event::Interrupt};
  }
}

bool Repl::goes_on() {
  if (reader_.kind() == LineReader::Kind::Piped || interrupt_.signal() != SIGINT) return false;
  interrupt_.renew();
  return true;
}

void Repl::attempt(const LineReader::Answer& answer) {
  try {
    if (answer.cut) refuse(fmt::format("a line has more than {} bytes", LineReader::kMaxBytes));
    take(std::string(trimmed(answer.line)));
  } catch (const Error& error) {
    console_.clear();
    if (error.code() != ErrorCode::Cancelled) return fail(error.what());
    if (!goes_on()) throw;
    interrupted_ = true;
    console_.note("stopped; Ctrl-C once more ends");
  } catch (const std::bad_alloc&) {
    console_.clear();
    fail("out of memory");
  }
}

void Repl::fail(const std::string& message) {
  ++failures_;
  const bool piped = reader_.kind() == LineReader::Kind::Piped;
  const std::string place = piped ? fmt::format("line {}: ", line_number_) : "";
  console_.always("zimage: " + place + message);
}

void Repl::take(const std::string& line) {
  if (line.empty()) return;
  history_.add(line);
  if (!line.starts_with('/')) return draw(line, std::nullopt);
  if (line.starts_with("//")) return draw(line.substr(1), std::nullopt);
  const auto [name, rest] = split_word(line);
  std::vector<std::string> names;
  for (const CommandText& command : kCommands) {
    if (name != command.name) {
      names.emplace_back(command.name);
      continue;
    }
    if (*command.rest == '\0' && !rest.empty())
      refuse(fmt::format("{}: expected nothing after it, found {}", name, quote(rest)));
    return (this->*command.run)(rest);
  }
  const auto meant = closest(name, names);
  refuse(fmt::format("unknown command {}{}; a prompt that begins with / is written with //",
                     quote(name), meant ? "; did you mean " + *meant + "?" : ""));
}

void Repl::draw(const std::string& prompt, std::optional<std::uint64_t> seed) {
  GenerateOptions options = options_;
  if (seed) options.seed = seed;
  const Order order = make_order(options, prompt);
  prompt_ = prompt;
  seed_ = order.request.seed;
  const double seconds = session_->draw(order, interrupt_.token());
  console_.note(fmt::format(
      "{} in {}", order.request.count == 1 ? "drawn" : fmt::format("{} drawn", order.request.count),
      format_seconds(seconds)));
}

const OptionText& Repl::find_option(const std::string& word) const {
  std::string bare = word.substr(std::min(word.find_first_not_of('-'), word.size()));
  std::replace(bare.begin(), bare.end(), '_', '-');
  std::vector<std::string> names;
  for (const OptionText& option : texts_) {
    std::string_view all = option.names;
    while (!all.empty()) {
      const std::string_view name = all.substr(0, all.find(','));
      all.remove_prefix(std::min(name.size() + 1, all.size()));
      names.emplace_back(name.substr(name.find_first_not_of('-')));
      if (names.back() == bare) return option;
      names.back() = "--" + names.back();
    }
  }
  if (std::find(kGenerateAlone.begin(), kGenerateAlone.end(), bare) != kGenerateAlone.end())
    refuse(fmt::format("--{} is an option of zimage generate alone (/options lists those of here)",
                       bare));
  const auto meant = closest("--" + bare, names);
  refuse(fmt::format("unknown option {}{} (/options lists them)", quote(bare),
                     meant ? "; did you mean " + *meant + "?" : ""));
}

bool Repl::is_another_model(const Settings& settings) const {
  return std::any_of(texts_.begin(), texts_.end(), [&](const OptionText& option) {
    if (!is_of_model(option)) return false;
    const auto found = settings.find(option.name);
    const auto before = settings_.find(option.name);
    if (found == settings.end() || before == settings_.end())
      return (found == settings.end()) != (before == settings_.end());
    return found->second != before->second;
  });
}

void Repl::change(Settings settings) {
  GenerateOptions options = drawing_options(settings);
  std::unique_ptr<DrawingSession> other;
  if (is_another_model(settings)) {
    other = std::make_unique<DrawingSession>(options.draw, console_);
    console_.clear();
  }
  (other ? *other : *session_).complete(make_order(options, "").request);
  if (other) session_ = std::move(other);
  settings_ = std::move(settings);
  options_ = std::move(options);
  console_.set_verbosity(options_.verbosity);
}

void Repl::set(const std::string& rest) {
  if (rest.empty()) return show_options(rest);
  const auto [word, value] = split_word(rest);
  const OptionText& option = find_option(word);
  if (option.value.empty() && !value.empty())
    refuse(fmt::format("--{} takes no value, found {}", option.name, quote(value)));
  if (!option.value.empty() && value.empty())
    refuse(fmt::format("--{}: a value is needed: {}", option.name, range_and_default(option)));
  Settings settings = settings_;
  for (const std::string& other : option.excludes) settings.erase(other);
  settings[option.name] =
      option.value.empty() ? std::nullopt : std::optional<std::string>(unquoted(value));
  const Settings before = settings_;
  change(std::move(settings));
  for (const std::string& other : option.excludes) {
    if (before.contains(other))
      console_.note(fmt::format("{} is unset: it and {} exclude each other", other, option.name));
  }
}

void Repl::unset(const std::string& rest) {
  const OptionText& option = find_option(rest);
  Settings settings = settings_;
  settings.erase(option.name);
  change(std::move(settings));
}

void Repl::show_options(const std::string& /*rest*/) {
  std::vector<std::string> groups;
  for (const OptionText& option : texts_) {
    if (std::find(groups.begin(), groups.end(), option.group) == groups.end())
      groups.push_back(option.group);
  }
  for (const std::string& group : groups) {
    console_.always(group + ":");
    for (const OptionText& option : texts_) {
      if (option.group != group) continue;
      const auto found = settings_.find(option.name);
      std::string line = "  " + option.name;
      if (found != settings_.end()) line += " = " + found->second.value_or("on");
      console_.always(fmt::format("{:<30} {}", line, range_and_default(option)));
    }
  }
}

void Repl::again(const std::string& /*rest*/) {
  if (!seed_) refuse("/again: there is no prompt yet");
  const std::uint64_t next = *seed_ + 1;
  console_.note(fmt::format("seed {}", next));
  draw(prompt_, next);
}

void Repl::seed(const std::string& rest) {
  if (!rest.empty()) return set("seed " + rest);
  if (seed_) console_.always(fmt::format("the last picture's seed is {}", *seed_));
  console_.always(options_.seed ? fmt::format("the next one's is {}", *options_.seed)
                                : std::string("the next one's is random"));
}

void Repl::model(const std::string& rest) {
  if (!rest.empty()) return set("model " + rest);
  console_.always(fmt::format("{}, {}", session_->model(), session_->device()));
}

void Repl::help(const std::string& rest) {
  if (!rest.empty()) {
    const OptionText& option = find_option(rest);
    return console_.always(fmt::format("{}{}{}\n{}", option.names, option.value.empty() ? "" : " ",
                                       option.value, option.help));
  }
  console_.always("A line is a prompt and is drawn. Lines that begin with / are commands:");
  for (const CommandText& command : kCommands) {
    const std::string form = fmt::format("  {} {}", command.name, command.rest);
    console_.always(fmt::format("{:<24} {}", form, command.help));
  }
  console_.always(
      "  //...                  a prompt that begins with /\n"
      "Options are those of zimage generate but for --prompt, --prompt-file, --from-image and "
      "--seeds, with\nor without their dashes, with - or _ between words. Ctrl-C stops a picture, "
      "Ctrl-D ends.");
}

void Repl::quit(const std::string& /*rest*/) {
  ends_ = true;
}

}  // namespace

int repl(const ReplOptions& options, Interrupt& interrupt) {
  interrupt.watch([] {
    LineReader::restore_terminal();
    restore_queried_terminal();
    OutputFile::abandon();
  });
  return Repl(options, interrupt).run();
}

}  // namespace zimage::cli
