// Key bindings are those that shells have by default; sequences are ECMA-48's and xterm's.
#include "cli/terminal/line_editor.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace zimage::cli {
namespace {

constexpr char kEscape = '\x1b';
constexpr char kDelete = '\x7f';
// A prompt of a megabyte is no prompt.
constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxParameters = 16;

constexpr char control(char letter) {
  return static_cast<char>(letter & 0x1f);
}

// A character as a reader sees it: a base with its accents, an emoji with its modifiers.
struct Cluster {
  std::size_t begin = 0;
  std::size_t columns = 0;
};

std::vector<Cluster> clusters_of(std::string_view text) {
  std::vector<Cluster> clusters;
  utf8proc_int32_t state = 0;
  char32_t previous = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = first_character(text.substr(at));
    const auto code = static_cast<utf8proc_int32_t>(character.code);
    if (clusters.empty() ||
        utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(previous), code, &state)) {
      clusters.push_back({.begin = at, .columns = 0});
    }
    const int columns = std::max(utf8proc_charwidth(code), 0);
    clusters.back().columns = std::max(clusters.back().columns, static_cast<std::size_t>(columns));
    previous = character.code;
    at += std::max<std::size_t>(character.length, 1);
  }
  return clusters;
}

bool is_space(char c) {
  return c == ' ';
}

// How many bytes a sequence has that begins with `byte`; 0 where none does.
std::size_t sequence_length(unsigned char byte) {
  if (byte < 0x80) return 1;
  if (byte >= 0xc2 && byte < 0xe0) return 2;
  if (byte >= 0xe0 && byte < 0xf0) return 3;
  return byte >= 0xf0 && byte < 0xf5 ? 4 : 0;
}

bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

}  // namespace

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  for (const Cluster& cluster : clusters_of(text)) columns += cluster.columns;
  return columns;
}

void LineEditor::begin(std::vector<std::string> history) {
  history_ = std::move(history);
  place_ = history_.size();
  line_.clear();
  draft_.clear();
  parameters_.clear();
  partial_.clear();
  cursor_ = 0;
  state_ = State::Text;
  pasting_ = false;
}

LineEditor::Event LineEditor::feed(char byte) {
  switch (state_) {
    case State::Text: return take_text(static_cast<unsigned char>(byte));
    case State::Escape: take_escaped(byte); return Event::None;
    case State::SingleShift:
      state_ = State::Text;
      move_by_key(byte, false);
      return Event::None;
    case State::Application:
    case State::Answer: return take_answer(static_cast<unsigned char>(byte));
    case State::Sequence: break;
  }
  const bool is_last = byte >= 0x40 && byte <= 0x7e;
  if (is_last) {
    state_ = State::Text;
    take_sequence(byte);
  } else if (byte == kEscape) {
    state_ = State::Escape;
  } else if (parameters_.size() < kMaxParameters) {
    parameters_ += byte;
  }
  return Event::None;
}

LineEditor::Event LineEditor::take_text(unsigned char byte) {
  const char c = static_cast<char>(byte);
  if (c == kEscape) {
    partial_.clear();
    state_ = State::Escape;
    return Event::None;
  }
  if (pasting_ && (c == '\r' || c == '\n' || c == '\t')) {
    insert(" ");
    return Event::None;
  }
  if (byte < 0x20 || c == kDelete) {
    partial_.clear();
    return pasting_ ? Event::None : take_control(byte);
  }
  add_to_character(byte);
  return Event::None;
}

void LineEditor::add_to_character(unsigned char byte) {
  // A byte that cannot go on a sequence begins the next one.
  if (!partial_.empty() && (byte & 0xc0U) != 0x80U) partial_.clear();
  partial_ += static_cast<char>(byte);
  const std::size_t length = sequence_length(static_cast<unsigned char>(partial_.front()));
  if (partial_.size() < length) return;
  const std::string whole = std::exchange(partial_, {});
  const Utf8Character character = first_character(whole);
  if (character.length == whole.size() && !is_control(character.code)) insert(whole);
}

LineEditor::Event LineEditor::take_control(unsigned char byte) {
  switch (static_cast<char>(byte)) {
    case '\r':
    case '\n': cursor_ = line_.size(); return Event::Line;
    case control('C'): return Event::Interrupt;
    case control('Z'): return Event::Suspend;
    case control('L'): return Event::Clear;
    case control('D'):
      if (line_.empty()) return Event::End;
      erase(cursor_, after());
      break;
    case control('H'):
    case kDelete: erase(before(), cursor_); break;
    case control('K'):
      cut_ = line_.substr(cursor_);
      erase(cursor_, line_.size());
      break;
    case control('U'):
      cut_ = line_.substr(0, cursor_);
      erase(0, cursor_);
      break;
    case control('W'):
      cut_ = line_.substr(word_begin(), cursor_ - word_begin());
      erase(word_begin(), cursor_);
      break;
    case control('Y'): insert(cut_); break;
    case control('A'): move_by_key('H', false); break;
    case control('E'): move_by_key('F', false); break;
    case control('B'): move_by_key('D', false); break;
    case control('F'): move_by_key('C', false); break;
    case control('P'): move_by_key('A', false); break;
    case control('N'): move_by_key('B', false); break;
    default: break;
  }
  return Event::None;
}

