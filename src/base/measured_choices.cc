// The file is written under a name of this process's own and renamed, so that no reader sees a
// part.
#include "base/measured_choices.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>

namespace zimage {
namespace {

namespace fs = std::filesystem;

// Many times what is written; a damaged file may hold anything.
constexpr std::size_t kMostBytes = std::size_t{1} << 20;

bool is_letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

}  // namespace

fs::path choices_folder() {
  const auto below = [](const char* variable, const char* name) -> fs::path {
    const char* value =
        std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nothing sets variables
    if (value == nullptr || !fs::path(value).is_absolute()) return {};
    return fs::path(value) / name;
  };
  const fs::path folder = below("XDG_CACHE_HOME", "zimage");
  return folder.empty() ? below("HOME", ".cache/zimage") : folder;
}

std::string file_name_part(std::string text) {
  for (char& c : text) {
    if (!is_letter_or_digit(c)) c = '-';
  }
  return text;
}

Choices read_choices(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return {};
  std::ifstream stream(file, std::ios::binary);
  std::string text(kMostBytes, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  Choices choices;
  std::istringstream words(text);
  std::string name;
  std::string choice;
  while (words >> name >> choice) choices[name] = choice;
  return choices;
}

bool write_choices(const fs::path& file, const Choices& choices) {
  if (file.empty()) return false;
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  fs::path fresh = file;
  fresh += ".";
  fresh += std::to_string(::getpid());
  std::ofstream stream(fresh, std::ios::binary);
  for (const auto& [name, choice] : choices) stream << name << ' ' << choice << '\n';
  stream.close();
  if (stream) {
    fs::rename(fresh, file, error);
    if (!error) return true;
  }
  fs::remove(fresh, error);
  return false;
}

}  // namespace zimage
