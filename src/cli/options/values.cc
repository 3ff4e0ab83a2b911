// Strict parsing: no signs, blanks, prefixes or trailing characters.
#include "cli/options/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/quote.h"
#include "base/whole_number.h"
#include "pipeline/seed_list.h"

namespace zimage::cli {
namespace {

[[noreturn]] void refuse(std::string_view option, std::string_view expected,
                         std::string_view found) {
  throw Error(ErrorCode::InvalidArgument,
              fmt::format("{}: expected {}, found {}", option, expected, quote(found)));
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::int64_t parse_count(std::string_view option, std::string_view text) {
  const auto value = whole_number<std::int64_t>(text);
  if (!value || *value < 1) refuse(option, "a whole number of 1 or more", text);
  return *value;
}

std::uint64_t parse_seed(std::string_view option, std::string_view text) {
  const auto value = whole_number<std::uint64_t>(text);
  if (!value) {
    refuse(option, "a whole number from 0 to 18446744073709551615 (leave it out for a random one)",
           text);
  }
  return *value;
}

std::vector<std::uint64_t> parse_seeds(std::string_view option, std::string_view text) {
  const auto seeds = parse_seed_list(text);
  if (!seeds)
    refuse(option,
           fmt::format("up to {} different seeds such as 1,2,5-9, each from 0 to "
                       "18446744073709551615",
                       kMaxSeeds),
           text);
  return *seeds;
}

int parse_small_count(std::string_view option, std::string_view text, int most) {
  const auto value = whole_number<int>(text);
  if (!value || *value < 1 || *value > most) {
    refuse(option, fmt::format("a whole number from 1 to {}", most), text);
  }
  return *value;
}

Size parse_size(std::string_view option, std::string_view text) {
  const std::size_t cross = text.find_first_of("xX");
  if (cross != std::string_view::npos) {
    const auto width = whole_number<std::int64_t>(text.substr(0, cross));
    const auto height = whole_number<std::int64_t>(text.substr(cross + 1));
    if (width && height && *width >= 1 && *height >= 1) return {*width, *height};
  }
  refuse(option, "a width and a height of 1 or more, such as 768x512", text);
}

std::vector<Size> parse_sizes(std::string_view option, std::string_view text) {
  std::vector<Size> sizes;
  while (true) {
    const std::size_t comma = text.find(',');
    sizes.push_back(parse_size(option, text.substr(0, comma)));
    if (comma == std::string_view::npos) return sizes;
    text.remove_prefix(comma + 1);
  }
}

double parse_number(std::string_view option, std::string_view text) {
  double value = 0;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (text.empty() || error != std::errc{} || stop != end || !std::isfinite(value))
    refuse(option, "a number such as 0.5", text);
  return value;
}

std::vector<double> parse_numbers(std::string_view option, std::string_view text) {
  std::vector<double> numbers;
  while (true) {
    const std::size_t comma = text.find(',');
    numbers.push_back(parse_number(option, text.substr(0, comma)));
    if (comma == std::string_view::npos) return numbers;
    text.remove_prefix(comma + 1);
  }
}

std::string parse_choice(std::string_view option, std::string_view text,
                         std::initializer_list<std::string_view> choices) {
  if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
    refuse(option, fmt::format("{}", fmt::join(choices, " or ")), text);
  }
  return std::string(text);
}

std::size_t parse_bytes(std::string_view option, std::string_view text) {
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"kB", 1e3},
      {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},    {"B", 1.0}};
  for (const auto& [unit, factor] : kUnits) {
    if (!text.ends_with(unit)) continue;
    std::string_view digits = text.substr(0, text.size() - unit.size());
    if (digits.ends_with(' ')) digits.remove_suffix(1);
    double value = 0;
    const char* const begin = digits.data();
    const char* const end = begin + digits.size();
    const auto [stop, error] = std::from_chars(begin, end, value, std::chars_format::fixed);
    // Far beyond any machine, and far from overflow.
    const bool sensible = value > 0 && value * factor >= 1 && value * factor <= 0x1p60;
    if (error == std::errc{} && stop == end && sensible)
      return static_cast<std::size_t>(value * factor);
    break;
  }
  refuse(option,
         std::string("a number of bytes with its unit, such as 12GiB or 800MB, ") + kBytesRange,
         text);
}

Sampler parse_sampler(std::string_view option, std::string_view text) {
  if (const auto sampler = find_sampler(text)) return *sampler;
  std::string names;
  for (const Sampler sampler : samplers()) {
    if (!names.empty()) names += sampler == samplers().back() ? " or " : ", ";
    names += name_of(sampler);
  }
  refuse(option, names, text);
}

Keep parse_keep(std::string_view option, std::string_view text) {
  const std::string choice = parse_choice(option, text, {"auto", "all", "none"});
  if (choice == "auto") return Keep::Auto;
  return choice == "all" ? Keep::All : Keep::None;
}

std::string parse_device(std::string_view option, std::string_view text) {
  constexpr std::string_view kIndexed = "cuda:";
  const bool indexed =
      text.starts_with(kIndexed) && whole_number<int>(text.substr(kIndexed.size()));
  if (!indexed && text != "auto" && text != "cpu" && text != "cuda" && text != "reference") {
    refuse(option, "auto, cpu, cuda or cuda:N", text);
  }
  return std::string(text);
}

std::optional<std::string> closest(std::string_view word, std::span<const std::string> candidates) {
  std::optional<std::string> best;
  // A third of the word may differ: "--stpes" is "--steps", and "--foo" is nothing.
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace zimage::cli