LineEditor::Event LineEditor::take_answer(unsigned char byte) {
  const bool goes_on = state_ == State::Application ? byte == 'G' : byte >= 0x20;
  state_ = goes_on ? State::Answer : State::Text;
  return goes_on ? Event::None : take_text(byte);
}

void LineEditor::take_escaped(char byte) {
  state_ = State::Text;
  switch (byte) {
    case '[':
      parameters_.clear();
      state_ = State::Sequence;
      break;
    case 'O': state_ = State::SingleShift; break;
    case '_': state_ = State::Application; break;
    case kEscape: state_ = State::Escape; break;
    case 'b': move_by_key('D', true); break;
    case 'f': move_by_key('C', true); break;
    case 'd': erase(cursor_, word_end()); break;
    case kDelete: erase(word_begin(), cursor_); break;
    default: break;
  }
}

void LineEditor::take_sequence(char last) {
  if (last != '~') {
    // "1;5C": the right arrow with Ctrl; 3 is Alt.
    move_by_key(last, parameters_.ends_with(";5") || parameters_.ends_with(";3"));
  } else if (parameters_ == "200" || parameters_ == "201") {
    pasting_ = parameters_ == "200";
  } else if (parameters_ == "3") {
    erase(cursor_, after());
  } else if (parameters_ == "1" || parameters_ == "7") {
    move_by_key('H', false);
  } else if (parameters_ == "4" || parameters_ == "8") {
    move_by_key('F', false);
  }
}

void LineEditor::move_by_key(char key, bool by_words) {
  switch (key) {
    case 'A':
      if (place_ > 0) recall(place_ - 1);
      break;
    case 'B':
      if (place_ < history_.size()) recall(place_ + 1);
      break;
    case 'C': cursor_ = by_words ? word_end() : after(); break;
    case 'D': cursor_ = by_words ? word_begin() : before(); break;
    case 'H': cursor_ = 0; break;
    case 'F': cursor_ = line_.size(); break;
    default: break;
  }
}

void LineEditor::insert(std::string_view text) {
  if (line_.size() + text.size() > kMaxBytes) return;
  line_.insert(cursor_, text);
  cursor_ += text.size();
}

void LineEditor::erase(std::size_t from, std::size_t to) {
  line_.erase(from, to - from);
  cursor_ = from;
}

void LineEditor::recall(std::size_t place) {
  if (place_ == history_.size()) draft_ = line_;
  place_ = place;
  line_ = place_ == history_.size() ? draft_ : history_[place_];
  cursor_ = line_.size();
}

std::size_t LineEditor::before() const {
  std::size_t place = 0;
  for (const Cluster& cluster : clusters_of(line_))
    if (cluster.begin < cursor_) place = cluster.begin;
  return place;
}

std::size_t LineEditor::after() const {
  for (const Cluster& cluster : clusters_of(line_))
    if (cluster.begin > cursor_) return cluster.begin;
  return line_.size();
}

std::size_t LineEditor::word_begin() const {
  std::size_t place = cursor_;
  while (place > 0 && is_space(line_[place - 1])) --place;
  while (place > 0 && !is_space(line_[place - 1])) --place;
  return place;
}

std::size_t LineEditor::word_end() const {
  std::size_t place = cursor_;
  while (place < line_.size() && is_space(line_[place])) ++place;
  while (place < line_.size() && !is_space(line_[place])) ++place;
  return place;
}

LineEditor::View LineEditor::view(std::size_t columns) const {
  const std::vector<Cluster> clusters = clusters_of(line_);
  // From the cursor to the left as many as leave it a column of its own, then to the right.
  std::size_t first = 0;
  while (first < clusters.size() && clusters[first].begin < cursor_) ++first;
  std::size_t last = first;
  View view;
  while (first > 0 && view.cursor + clusters[first - 1].columns < columns)
    view.cursor += clusters[--first].columns;
  std::size_t used = view.cursor;
  while (last < clusters.size() && used + clusters[last].columns <= columns)
    used += clusters[last++].columns;
  const auto begin_of = [&](std::size_t i) {
    return i < clusters.size() ? clusters[i].begin : line_.size();
  };
  view.text = line_.substr(begin_of(first), begin_of(last) - begin_of(first));
  return view;
}

}  // namespace zimage::cli
