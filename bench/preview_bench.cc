// What previews cost a step: draws one picture again and again without and with them, by turns, and
// prints the time of a step of each kind and the median of what a turn's pairs differ by. Usage:
//   preview_bench MODEL SIDE STEPS TURNS THREADS [FOLDER]
// "estimate" leaves out what the program does with a preview, "file" writes each into FOLDER (the
// current one), and "kitty", "iterm2" and "sixel", where standard error is a terminal, make the
// bytes for one and drop them.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "cli/drawing/output_file.h"
#include "cli/drawing/previews.h"
#include "cli/options/options.h"
#include "cli/terminal/console.h"
#include "pipeline/pipeline.h"

namespace {

using zimage::cli::Console;
using zimage::cli::OutputFile;
using zimage::cli::Previews;

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Milliseconds of a step, turn by turn.
struct Kind {
  std::string name;
  std::vector<double> wall = {};
  std::vector<double> processor = {};  // of all threads
};

class Bench {
 public:
  Bench(zimage::Pipeline& pipeline, const zimage::Request& request, const std::string& folder)
      : pipeline_(pipeline),
        request_(request),
        console_(
            zimage::cli::Verbosity::Normal, {}, [](std::string_view) {}, [] { return 0.0; }),
        outputs_({OutputFile(folder + "/preview_bench.png", "", zimage::cli::Overwrite::Allowed)}) {
  }

  void draw(Kind& kind) {
    zimage::cli::GenerateOptions options;
    options.show = {.every = 1, .graphics = kind.name == "file" ? "none" : kind.name};
    const double processor = processor_seconds();
    const auto start = std::chrono::steady_clock::now();
    if (kind.name == "none") {
      pipeline_.generate(request_, {}, {});
    } else if (kind.name == "estimate") {
      pipeline_.generate(request_, {}, {}, {.every = 1, .show = [](const zimage::Preview&) {}});
    } else {
      Previews previews(options, outputs_, console_, {});
      pipeline_.generate(request_, {}, {}, previews.sink());
    }
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    const double to_step = 1e3 / static_cast<double>(*request_.steps);
    kind.wall.push_back(time.count() * to_step);
    kind.processor.push_back((processor_seconds() - processor) * to_step);
  }

 private:
  zimage::Pipeline& pipeline_;
  const zimage::Request& request_;
  Console console_;
  std::vector<OutputFile> outputs_;
};

void print(const Kind& kind, const Kind& none) {
  const auto difference = [](const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<double> values;
    for (std::size_t i = 0; i < a.size(); ++i) values.push_back(a[i] - b[i]);
    return median(values);
  };
  const double more = difference(kind.wall, none.wall);
  fmt::print("{:<10}{:>10.3f} ms{:>10.3f} ms{:>+10.3f} ms{:>+8.2f} %{:>+10.3f} ms\n", kind.name,
             median(kind.wall), *std::min_element(kind.wall.begin(), kind.wall.end()), more,
             more / median(none.wall) * 100, difference(kind.processor, none.processor));
}

void measure(int argc, char** argv) {
  zimage::Pipeline pipeline({.model = argv[1],
                             .device = "cpu",
                             .threads = std::stoi(argv[5]),
                             .keep = zimage::Keep::All});
  const zimage::Request request{.prompt = "a red apple",
                                .width = std::stoll(argv[2]),
                                .height = std::stoll(argv[2]),
                                .steps = std::stoll(argv[3])};
  Bench bench(pipeline, request, argc > 6 ? argv[6] : ".");
  std::vector<Kind> kinds{{"none"}, {"estimate"}, {"file"}};
  if (isatty(STDERR_FILENO) == 1) kinds.insert(kinds.end(), {{"kitty"}, {"iterm2"}, {"sixel"}});
  // What is loaded, encoded and fitted once is not a step's.
  Kind first{"estimate"};
  bench.draw(first);
  const int turns = std::stoi(argv[4]);
  for (int turn = 0; turn < turns; ++turn) {
    // Each kind is once the first of a turn, so that none gains by its place.
    for (std::size_t i = 0; i < kinds.size(); ++i)
      bench.draw(kinds[(i + static_cast<std::size_t>(turn)) % kinds.size()]);
  }
  fmt::print("{}, {}x{}, {} steps, {} turns\n", pipeline.device_description(), argv[2], argv[2],
             argv[3], turns);
  fmt::print("{:<10}{:>13}{:>13}{:>13}{:>10}{:>13}\n", "previews", "a step", "least", "more", "",
             "processor");
  for (const Kind& kind : kinds) print(kind, kinds.front());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: preview_bench MODEL SIDE STEPS TURNS THREADS [FOLDER]\n");
    return 2;
  }
  try {
    measure(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "preview_bench: %s\n", error.what());
  }
  return 1;
}
