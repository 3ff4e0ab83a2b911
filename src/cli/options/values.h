// The values of options as text -> numbers. Every message names the option, what was expected and
// what was found.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/pipeline.h"

namespace zimage::cli {

// A decimal whole number from 1 to the largest 64-bit integer. Throws InvalidArgument.
std::int64_t parse_count(std::string_view option, std::string_view text);
// A decimal whole number from 0 to 2^64 - 1. Throws InvalidArgument.
std::uint64_t parse_seed(std::string_view option, std::string_view text);
// What parse_seed_list() takes. Throws InvalidArgument.
std::vector<std::uint64_t> parse_seeds(std::string_view option, std::string_view text);
// A decimal whole number from 1 to `most`. Throws InvalidArgument.
int parse_small_count(std::string_view option, std::string_view text, int most);

struct Size {
  std::int64_t width = 0;
  std::int64_t height = 0;
};
// "768x512". Throws InvalidArgument.
Size parse_size(std::string_view option, std::string_view text);
// One or more, separated by commas. Throws InvalidArgument.
std::vector<Size> parse_sizes(std::string_view option, std::string_view text);

// A decimal number such as "0.5". Throws InvalidArgument.
double parse_number(std::string_view option, std::string_view text);
// One or more, separated by commas. Throws InvalidArgument.
std::vector<double> parse_numbers(std::string_view option, std::string_view text);

// One of `choices`. Throws InvalidArgument.
std::string parse_choice(std::string_view option, std::string_view text,
                         std::initializer_list<std::string_view> choices);

// What parse_bytes() takes, for help.
inline constexpr const char* kBytesRange = "1B to 1048576TiB";
// A positive number of bytes with a unit: "12GiB", "1.5 GB", "800MiB". Throws InvalidArgument.
std::size_t parse_bytes(std::string_view option, std::string_view text);

// A name that find_sampler() knows. Throws InvalidArgument.
Sampler parse_sampler(std::string_view option, std::string_view text);

// "auto", "all" or "none". Throws InvalidArgument.
Keep parse_keep(std::string_view option, std::string_view text);

// "auto", "cpu", "cuda", "cuda:N" or "reference". Throws InvalidArgument.
std::string parse_device(std::string_view option, std::string_view text);

// The candidate that `word` is most likely a misspelling of; nothing when none is close.
std::optional<std::string> closest(std::string_view word, std::span<const std::string> candidates);

}  // namespace zimage::cli
