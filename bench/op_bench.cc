// Times each operation of the CPU backend at the sizes of Z-Image-Tiny and of the full model. What
// enters: options; what leaves: a table of times, rates and shares of the f32 multiply-add peak,
// which is measured between the runs, so that both see the same machine.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
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
namespace {

struct Options {
  CpuOptions backend;
  std::string precision = "exact";  // or "bf16", "int16", "int8"
  std::string filter;               // only cases whose name contains it
  double seconds = 1.0;             // of runs for each case
  bool cpu_time = false;  // processor time of the calling thread: for one thread on a busy machine
};

double now(const Options& options) {
  if (!options.cpu_time) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
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

 private:
  Weight load(const std::vector<Tensor>& parts, MatrixRole role) {
    Arena measure;
    backend_.load_matrix(measure, parts, role);
    Arena slab(allocate(measure.used()), measure.used());
    return backend_.load_matrix(slab, parts, role);
  }

  void* allocate(std::size_t bytes) {
    return buffers_.emplace_back(backend_.allocate(bytes)).data();
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
double relative_error(const std::vector<float>& a, const float* b) {
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

double as_double(std::int64_t n) {
  return static_cast<double>(n);
}

void bench_linear(Bench& bench, std::int64_t rows, std::int64_t in, std::int64_t out) {
  const std::string size =
      std::to_string(rows) + " x " + std::to_string(in) + " -> " + std::to_string(out);
  bench.measure("linear " + size, [&](Operands& operands) {
    const Tensor x = operands.activations({rows, in});
    const Tensor y = operands.activations({rows, out});
    const auto w = operands.matrix(out, in, MatrixRole::Linear, bench.encoding());
    const double elements = as_double(rows) * as_double(in + out) * 4;
    Case c{.flops = 2.0 * as_double(rows) * as_double(in) * as_double(out),
           .bytes = 2.0 * as_double(in) * as_double(out) + elements,
           .run = [&bench, x, y, w] { bench.backend().linear(y, x, w.weight); },
           .out = y};
    if (!w.exact.empty()) c.exact = [&bench, x, y, w] { bench.backend().linear(y, x, w.exact); };
    return c;
  });
}

void bench_swiglu(Bench& bench, std::int64_t rows, std::int64_t in, std::int64_t out) {
  const std::string size =
      std::to_string(rows) + " x " + std::to_string(in) + " -> 2 x " + std::to_string(out);
  bench.measure("swiglu " + size, [&](Operands& operands) {
    const Tensor x = operands.activations({rows, in});
    const Tensor y = operands.activations({rows, out});
    const auto w = operands.matrix(out, in, MatrixRole::GateUp, bench.encoding());
    const double elements = as_double(rows) * as_double(in + out) * 4;
    Case c{.flops = 4.0 * as_double(rows) * as_double(in) * as_double(out),
           .bytes = 4.0 * as_double(in) * as_double(out) + elements,
           .run = [&bench, x, y, w] { bench.backend().swiglu(y, x, w.weight); },
           .out = y};
    if (!w.exact.empty()) c.exact = [&bench, x, y, w] { bench.backend().swiglu(y, x, w.exact); };
    return c;
  });
}

void bench_attention(Bench& bench, std::int64_t rows, std::int64_t head_dim, AttentionArgs args) {
  const std::string size = std::to_string(rows) + " x " + std::to_string(args.heads) + "/" +
                           std::to_string(args.kv_heads) + " x " + std::to_string(head_dim) +
                           (args.causal ? " causal" : "");
  bench.measure("attention " + size, [&](Operands& operands) {
    args.scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
    const Tensor qkv = operands.activations({rows, (args.heads + 2 * args.kv_heads) * head_dim});
    const Tensor out = operands.activations({rows, args.heads * head_dim});
    const double pairs = as_double(rows) * as_double(args.causal ? (rows + 1) / 2 : rows);
    return Case{.flops = 4.0 * pairs * as_double(args.heads * head_dim),
                .bytes = as_double(qkv.elements() + out.elements()) * 4,
                .run = [&bench, out, qkv, args] { bench.backend().attention(out, qkv, args); }};
  });
}

void bench_rows(Bench& bench, std::int64_t rows, std::int64_t dim) {
  const std::string size = " " + std::to_string(rows) + " x " + std::to_string(dim);
  const double bytes = as_double(rows) * as_double(dim) * 4;
  Backend& backend = bench.backend();
  bench.measure("rms_norm" + size, [&](Operands& operands) {
    const Tensor x = operands.activations({rows, dim});
    const Tensor y = operands.activations({rows, dim});
    const Tensor w = operands.activations({dim});
    return Case{.bytes = 2 * bytes, .run = [&backend, x, y, w] {
                  backend.rms_norm(y, x, w, {.eps = 1e-5F, .scale = w});
                }};
  });
  bench.measure("add_gated_rms_norm" + size, [&](Operands& operands) {
    const Tensor x = operands.activations({rows, dim});
    const Tensor y = operands.activations({rows, dim});
    const Tensor w = operands.activations({dim});
    return Case{.bytes = 3 * bytes, .run = [&backend, x, y, w] {
                  backend.add_gated_rms_norm(x, y, w, {.eps = 1e-5F, .gate = w});
                }};
  });
  bench.measure("silu" + size, [&](Operands& operands) {
    const Tensor x = operands.activations({rows, dim});
    return Case{.bytes = 2 * bytes, .run = [&backend, x] { backend.silu(x); }};
  });
}

void bench_rope(Bench& bench, std::int64_t rows, std::int64_t heads, std::int64_t kv_heads,
                Pairing pairing) {
  constexpr std::int64_t kHeadDim = 128;
  const std::string size = std::to_string(rows) + " x " + std::to_string(heads) + "/" +
                           std::to_string(kv_heads) + " x 128" +
                           (pairing == Pairing::Interleaved ? "" : " half-split");
  bench.measure("qk_norm_rope " + size, [&](Operands& operands) {
    const Tensor qkv = operands.activations({rows, (heads + 2 * kv_heads) * kHeadDim});
    const Tensor w = operands.activations({kHeadDim});
    const Tensor angles = operands.activations({rows, kHeadDim / 2, 2});
    const RopeArgs args{
        .cos_sin = angles, .pairing = pairing, .heads = heads, .kv_heads = kv_heads, .eps = 1e-5F};
    return Case{.bytes = as_double(rows * (heads + kv_heads) * kHeadDim) * 8,
                .run = [&bench, qkv, w, args] { bench.backend().qk_norm_rope(qkv, w, w, args); }};
  });
}

void bench_group_norm(Bench& bench, std::int64_t side, std::int64_t channels) {
  const std::string size =
      " " + std::to_string(side) + " x " + std::to_string(side) + " x " + std::to_string(channels);
  bench.measure("group_norm" + size, [&](Operands& operands) {
    const Tensor x = operands.activations({side, side, channels});
    const Tensor y = operands.activations({side, side, channels});
    const Tensor w = operands.activations({channels});
    return Case{.bytes = as_double(x.elements()) * 12, .run = [&bench, x, y, w] {
                  bench.backend().group_norm(
                      y, x, w, w, {.groups = 32, .eps = 1e-6F, .activation = Activation::Silu});
                }};
  });
}

void run(const Options& options) {
  Bench bench(options);
  bench.header();
  // Z-Image-Tiny at 256x256: 256 image and 32 caption tokens.
  for (const auto& [in, out] : {std::pair{384, 1152}, {384, 384}, {1024, 384}, {384, 64}}) {
    bench_linear(bench, 288, in, out);
  }
  bench_swiglu(bench, 288, 384, 1024);
  // The full model: 256x256, 1024x1024, the text encoder's 32 tokens, the modulations.
  for (const auto& [in, out] : {std::pair{3840, 11520}, {3840, 3840}, {10240, 3840}}) {
    bench_linear(bench, 288, in, out);
  }
  bench_swiglu(bench, 288, 3840, 10240);
  bench_linear(bench, 4160, 3840, 3840);
  bench_linear(bench, 32, 2560, 6144);
  bench_swiglu(bench, 32, 2560, 9728);
  for (const std::int64_t rows : {1, 2, 4, 6, 8}) bench_linear(bench, rows, 3840, 3840);
  bench_linear(bench, 8, 256, 15360);

  bench_attention(bench, 288, 128, {.heads = 3, .kv_heads = 3});
  bench_attention(bench, 288, 128, {.heads = 30, .kv_heads = 30});
  bench_attention(bench, 4160, 128, {.heads = 4, .kv_heads = 4});
  bench_attention(bench, 32, 128, {.heads = 32, .kv_heads = 8, .causal = true});
  bench_attention(bench, 512, 128, {.heads = 32, .kv_heads = 8, .causal = true});
  bench_attention(bench, 1024, 128, {.heads = 1, .kv_heads = 1});
  bench_attention(bench, 1024, 512, {.heads = 1, .kv_heads = 1});

  bench_rows(bench, 288, 384);
  bench_rows(bench, 288, 3840);
  bench_rope(bench, 288, 3, 3, Pairing::Interleaved);
  bench_rope(bench, 288, 30, 30, Pairing::Interleaved);
  bench_rope(bench, 32, 32, 8, Pairing::HalfSplit);
  bench_group_norm(bench, 32, 512);
  bench_group_norm(bench, 256, 128);
}

Options parse(int argc, char** argv) {
  Options options;
  options.backend.threads = 1;
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
    } else if (name == "--precision") {
      options.precision = value;
      if (options.precision == "int16") options.backend.fast = cpu::PanelFormat::Int16;
      if (options.precision == "int8") options.backend.fast = cpu::PanelFormat::Int8;
      if (options.precision != "exact" && options.precision != "bf16" && !options.backend.fast)
        throw Error(ErrorCode::InvalidArgument,
                    "precision is " + options.precision + ", expected exact, bf16, int16 or int8");
    } else if (name == "--filter") {
      options.filter = value;
    } else if (name == "--seconds") {
      options.seconds = std::atof(value);
    } else {
      throw Error(ErrorCode::InvalidArgument,
                  "unknown option " + std::string(name) +
                      "; there are --threads N, --isa NAME, --precision NAME, --filter TEXT, "
                      "--seconds S, --cpu-time");
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
    std::fprintf(stderr, "op_bench: %s\n", error.what());
    return 2;
  }
  return 0;
}
