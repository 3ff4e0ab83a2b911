// The choice among kernels, with measurements made up; and one real measurement.
#include "backend/cpu/kernel_choice.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/kernel_timing.h"
#include "error_of.h"
#include "temp_folder.h"

namespace zimage::cpu {
namespace {

namespace fs = std::filesystem;

const std::vector<Isa> kTwo = {Isa::Avx512, Isa::Avx2};

// A machine on which products are fastest with AVX-512 and widened panels, attention with AVX-512,
// convolutions and rows with AVX2.
double seconds_of(const KernelRun& run) {
  const bool wide = run.isa == Isa::Avx512;
  switch (run.use) {
    case KernelUse::Products: return wide ? (run.widen ? 0.9 : 1.0) : (run.widen ? 1.9 : 1.7);
    case KernelUse::Attention: return wide ? 1.0 : 2.0;
    case KernelUse::Convolutions: return wide ? 1.0 : 0.8;
    case KernelUse::Rows: return wide ? 1.0 : 0.9;
  }
  return 0;
}

constexpr KernelChoice kFastest = {.products = Isa::Avx512,
                                   .widen = true,
                                   .attention = Isa::Avx512,
                                   .convolutions = Isa::Avx2,
                                   .rows = Isa::Avx2};

double no_seconds(const KernelRun& /*run*/) {
  ADD_FAILURE() << "measured";
  return 0;
}

TEST(MeasureChoice, TakesTheFastestOfEachKind) {
  EXPECT_EQ(measure_choice(kTwo, seconds_of), kFastest);
}

TEST(MeasureChoice, NeedsNoMeasurementOfOneCandidate) {
  const Isa first = available_isas().front();
  EXPECT_EQ(measure_choice({&first, 1}, no_seconds), only(first));
}

// Every second turn a neighbour takes the machine, in favour of each of the two in turn.
TEST(MeasureChoice, CountsTheBestOfAlternatingTurns) {
  std::map<std::tuple<KernelUse, Isa, bool>, int> turns;
  std::vector<Isa> order;
  const KernelChoice choice = measure_choice(kTwo, [&](const KernelRun& run) {
    if (run.use == KernelUse::Attention) order.push_back(run.isa);
    const int turn = turns[{run.use, run.isa, run.widen}]++;
    const bool disturbed = turn % 2 == (run.isa == Isa::Avx512 ? 0 : 1);
    return seconds_of(run) * (disturbed ? 10 : 1);
  });
  EXPECT_EQ(choice, kFastest);
  EXPECT_EQ(turns.size(), 10U);  // products twice for each set, and three others
  for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], kTwo[i % 2]) << i;
}

// 3 % of noise decide nothing.
TEST(MeasureChoice, KeepsThePreferredOfEquals) {
  const auto nearly = [](const KernelRun& run) { return run.isa == Isa::Avx2 ? 0.97 : 1.0; };
  EXPECT_EQ(measure_choice(kTwo, nearly), (KernelChoice{.products = Isa::Avx512,
                                                        .widen = widens_first(Isa::Avx512),
                                                        .attention = Isa::Avx512,
                                                        .convolutions = Isa::Avx512,
                                                        .rows = Isa::Avx512}));
}

TEST(KeptChoice, IsMeasuredOnce) {
  const TempFolder folder;
  const fs::path file = folder.path() / "zimage" / "kernels.txt";
  EXPECT_EQ(kept_choice(file, kTwo, seconds_of), kFastest);
  EXPECT_EQ(read_choice(file, kTwo), kFastest);
  EXPECT_EQ(kept_choice(file, kTwo, no_seconds), kFastest);
}

// What another program kept while this one measured counts for both.
TEST(KeptChoice, IsThatOfTheFirstOfTwoPrograms) {
  const TempFolder folder;
  const fs::path file = folder.path() / "kernels.txt";
  const auto one = [](const KernelRun& run) { return run.isa == Isa::Avx2 ? 0.5 : 1.0; };
  KernelChoice others;
  const KernelChoice choice = kept_choice(file, kTwo, [&](const KernelRun& run) {
    others = kept_choice(file, kTwo, one);
    return seconds_of(run);
  });
  EXPECT_EQ(others.attention, Isa::Avx2);
  EXPECT_EQ(choice, others);
}

