// Times 3x3 convolutions at the sizes of both decoders, ours beside oneDNN's where it is built in.
// What enters: options; what leaves: a table of times, effective rates (2 x 9 x pixels x in x out
// in the time) and their ratio to the f32 multiply-add peak. Ours, oneDNN's and the peak take
// turns, so that all see the same machine.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/peak.h"
#include "base/error.h"
#include "onednn_conv.h"

namespace zimage {
namespace {

struct Options {
  CpuOptions backend{.threads = 1};
  std::string filter;     // only cases whose name contains it
  double seconds = 1.0;   // of runs for each case
  bool cpu_time = false;  // processor time of the calling thread: for one thread on a busy machine
};

double now(const Options& options) {
  timespec time{};
  clock_gettime(options.cpu_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Memory that the backend aligns, filled with normal numbers times `scale`.
class Numbers {
 public:
  Numbers(Backend& backend, std::int64_t size, float scale)
      : size_(static_cast<std::size_t>(size)), buffer_(backend.allocate(size_ * sizeof(float))) {
    std::minstd_rand engine(static_cast<unsigned>(size));
    std::normal_distribution<float> normal;
    std::vector<float> block(std::min<std::size_t>(size_, 65537));
    for (float& number : block) number = scale * normal(engine);
    for (std::size_t i = 0; i < size_; ++i) data()[i] = block[i % block.size()];
  }
  float* data() const { return static_cast<float*>(buffer_.data()); }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  Buffer buffer_;
};

// One way to compute a case.
struct Contender {
  std::string name;
  std::function<void()> run;
  double best = 1e30;  // seconds
};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), backend_(options.backend) {}

  void header() const {
    std::printf("%s\n%-28s %-34s %10s %9s %6s\n", backend_.description().c_str(), "operation", "by",
                "us", "GFLOP/s", "x peak");
  }

  void measure(const ConvShape& shape, bool upsample_2x) {
    std::string name = std::to_string(shape.in) + " to " + std::to_string(shape.out) + ", " +
                       std::to_string(shape.height) + "x" + std::to_string(shape.width) +
                       (upsample_2x ? " up" : "");
    if (name.find(options_.filter) == std::string::npos) return;
    const std::int64_t divisor = upsample_2x ? 2 : 1;
    const Shape x_shape{shape.height / divisor, shape.width / divisor, shape.in};
    const Numbers x(backend_, x_shape.elements(), 1);
    const Numbers kernel(backend_, shape.out * shape.in * 9,
                         1 / std::sqrt(static_cast<float>(9 * shape.in)));
    const Numbers bias(backend_, shape.out, 1);
    const Numbers out(backend_, shape.height * shape.width * shape.out, 0);
    const Tensor stored{kernel.data(), DType::F32, {shape.out, shape.in, 3, 3}};
    Arena measuring;
    backend_.load_kernel(measuring, stored);
    const Buffer slab = backend_.allocate(measuring.used());
    Arena arena(slab.data(), slab.bytes());
    const Weight weight = backend_.load_kernel(arena, stored);
    const Tensor x_map{x.data(), DType::F32, x_shape};
    const Tensor out_map{out.data(), DType::F32, {shape.height, shape.width, shape.out}};
    const ConvArgs args{.bias = {bias.data(), DType::F32, {shape.out}}, .upsample_2x = upsample_2x};
    contenders_ = {{"zimage", [&] { backend_.conv2d(out_map, x_map, weight, args); }}};
    contenders_[0].run();
    std::vector<OnednnConv> onednn;
    if (!upsample_2x) {
      for (const auto algorithm : {OnednnAlgorithm::Direct, OnednnAlgorithm::Winograd}) {
        onednn.push_back(
            make_onednn_conv(algorithm, shape, {x.data(), kernel.data(), bias.data()}));
        if (onednn.back().run) add_onednn(onednn.back(), {out.data(), out.size()});
      }
    }
    time_and_print(name, 2.0 * 9 * static_cast<double>(out_map.elements() * shape.in));
  }

 private:
  // Checks that both compute the same thing, to 1e-5 of the result.
  void add_onednn(const OnednnConv& conv, std::span<const float> ours) {
    std::vector<float> theirs(ours.size());
    conv.run();
    conv.result(theirs);
    double error = 0;
    double size = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      error += std::pow(static_cast<double>(ours[i]) - static_cast<double>(theirs[i]), 2);
      size += std::pow(static_cast<double>(theirs[i]), 2);
    }
    if (!(error <= 1e-10 * size)) {
      throw Error(ErrorCode::Numerics, "the results differ from those of " + conv.name);
    }
    contenders_.push_back({"oneDNN " + conv.name, conv.run});
  }

