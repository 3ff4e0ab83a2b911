// The lines that were typed before, in this run and in earlier ones. What enters: lines and the
// file that keeps them. What leaves: the newest of them, oldest first.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace zimage::cli {

class History {
 public:
  static constexpr std::size_t kMaxLines = 1000;
  static constexpr std::size_t kMaxLineBytes = std::size_t{64} << 10;

  // Of this run alone.
  History() = default;
  // Of the file too, which may be absent; what cannot be read of it is left out. A file of twice
  // kMaxLines is shortened.
  explicit History(std::filesystem::path file);

  const std::vector<std::string>& lines() const { return lines_; }

  // Adds a line, unless it is empty, the same as the last one, or too long to be kept. It goes to
  // the end of the file at once, readable by its owner alone; where it cannot be written, it is
  // kept for this run and nothing is said.
  void add(const std::string& line);

  // $XDG_STATE_HOME/zimage/history, else ~/.local/state/zimage/history; empty where neither is
  // known.
  static std::filesystem::path default_file();

 private:
  void append_to_file(const std::string& line) const;
  void shorten_file() const;

  std::filesystem::path file_;
  std::vector<std::string> lines_;
};

}  // namespace zimage::cli