TEST(KeptChoice, IgnoresWhatIsNoChoice) {
  const TempFolder folder;
  const std::string whole =
      "attention avx2\nconvolutions avx2\nproducts avx2\nrows avx2\nwiden no\n";
  EXPECT_TRUE(read_choice(folder.write("whole.txt", whole), kTwo).has_value());
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    return text.replace(text.find(from), from.size(), to);
  };
  int number = 0;
  for (const std::string& text :
       {std::string(), whole.substr(0, 40), changed("products avx2", "products avx9"),
        changed("rows avx2", "rows portable"), changed("rows avx2\n", ""),
        changed("attention avx2", "attention best"), changed("widen no", "widen maybe"),
        changed("widen no\n", ""), std::string(100, '\0')}) {
    const fs::path file = folder.write(std::to_string(++number) + ".txt", text);
    EXPECT_FALSE(read_choice(file, kTwo).has_value()) << text;
    EXPECT_EQ(kept_choice(file, kTwo, seconds_of), kFastest) << text;
    EXPECT_EQ(read_choice(file, kTwo), kFastest) << text;
  }
}

TEST(KeptChoice, NeedsNoFileThatCanBeWritten) {
  const TempFolder folder;
  const fs::path file = folder.write("file", "");
  EXPECT_EQ(kept_choice(file / "kernels.txt", kTwo, seconds_of), kFastest);
  EXPECT_EQ(kept_choice({}, kTwo, seconds_of), kFastest);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
}

TEST(ChooseKernels, TakesWhatIsForced) {
  for (const Isa isa : available_isas()) {
    EXPECT_EQ(choose_kernels(isa), only(isa));
    EXPECT_EQ(only(isa).products, isa);
    EXPECT_EQ(only(isa).rows, isa);
  }
  EXPECT_EQ(choose_kernels(Isa::Best), choose_kernels(Isa::Best));
}

// Whatever is measured, the portable kernels are no choice where there are others.
TEST(ChooseKernels, LeavesThePortableOnesOut) {
  const bool others = available_isas().size() > 1;
  const KernelChoice choice = choose_kernels(Isa::Best);
  for (const Isa isa : {choice.products, choice.attention, choice.convolutions, choice.rows})
    EXPECT_EQ(isa != Isa::Portable, others);
}

TEST(KernelChoiceText, NamesWhatComputesWhat) {
  EXPECT_EQ(to_string(only(Isa::Portable)), "portable");
  for (const Isa isa : available_isas()) {
    const std::string name = kernels_of(isa).name;
    EXPECT_EQ(to_string(only(isa)), name);
    if (isa == Isa::Portable) continue;
    KernelChoice choice = only(isa);
    choice.convolutions = Isa::Portable;
    EXPECT_EQ(to_string(choice), name + " (products, attention, rows), portable (convolutions)");
    EXPECT_EQ(CpuBackend({.threads = 1, .kernels = choice}).description(),
              "cpu: " + to_string(choice) + ", 1 thread");
  }
}

// A run takes 0.2 to 5 ms. One that does nothing takes a microsecond; one of a second would make a
// start wait.
TEST(KernelTiming, RunsEveryKind) {
  KernelTiming timing;
  for (const Isa isa : available_isas()) {
    for (const KernelUse use :
         {KernelUse::Products, KernelUse::Attention, KernelUse::Convolutions, KernelUse::Rows}) {
      for (const bool widen : {false, true}) {
        const double seconds = timing.seconds({.use = use, .isa = isa, .widen = widen});
        EXPECT_GT(seconds, 1e-5);
        EXPECT_LT(seconds, 1);
      }
    }
  }
}

}  // namespace
}  // namespace zimage::cpu
