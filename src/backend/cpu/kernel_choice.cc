// The measurement's turns, and the file that keeps what it found.
#include "backend/cpu/kernel_choice.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <limits>
#include <string_view>
#include <vector>

#include "backend/cpu/kernel_timing.h"
#include "base/log.h"
#include "base/measured_choices.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace zimage::cpu {
namespace {

namespace fs = std::filesystem;

// To be raised when kernels change so that others may be the fastest: files outlive programs.
constexpr int kKernels = 1;
// The best of so many turns: on a shared machine the others measure the company.
constexpr int kTurns = 5;
// Of the earlier candidate's time. Two that are equally fast would otherwise change places, and the
// order of sums with them, wherever nothing can be kept; and a neighbour's load at the first start
// would stay as a choice: it made unwidened panels the choice of a machine on which they give 65 %
// of the peak, and widened ones 80 %.
constexpr double kClearlyFaster = 0.95;

struct Use {
  KernelUse use;
  const char* name;
  Isa KernelChoice::* isa;
};
constexpr std::array<Use, 4> kUses = {{
    {KernelUse::Products, "products", &KernelChoice::products},
    {KernelUse::Attention, "attention", &KernelChoice::attention},
    {KernelUse::Convolutions, "convolutions", &KernelChoice::convolutions},
    {KernelUse::Rows, "rows", &KernelChoice::rows},
}};

constexpr const char* kWiden = "widen";

struct TimedRun {
  KernelRun run;
  double seconds = std::numeric_limits<double>::infinity();
};

std::vector<TimedRun> runs_of(KernelUse use, std::span<const Isa> candidates) {
  std::vector<TimedRun> runs;
  for (const Isa isa : candidates) {
    const bool widen = use == KernelUse::Products && widens_first(isa);
    runs.push_back({.run = {.use = use, .isa = isa, .widen = widen}});
    if (use == KernelUse::Products)
      runs.push_back({.run = {.use = use, .isa = isa, .widen = !widen}});
  }
  return runs;
}

const KernelRun& fastest(std::span<const TimedRun> runs) {
  const TimedRun* best = runs.data();
  for (const TimedRun& timed : runs.subspan(1)) {
    if (timed.seconds < kClearlyFaster * best->seconds) best = &timed;
  }
  return best->run;
}

std::optional<Isa> isa_of(const Choices& choices, const char* use,
                          std::span<const Isa> candidates) {
  const auto found = choices.find(use);
  if (found == choices.end()) return std::nullopt;
  for (const Isa isa : candidates) {
    if (found->second == name_of(isa)) return isa;
  }
  return std::nullopt;
}

Choices as_choices(const KernelChoice& choice) {
  Choices choices = {{kWiden, choice.widen ? "yes" : "no"}};
  for (const Use& use : kUses) choices[use.name] = std::string(name_of(choice.*use.isa));
  return choices;
}

// What the processor calls itself, and its family, model and stepping: names of virtual ones are
// short. Empty on processors that have no two kernels to choose from.
std::string processor_name() {
#if defined(__x86_64__)
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  std::string name;
  constexpr unsigned kName = 0x80000002;  // to 0x80000004, 16 characters each
  for (unsigned leaf = kName; leaf < kName + 3; ++leaf) {
    if (__get_cpuid(leaf, &a, &b, &c, &d) == 0) break;
    for (const unsigned part : {a, b, c, d}) {
      char text[4];
      std::memcpy(text, &part, sizeof(text));
      name.append(text, sizeof(text));
    }
  }
  // Filled up with zeros or spaces.
  name.erase(std::find(name.begin(), name.end(), '\0'), name.end());
  name.erase(name.find_last_not_of(' ') + 1);
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return name;
  name += ' ';
  name += std::to_string(a);
  return name;
#else
  return "";
#endif
}

fs::path file_of(std::span<const Isa> candidates) {
  const fs::path folder = choices_folder();
  if (folder.empty()) return {};
  std::string name = "kernels-";
  name += processor_name();
  name += "-" ZIMAGE_VERSION "-";
  name += std::to_string(kKernels);
  for (const Isa isa : candidates) {
    name += '-';
    name += name_of(isa);
  }
  return folder / (file_name_part(name) + ".txt");
}

KernelChoice measured_choice() {
  std::vector<Isa> candidates = available_isas();
  if (candidates.size() > 1) std::erase(candidates, Isa::Portable);
  std::optional<KernelTiming> timing;
  const KernelChoice choice =
      kept_choice(file_of(candidates), candidates, [&](const KernelRun& run) {
        if (!timing) timing.emplace();
        return timing->seconds(run);
      });
  if (timing) log(LogLevel::Debug, "cpu: the fastest kernels are " + to_string(choice));
  return choice;
}

}  // namespace

