// What op_bench's cases are made of: options, operands, and the runs that take turns with bursts of
// the machine's peak.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/peak.h"
#include "base/error.h"
#include "base/float16.h"

namespace zimage {

struct Options {
  CpuOptions backend;
  std::string precision = "exact";  // or "bf16", "int16", "int8"
  std::string filter;               // only cases whose name contains it
  double seconds = 1.0;             // of runs for each case
  bool cpu_time = false;  // processor time of the process: for one thread on a busy machine
};

inline double now(const Options& options) {
  if (!options.cpu_time) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Operands with normal numbers, alive as long as the bench.
class Operands {
 public:
  explicit Operands(Backend& backend) : backend_(backend) {}

  Tensor activations(const Shape& shape) {
    const Tensor tensor{allocate(static_cast<std::size_t>(shape.elements()) * 4), DType::F32,
                        shape};
    std::normal_distribution<float> normal;
    std::vector<float> block(4099);
    for (float& number : block) number = normal(engine_);
    float* numbers = tensor.as<float>();
    for (std::int64_t i = 0; i < shape.elements(); ++i) {
      numbers[i] = block[static_cast<std::size_t>(i) % block.size()];
    }
    return tensor;
  }

  // A matrix as the precision has it, and as it is stored where that is another.
  struct Matrix {
    Weight weight;
    Weight exact = {};
  };

  // [out, in], or two such parts for GateUp.
  Matrix matrix(std::int64_t out, std::int64_t in, MatrixRole role, Encoding encoding) {
    const std::int64_t rows = role == MatrixRole::GateUp ? 2 * out : out;
    std::vector<std::uint16_t> numbers(static_cast<std::size_t>(rows * in));
    for (std::uint16_t& number : numbers) {
      const float uniform = static_cast<float>(engine_()) / 4294967296.0F - 0.5F;
      number = float_to_bf16(uniform / std::sqrt(static_cast<float>(in)));
    }
    std::vector<Tensor> parts;
    for (std::int64_t first = 0; first < rows; first += out) {
      parts.push_back({numbers.data() + first * in, DType::BF16, {out, in}});
    }
    Matrix matrix{.weight = load(parts, role)};
    if (encoding != Encoding::Plain) {
      backend_.set_encoding(Encoding::Plain);
      matrix.exact = load(parts, role);
      backend_.set_encoding(encoding);
    }
    return matrix;
  }

  void* allocate(std::size_t bytes) {
    return buffers_.emplace_back(backend_.allocate(bytes)).data();
  }

 private:
  Weight load(const std::vector<Tensor>& parts, MatrixRole role) {
    Arena measure;
    backend_.load_matrix(measure, parts, role);
    Arena slab(allocate(measure.used()), measure.used());
    return backend_.load_matrix(slab, parts, role);
  }

  Backend& backend_;
  std::minstd_rand engine_{1};
  std::vector<Buffer> buffers_;
};

// One operation, ready to run again and again.
struct Case {
  double flops = 0;
  double bytes = 0;  // that must come from or go to memory at least once
  std::function<void()> run;
  Tensor out = {};                        // with `exact`
  std::function<void()> exact = nullptr;  // the same with the matrix as it is stored
};

// The root of the mean square of b - a over that of a.
inline double relative_error(const std::vector<float>& a, const float* b) {
  double error = 0;
  double size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(b[i]) - static_cast<double>(a[i]);
    error += difference * difference;
    size += static_cast<double>(a[i]) * static_cast<double>(a[i]);
  }
  return std::sqrt(error / size);
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), backend_(options.backend) {
    backend_.set_encoding(encoding());
  }

  void header() {
    const Rates rates = backend_.measure_rates();
    std::printf("%s: %.1f GFLOP/s, %.1f GB/s\n%-44s %12s %9s %9s %8s %8s  %s\n",
                backend_.description().c_str(), rates.flops * 1e-9, rates.bandwidth * 1e-9,
                "operation", "us", "GFLOP/s", "peak", "share", "GB/s",
                encoding() == Encoding::Plain ? "" : "error");
  }

  // `make` is called only if the name passes the filter, so that operands are made one case at a
  // time.
  void measure(const std::string& name, const std::function<Case(Operands&)>& make) {
    if (name.find(options_.filter) == std::string::npos) return;
    Operands operands(backend_);
    const Case c = make(operands);
    c.run();
    double best = 1e30;
    double peak = 0;
    const double start = now(options_);
    for (int run = 0; run < 3 || now(options_) - start < options_.seconds; ++run) {
      peak = std::max(peak, burst());
      const double begin = now(options_);
      c.run();
      best = std::min(best, now(options_) - begin);
    }
    std::printf("%-44s %12.1f %9.1f %9.1f %7.1f%% %8.1f", name.c_str(), best * 1e6,
                c.flops / best * 1e-9, peak * 1e-9, 100 * c.flops / best / peak,
                c.bytes / best * 1e-9);
    if (c.exact) {
      c.exact();
      const auto* numbers = c.out.as<float>();
      const std::vector<float> exact(numbers, numbers + c.out.elements());
      c.run();
      std::printf("  %.1e", relative_error(exact, numbers));
    }
    std::printf("\n");
    std::fflush(stdout);
  }

  Backend& backend() { return backend_; }
  Encoding encoding() const {
    if (options_.precision == "exact") return Encoding::Plain;
    return options_.precision == "bf16" ? Encoding::Bf16 : Encoding::Fast;
  }

 private:
  // The peak of the products' own instructions, in the same clock. The shares of operations that
  // are no products count against it too.
  double burst() const {
    const cpu::Kernels& kernels = backend_.kernels();
    const cpu::PanelFormat format =
        encoding() == Encoding::Bf16 ? cpu::PanelFormat::Bf16Pairs : backend_.fast_format();
    const bool plain = encoding() == Encoding::Plain;
    if (!options_.cpu_time) {
      return plain ? cpu::measure_fma(kernels, backend_.threads(), 2)
                   : cpu::measure_dot(kernels, format, backend_.threads(), 2);
    }
    float sink = 0;
    const double begin = now(options_);
    const double flops =
        plain ? kernels.fma_burst(100000, &sink) : kernels.dot.burst(format, 50000, &sink);
    return flops / (now(options_) - begin);
  }

  const Options& options_;
  CpuBackend backend_;
};

}  // namespace zimage
