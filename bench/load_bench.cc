// Draws one small picture and prints how long after the program's start its denoising was ready to
// begin (every weight bound, the prompt encoded) and when its first step was done. Usage:
//   load_bench MODEL mmap|preload cold|warm [WEIGHTS_CACHE [LIMIT_MIB]]
// "cold" first drops the model's files, and those of WEIGHTS_CACHE, from the system's page cache.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/process_memory.h"
#include "pipeline/pipeline.h"

namespace {

using Clock = std::chrono::steady_clock;

void drop_from_page_cache(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const int file = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    ::fdatasync(file);  // dirty pages stay
    ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    ::close(file);
  }
}

void measure(int argc, char** argv) {
  const std::filesystem::path cache = argc > 4 ? argv[4] : "";
  if (std::string_view(argv[3]) == "cold") {
    drop_from_page_cache(argv[1]);
    if (std::filesystem::exists(cache)) drop_from_page_cache(cache);
  }
  const Clock::time_point start = Clock::now();
  const auto seconds = [start] {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  zimage::set_log_sink([&](zimage::LogLevel, std::string_view text) {
    std::printf("%8.2f s  %s\n", seconds(), std::string(text).c_str());
  });
  zimage::Pipeline pipeline({.model = argv[1],
                             .device = "cpu",
                             .memory_limit = argc > 5 ? std::stoull(argv[5]) << 20 : 0,
                             .load = std::string_view(argv[2]) == "preload"
                                         ? zimage::LoadMode::Preload
                                         : zimage::LoadMode::Map,
                             .weights_cache = cache});
  const zimage::Request request{.prompt = "a red apple", .width = 64, .height = 64, .steps = 2};
  double done = 0;
  double second = 0;
  const zimage::Result result = pipeline.generate(request, [&](const zimage::Progress& progress) {
    if (progress.stage != zimage::Stage::Denoise) return;
    if (progress.step == 1) done = seconds();
    if (progress.step == 2) second = seconds();
  });
  // The second step is computed from memory: what the first took beyond it was reading.
  const double ready = second - result.timings.denoise;
  std::printf(
      "ready for the first step after %.2f s, first step done after %.2f s, second %.2f s later\n",
      ready, done, second - done);
  std::printf("loading %.2f s, text encoder %.2f s, peak memory %.0f MiB\n", result.timings.load,
              result.timings.encode_prompt,
              static_cast<double>(zimage::peak_resident_memory()) / 0x1p20);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr,
                 "usage: load_bench MODEL mmap|preload cold|warm [WEIGHTS_CACHE [LIMIT_MIB]]\n");
    return 2;
  }
  try {
    measure(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "load_bench: %s\n", error.what());
  }
  return 1;
}