KernelChoice only(Isa isa) {
  if (isa == Isa::Best) isa = available_isas().front();
  return {.products = isa,
          .widen = widens_first(isa),
          .attention = isa,
          .convolutions = isa,
          .rows = isa};
}

std::string to_string(const KernelChoice& choice) {
  std::vector<Isa> isas;
  for (const Use& use : kUses) {
    const Isa isa = choice.*use.isa;
    if (std::find(isas.begin(), isas.end(), isa) == isas.end()) isas.push_back(isa);
  }
  std::string text;
  for (const Isa isa : isas) {
    std::string names;
    for (const Use& use : kUses) {
      if (choice.*use.isa == isa) names += (names.empty() ? "" : ", ") + std::string(use.name);
    }
    text += (text.empty() ? "" : ", ") + std::string(kernels_of(isa).name);
    if (isas.size() > 1) text += " (" + names + ")";
  }
  return text;
}

KernelChoice measure_choice(std::span<const Isa> candidates, const KernelTimer& time) {
  assert(!candidates.empty());
  if (candidates.size() == 1) return only(candidates[0]);
  std::array<std::vector<TimedRun>, kUses.size()> runs;
  for (std::size_t i = 0; i < kUses.size(); ++i) runs[i] = runs_of(kUses[i].use, candidates);
  for (int turn = 0; turn < kTurns; ++turn) {
    for (std::vector<TimedRun>& of_use : runs) {
      for (TimedRun& timed : of_use) timed.seconds = std::min(timed.seconds, time(timed.run));
    }
  }
  KernelChoice choice;
  choice.widen = fastest(runs[0]).widen;
  for (std::size_t i = 0; i < kUses.size(); ++i) choice.*kUses[i].isa = fastest(runs[i]).isa;
  return choice;
}

std::optional<KernelChoice> read_choice(const fs::path& file, std::span<const Isa> candidates) {
  const Choices choices = read_choices(file);
  KernelChoice choice;
  for (const Use& use : kUses) {
    const std::optional<Isa> isa = isa_of(choices, use.name, candidates);
    if (!isa) return std::nullopt;
    choice.*use.isa = *isa;
  }
  const auto widen = choices.find(kWiden);
  if (widen == choices.end() || (widen->second != "yes" && widen->second != "no"))
    return std::nullopt;
  choice.widen = widen->second == "yes";
  return choice;
}

KernelChoice kept_choice(const fs::path& file, std::span<const Isa> candidates,
                         const KernelTimer& time) {
  assert(!candidates.empty());
  if (candidates.size() == 1) return only(candidates[0]);
  if (const auto kept = read_choice(file, candidates)) return *kept;
  const KernelChoice choice = measure_choice(candidates, time);
  // Of programs that start together all should compute what the first of them found.
  if (const auto kept = read_choice(file, candidates)) return *kept;
  write_choices(file, as_choices(choice));
  return choice;
}

KernelChoice choose_kernels(Isa isa) {
  if (isa != Isa::Best) return only(isa);
  static const KernelChoice kMeasured = measured_choice();
  return kMeasured;
}

}  // namespace zimage::cpu
