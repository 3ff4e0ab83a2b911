// The text that A1111's web UI and its relatives write -> a request. Source:
// stable-diffusion-webui, modules/infotext_utils.py, parse_generation_parameters.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/quote.h"
#include "metadata/read_metadata.h"

namespace zimage {
namespace {

constexpr std::string_view kNegativeLine = "\nNegative prompt:";
constexpr std::string_view kNegative = kNegativeLine.substr(1);
constexpr std::string_view kBlank = " \t\r\n";
// Fewer pairs in the last line are a prompt's own colons and commas.
constexpr std::size_t kFewestSettings = 3;
// Beyond any writer's, so that no file takes long.
constexpr std::size_t kMostSettings = 1000;
constexpr std::size_t kMostSettingsBytes = std::size_t{1} << 16;

using Settings = std::vector<std::pair<std::string, std::string>>;

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// The length of a JSON string or of a bracket with all it holds, at the beginning of `text`; 0
// where it has no end.
std::size_t nested_length(std::string_view text) {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == '[' || c == '{')) {
      ++depth;
    } else if (!quoted && (c == ']' || c == '}') && depth > 0) {
      --depth;
    }
    if (!quoted && depth == 0 && i < text.size()) return i + 1;
  }
  return 0;
}

// Values that hold commas are JSON strings, or, of some writers, JSON itself.
std::string take_value(std::string_view& line) {
  line = line.substr(std::min(line.find_first_not_of(' '), line.size()));
  const bool nests = !line.empty() && (line[0] == '"' || line[0] == '[' || line[0] == '{');
  const std::size_t nested = nests ? nested_length(line) : 0;
  const std::size_t end = std::min(line.find(',', nested), line.size());
  const std::string_view value = trimmed(line.substr(0, end));
  line.remove_prefix(std::min(end + 1, line.size()));
  if (value.starts_with('"')) {
    const OrderedJson json = OrderedJson::parse(value, nullptr, false);
    if (json.is_string()) return json.get<std::string>();
  }
  return std::string(value);
}

// "Name: value" pairs, separated by commas; what is none is passed over.
Settings parse_settings(std::string_view line) {
  Settings settings;
  if (line.size() > kMostSettingsBytes) return settings;
  while (!line.empty() && settings.size() < kMostSettings) {
    const std::size_t end = line.find_first_of(":,");
    if (end == std::string_view::npos) break;
    const std::string name(trimmed(line.substr(0, end)));
    const bool named = line[end] == ':';
    line.remove_prefix(end + 1);
    if (named) settings.emplace_back(name, take_value(line));
  }
  return settings;
}

bool are_settings(const Settings& settings) {
  return settings.size() >= kFewestSettings &&
         std::any_of(settings.begin(), settings.end(), [](const auto& setting) {
           return setting.first == "Steps" || setting.first == "Seed" || setting.first == "Sampler";
         });
}

struct Parts {
  std::string_view prompt;
  std::string_view negative;
  bool has_negative = false;
  Settings settings;
};

Parts take_apart(std::string_view text) {
  text = trimmed(text);
  Parts parts;
  const std::size_t last = text.rfind('\n');
  const std::size_t begin = last == std::string_view::npos ? 0 : last + 1;
  Settings settings = parse_settings(text.substr(begin));
  if (are_settings(settings)) {
    parts.settings = std::move(settings);
    text = text.substr(0, begin);
  }
  std::size_t negative = text.starts_with(kNegative) ? 0 : text.find(kNegativeLine);
  parts.has_negative = negative != std::string_view::npos;
  if (parts.has_negative) {
    if (text[negative] == '\n') ++negative;
    parts.negative = trimmed(text.substr(negative + kNegative.size()));
    text = text.substr(0, negative);
  }
  parts.prompt = trimmed(text);
  return parts;
}

// What one setting is read into.
class Reader {
 public:
  Reader(StoredMetadata& stored, const std::string& name) : stored_(stored), name_(name) {}

  void take(const std::string& name, const std::string& value) {
    Request& request = stored_.provenance.request;
    if (name == "Steps") {
      request.steps = number<std::int64_t>(name, value);
    } else if (name == "Sampler") {
      take_sampler(value);
    } else if (name == "CFG scale") {
      take_scale(name, value);
    } else if (name == "Seed") {
      request.seed = number<std::uint64_t>(name, value);
      stored_.has_seed = true;
    } else if (name == "Size") {
      take_size(value);
    } else if (name == "Denoising strength") {
      request.strength = number<double>(name, value);
    } else if (name == "Seed variety") {
      request.seed_variety = number<double>(name, value);
    } else if (name == "Shift") {
      request.shift = number<double>(name, value);
    } else if (name == "Model") {
      stored_.provenance.model = value;
    } else if (name == "Version") {
      stored_.version = value;
    } else if (name == "RNG") {
      take_rng(value);
    } else {
      others_.emplace_back(name, value);
    }
  }