  void time_and_print(const std::string& name, double flops) {
    double peak = 0;
    const double start = now(options_);
    for (int turn = 0; turn < 3 || now(options_) - start < options_.seconds; ++turn) {
      peak = std::max(peak, burst());
      for (Contender& contender : contenders_) {
        const double begin = now(options_);
        contender.run();
        contender.best = std::min(contender.best, now(options_) - begin);
      }
    }
    for (const Contender& contender : contenders_) {
      std::printf("%-28s %-34s %10.1f %9.1f %6.2f\n", name.c_str(), contender.name.c_str(),
                  contender.best * 1e6, flops / contender.best * 1e-9,
                  flops / contender.best / peak);
    }
    std::fflush(stdout);
  }

  // The peak, in the same clock.
  double burst() const {
    if (!options_.cpu_time) return cpu::measure_fma(backend_.kernels(), backend_.threads(), 2);
    float sink = 0;
    const double begin = now(options_);
    const double flops = backend_.kernels().fma_burst(100000, &sink);
    return flops / (now(options_) - begin);
  }

  const Options& options_;
  CpuBackend backend_;
  std::vector<Contender> contenders_;
};

void run(const Options& options) {
  set_onednn_threads(std::max(options.backend.threads, 1));
  Bench bench(options);
  bench.header();
  const auto square = [&bench](std::int64_t in, std::int64_t out, std::int64_t side) {
    bench.measure({side, side, in, out}, false);
  };
  const auto upsampled = [&bench](std::int64_t channels, std::int64_t side) {
    bench.measure({side, side, channels, channels}, true);
  };
  // Z-Image-Tiny's decoder at 256x256.
  square(16, 128, 32);
  square(128, 128, 32);
  square(128, 128, 64);
  square(128, 128, 128);
  square(128, 64, 256);
  square(64, 64, 256);
  square(64, 3, 256);
  upsampled(128, 64);
  upsampled(128, 128);
  upsampled(128, 256);
  // The full decoder at 256x256.
  square(16, 512, 32);
  square(512, 512, 32);
  square(512, 512, 64);
  square(512, 256, 128);
  square(256, 256, 128);
  square(256, 128, 256);
  square(128, 128, 256);
  square(128, 3, 256);
  upsampled(512, 64);
  upsampled(512, 128);
  upsampled(256, 256);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--cpu-time") {
      options.cpu_time = true;
      continue;
    }
    if (i + 1 == argc) throw Error(ErrorCode::InvalidArgument, "no value for " + std::string(name));
    const char* value = argv[++i];
    if (name == "--threads") {
      options.backend.threads = std::atoi(value);
    } else if (name == "--isa") {
      options.backend.isa = cpu::isa_from_name(value);
    } else if (name == "--filter") {
      options.filter = value;
    } else if (name == "--seconds") {
      options.seconds = std::atof(value);
    } else {
      throw Error(
          ErrorCode::InvalidArgument,
          "unknown option " + std::string(name) +
              "; there are --threads N, --isa NAME, --filter TEXT, --seconds S, --cpu-time");
    }
  }
  return options;
}

}  // namespace
}  // namespace zimage

int main(int argc, char** argv) {
  try {
    zimage::run(zimage::parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "conv_bench: %s\n", error.what());
    return 2;
  }
  return 0;
}
