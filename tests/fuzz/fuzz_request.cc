// Any bytes as a request, or as the arguments that make one: either one Error, or a request that is
// complete, stays as it is when it is completed again, and has a finite plan. Nothing is loaded.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "checks.h"
#include "cli/options/options.h"
#include "pipeline/check_request.h"
#include "pipeline/pipeline.h"
#include "pipeline/request_limits.h"

namespace {

using zimage::Image;
using zimage::Pipeline;
using zimage::Plan;
using zimage::Request;
using zimage::fuzz::answer;
using zimage::fuzz::require;

// Larger pictures, more of them and more steps pass the same code, but take longer.
constexpr double kMostPlanned = 1 << 22;
constexpr std::int64_t kMostSteps = 50;

class Bytes {
 public:
  explicit Bytes(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  template <typename T>
  T raw() {
    T value{};
    const std::size_t size = std::min(sizeof value, bytes_.size());
    std::memcpy(&value, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
    return value;
  }
  bool yes() { return (raw<std::uint8_t>() & 1U) != 0; }

  std::int64_t whole() {
    return yes() ? raw<std::int8_t>() : yes() ? raw<std::int16_t>() : raw<std::int64_t>();
  }
  double number() {
    using Limits = std::numeric_limits<double>;
    switch (raw<std::uint8_t>() % 8) {
      case 0: return raw<double>();
      case 1: return Limits::quiet_NaN();
      case 2: return Limits::infinity();
      case 3: return Limits::denorm_min();
      case 4: return -0.0;
      default: return raw<std::int16_t>() / 256.0;
    }
  }
  std::string text() {
    const std::size_t size = std::min<std::size_t>(raw<std::uint8_t>(), bytes_.size());
    std::string text(reinterpret_cast<const char*>(bytes_.data()), size);
    bytes_ = bytes_.subspan(size);
    return text;
  }
  std::optional<std::int64_t> maybe_whole() {
    return yes() ? std::optional(whole()) : std::nullopt;
  }
  std::optional<double> maybe_number() { return yes() ? std::optional(number()) : std::nullopt; }

  Image image() {
    Image image;
    if (!yes()) return image;
    image.width = whole();
    image.height = whole();
    const std::uint64_t fitting =
        static_cast<std::uint64_t>(image.width) * static_cast<std::uint64_t>(image.height) * 3;
    image.rgb.resize(yes() && fitting < 100'000 ? fitting : raw<std::uint16_t>());
    return image;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

Request request_of(Bytes& bytes) {
  Request request;
  request.width = bytes.maybe_whole();
  request.height = bytes.maybe_whole();
  request.steps = bytes.maybe_whole();
  const auto samplers = zimage::samplers();
  request.sampler = samplers[bytes.raw<std::uint8_t>() % samplers.size()];
  request.shift = bytes.maybe_number();
  request.guidance = bytes.maybe_number();
  request.cfg_normalization = bytes.yes() ? bytes.number() : 0;
  request.cfg_truncation = bytes.yes() ? bytes.number() : 1;
  request.strength = bytes.maybe_number();
  request.count = bytes.yes() ? bytes.whole() : 1;
  request.seed = bytes.raw<std::uint64_t>();
  request.composite = bytes.yes();
  request.init_image = bytes.image();
  request.mask = bytes.image();
  const std::size_t sigmas = bytes.yes() ? bytes.raw<std::uint8_t>() : 0;
  for (std::size_t i = 0; i < sigmas; ++i)
    request.sigmas.push_back(bytes.yes() ? 1 - static_cast<double>(i) / 256 : bytes.number());
  request.prompt = bytes.text();
  request.negative_prompt = bytes.text();
  request.seed_variety = bytes.yes() ? bytes.number() : 0;
  return request;
}

bool is_within(double value, double lowest, double highest) {
  return value >= lowest && value <= highest;
}

void check_complete(const Pipeline& pipeline, const Request& full) {
  const auto pixels = static_cast<double>(zimage::kMaxPixels);
  require(is_within(static_cast<double>(full.width.value()), 1, pixels));
  require(is_within(static_cast<double>(full.height.value()), 1, pixels));
  require(is_within(static_cast<double>(full.steps.value()), 1, zimage::kMaxSteps));
  require(is_within(static_cast<double>(full.count), 1, zimage::kMaxCount));
  require(is_within(full.guidance.value(), 0, zimage::kMaxGuidance));
  require(is_within(full.seed_variety, 0, 1));
  require(is_within(full.cfg_normalization, 0, zimage::kMaxGuidance));
  require(is_within(full.cfg_truncation, 0, 1));
  require(!full.shift || is_within(*full.shift, 0, zimage::kMaxShift));
  require(!full.strength || is_within(*full.strength, 0, 1));
  require(full.sigmas.empty() || std::cmp_equal(full.sigmas.size(), *full.steps));
  for (const float sigma : zimage::noise_levels(full)) require(sigma > 0 && sigma <= 1);
  const Request again = pipeline.complete(full);
  require(again.width == full.width && again.height == full.height && again.steps == full.steps);
  require(again.guidance == full.guidance && again.strength == full.strength);
  require(again.sigmas == full.sigmas);
}

void check_plan(const Plan& plan) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 62;
  require(plan.total > 0 && plan.total < kMostBytes);
  require(plan.pictures_per_pass >= 1 && plan.pictures_per_pass <= plan.count);
  for (const zimage::StagePlan& stage : plan.stages) {
    require(std::isfinite(stage.flops) && stage.flops >= 0);
    require(stage.total < kMostBytes && stage.streamed <= stage.layers);
  }
}

void check_request(Bytes bytes) {
  static const Pipeline pipeline({.model = ZIMAGE_SOURCE_DIR "/models/zimage-tiny",
                                  .device = "cpu",
                                  .threads = 1,
                                  .cpu_kernel = "portable"});
  const Request request = request_of(bytes);
  const Request full = pipeline.complete(request);
  check_complete(pipeline, full);
  for (const std::string& note : pipeline.notes(request)) require(!note.empty());
  const double pixels = static_cast<double>(*full.width) * static_cast<double>(*full.height) *
                        static_cast<double>(full.count);
  if (pixels > kMostPlanned || *full.steps > kMostSteps) return;
  check_plan(pipeline.plan(request));
}

// Each line of the text is an argument.
void check_arguments(std::string_view text) {
  std::vector<std::string> arguments{"generate", "-p", "a"};
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    arguments.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  const zimage::cli::Command command = zimage::cli::parse_arguments(arguments);
  if (const auto* options = std::get_if<zimage::cli::GenerateOptions>(&command)) {
    require(options->draw.count >= 1 && options->quality >= 1);
    for (const double sigma : options->draw.sigmas) require(std::isfinite(sigma));
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span rest(data + 1, size - 1);
  if (*data % 2 == 0) {
    answer([&] { check_request(Bytes(rest)); });
  } else {
    answer([&] { check_arguments({reinterpret_cast<const char*>(rest.data()), rest.size()}); });
  }
  return 0;
}