  // The rest, once the program is known that wrote it.
  void finish() {
    const bool ours = stored_.version.starts_with("zimage ");
    std::string list;
    for (const auto& [name, value] : others_) {
      if (ours && take_ours(name, value)) continue;
      if (!list.empty()) list += ", ";
      list += name;
    }
    if (!list.empty()) stored_.notes.push_back("not taken: " + printable(list));
    Provenance& provenance = stored_.provenance;
    if (provenance.index < 0 || provenance.index >= provenance.request.count)
      refuse("Batch pos", std::to_string(provenance.index), "less than Batch size");
  }

 private:
  [[noreturn]] void refuse(const std::string& setting, const std::string& value,
                           const char* expected) const {
    throw Error(ErrorCode::InvalidFile, name_ + ": metadata: " + printable(setting) + " is " +
                                            quote(value) + ", expected " + expected);
  }

  template <typename Number>
  Number number(const std::string& setting, std::string_view text) const {
    Number value{};
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool finite = std::isfinite(static_cast<double>(value));
    if (error != std::errc() || stop != text.data() + text.size() || !finite)
      refuse(setting, std::string(text), "a number");
    return value;
  }

  // Counted from the negative prompt; this engine's guidance is counted from the prompt.
  void take_scale(const std::string& name, const std::string& value) {
    const double scale = number<double>(name, value);
    // Rounded, for 1.1 - 1 is not 0.1.
    stored_.provenance.request.guidance = std::max(std::round((scale - 1) * 1e9) / 1e9, 0.0);
    if (scale < 1) {
      stored_.notes.push_back("the CFG scale " + printable(value) +
                              " is less than 1, which this program has not; guidance 0, its 1, "
                              "stands for it");
    }
  }

  void take_size(const std::string& value) {
    const std::string_view text = value;
    const std::size_t cross = std::min(text.find('x'), text.size());
    stored_.provenance.request.width = number<std::int64_t>("Size", text.substr(0, cross));
    stored_.provenance.request.height =
        number<std::int64_t>("Size", text.substr(std::min(cross + 1, text.size())));
  }

  // Older versions name the schedule behind the sampler.
  void take_sampler(std::string_view value) {
    struct Spelling {
      std::string_view name;
      Sampler sampler;
    };
    constexpr std::array kSpellings = {Spelling{"Euler", Sampler::Euler},
                                       Spelling{"euler", Sampler::Euler},
                                       Spelling{"Heun", Sampler::Heun},
                                       Spelling{"heun", Sampler::Heun},
                                       Spelling{"DPM++ 1M", Sampler::Dpmpp1},
                                       Spelling{"DPM++ 2M", Sampler::Dpmpp2M},
                                       Spelling{"dpm++2m", Sampler::Dpmpp2M},
                                       Spelling{"DPM++ 3M", Sampler::Dpmpp3M},
                                       Spelling{"DPM++ 2M SDE", Sampler::Dpmpp2MSde}};
    std::string_view base = value;
    for (const std::string_view schedule : {" Karras", " Exponential"}) {
      if (base.ends_with(schedule)) base.remove_suffix(schedule.size());
    }
    const auto* known = std::find_if(kSpellings.begin(), kSpellings.end(),
                                     [base](const Spelling& s) { return s.name == base; });
    if (known == kSpellings.end()) {
      stored_.notes.push_back("the sampler " + quote(value) + " is not one of this program's; " +
                              std::string(zimage::name_of(Sampler::Euler)) + " stands for it");
      return;
    }
    stored_.provenance.request.sampler = known->sampler;
    if (base != value)
      stored_.notes.push_back("of the sampler " + quote(value) + " the schedule was not taken");
  }

  void take_rng(const std::string& value) {
    if (value == "CPU" || value == "NV") {
      stored_.provenance.request.rng = value == "CPU" ? RngKind::Cpu : RngKind::Cuda;
    } else {
      others_.emplace_back("RNG", value);
    }
  }

  // What means here what it means in a1111_parameters() alone.
  bool take_ours(const std::string& name, const std::string& value) {
    Provenance& provenance = stored_.provenance;
    if (name == "Batch size") {
      provenance.request.count = number<std::int64_t>(name, value);
    } else if (name == "Batch pos") {
      provenance.index = number<std::int64_t>(name, value);
    } else if (name == "Sigmas") {
      for (std::string_view rest = value; !rest.empty();) {
        const std::size_t end = std::min(rest.find(','), rest.size());
        provenance.request.sigmas.push_back(number<double>(name, rest.substr(0, end)));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
    } else {
      return false;
    }
    return true;
  }

  StoredMetadata& stored_;
  const std::string& name_;
  Settings others_;
};

}  // namespace

bool is_a1111(std::string_view text) {
  const Parts parts = take_apart(text);
  return parts.has_negative || !parts.settings.empty();
}

StoredMetadata parse_a1111_parameters(std::string_view text, const std::string& name) {
  const Parts parts = take_apart(text);
  StoredMetadata stored{.form = MetadataForm::A1111};
  stored.provenance.request.prompt = parts.prompt;
  stored.provenance.request.negative_prompt = parts.negative;
  stored.fields["Prompt"] = parts.prompt;
  if (parts.has_negative) stored.fields["Negative prompt"] = parts.negative;
  Reader reader(stored, name);
  for (const auto& [setting, value] : parts.settings) {
    stored.fields[setting] = value;
    reader.take(setting, value);
  }
  reader.finish();
  return stored;
}

}  // namespace zimage
