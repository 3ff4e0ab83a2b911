// Times the operations of the CUDA backend at the full model's sizes: milliseconds, and the share
// of the card's matrix rate or copy bandwidth measured in the same run. Usage: cuda_bench [TOKENS
// [sustained]]
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cuda/cuda_backend.h"
#include "base/error.h"
#include "base/float16.h"

namespace {

using namespace zimage;  // NOLINT(google-build-using-namespace): one file, one program

constexpr int kRuns = 20;

// Device tensors of normal-like noise.
class Bench {
 public:
  explicit Bench(const CudaOptions& options) : backend_(make_cuda_backend(0, options)) {
    std::printf("%s\n", backend_->description().c_str());
    rates_ = backend_->measure_rates();
    std::printf("ceilings: %.0f TFLOP/s, %.2f TB/s\n", rates_.flops / 1e12,
                rates_.bandwidth / 1e12);
  }

  Backend& backend() { return *backend_; }

  Tensor tensor(DType dtype, const Shape& shape) {
    std::vector<std::uint16_t> noise = host_noise(shape.elements());
    buffers_.push_back(
        backend_->allocate(static_cast<std::size_t>(shape.elements()) * size_of(dtype)));
    const Tensor out{buffers_.back().data(), dtype, shape};
    if (dtype == DType::BF16) {
      backend_->upload(out, noise.data());
    } else {
      std::vector<float> wide(noise.size());
      for (std::size_t i = 0; i < noise.size(); ++i) wide[i] = bf16_to_float(noise[i]);
      backend_->upload(out, wide.data());
    }
    return out;
  }

  Weight matrix(std::int64_t out, std::int64_t in, MatrixRole role) {
    buffers_.push_back(
        backend_->allocate(static_cast<std::size_t>(out * in) * 2 + (std::size_t{1} << 20)));
    Arena slab(buffers_.back().data(), buffers_.back().bytes());
    std::vector<std::uint16_t> noise = host_noise(out * in);
    if (role == MatrixRole::Linear) {
      const Tensor part{noise.data(), DType::BF16, {out, in}};
      return backend_->load_matrix(slab, {&part, 1}, role);
    }
    const Tensor all{noise.data(), DType::BF16, {out, in}};
    const std::vector<Tensor> parts = {all.rows(0, out / 2), all.rows(out / 2, out)};
    return backend_->load_matrix(slab, parts, role);
  }

  Weight kernel(std::int64_t out, std::int64_t in, std::int64_t side) {
    buffers_.push_back(backend_->allocate(static_cast<std::size_t>(out * in * side * side) * 2 +
                                          Arena::kAlignment));
    Arena slab(buffers_.back().data(), buffers_.back().bytes());
    std::vector<std::uint16_t> noise = host_noise(out * in * side * side);
    return backend_->load_kernel(slab, {noise.data(), DType::BF16, {out, in, side, side}});
  }

  void release() { buffers_.clear(); }

  // The rate after a second of nothing else, when the card's power limit sets the clock.
  void sustain(const char* name, double flops, const std::function<void()>& op) {
    op();
    const std::unique_ptr<Recording> recording = backend_->record([&] {
      for (int i = 0; i < kBatch; ++i) op();
    });
    double start = seconds();
    int batches = 0;
    for (const double begin = start; seconds() - begin < 1.6; ++batches) {
      if (seconds() - begin < 0.8) start = seconds(), batches = 0;
      recording->replay();
      backend_->synchronize();
    }
    const double each = (seconds() - start) / kBatch / batches;
    std::printf("sustained %-34s %9.4f ms  %6.1f TFLOP/s\n", name, each * 1e3, flops / each / 1e12);
    std::fflush(stdout);
  }

  // Milliseconds of one call: the least of kRuns recorded calls timed in batches.
  void time(const char* name, double flops, double bytes, const std::function<void()>& op) {
    op();  // measures matrix products, grows scratch
    const std::unique_ptr<Recording> recording = backend_->record([&] {
      for (int i = 0; i < kBatch; ++i) op();
    });
    double best = 1e30;
    recording->replay();
    backend_->synchronize();
    for (int run = 0; run < kRuns / kBatch + 2; ++run) {
      const double start = seconds();
      recording->replay();
      backend_->synchronize();
      const double elapsed = (seconds() - start) / kBatch;
      best = elapsed < best ? elapsed : best;
    }
    std::printf("%-34s %9.4f ms", name, best * 1e3);
    if (flops > 0)
      std::printf("  %6.1f TFLOP/s %5.1f %% of products", flops / best / 1e12,
                  100 * flops / best / rates_.flops);
    if (bytes > 0)
      std::printf("  %6.2f TB/s %5.1f %% of copies", bytes / best / 1e12,
                  100 * bytes / best / rates_.bandwidth);
    std::printf("\n");
    std::fflush(stdout);
  }

 private:
  static constexpr int kBatch = 10;

  static double seconds();

  std::vector<std::uint16_t> host_noise(std::int64_t n) {
    std::vector<std::uint16_t> values(static_cast<std::size_t>(n));
    for (std::uint16_t& value : values) {
      state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      const auto bits = static_cast<std::int32_t>(state_ >> 32);
      value = float_to_bf16(static_cast<float>(bits) * 0x1p-31F);
    }
    return values;
  }

  std::unique_ptr<Backend> backend_;
  std::vector<Buffer> buffers_;
  Rates rates_;
  std::uint64_t state_ = 1;
};

double Bench::seconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void products(Bench& b, std::int64_t rows, const char* note) {
  Backend& be = b.backend();
  struct Size {
    const char* name;
    std::int64_t out, in;
  };
  std::printf("-- products, %ld rows %s\n", static_cast<long>(rows), note);
  for (const Size& s :
       {Size{"linear 3840 to 11520", 11520, 3840}, Size{"linear 3840 to 3840", 3840, 3840},
        Size{"linear 10240 to 3840", 3840, 10240}, Size{"linear 3840 to 20480", 20480, 3840}}) {
    const Tensor x = b.tensor(DType::BF16, {rows, s.in});
    const Tensor out = b.tensor(DType::BF16, {rows, s.out});
    const Weight w = b.matrix(s.out, s.in, MatrixRole::Linear);
    b.time(s.name, 2.0 * static_cast<double>(rows * s.out * s.in), 0,
           [&] { be.linear(out, x, w); });
    b.release();
  }
  const Tensor x = b.tensor(DType::BF16, {rows, 3840});
  const Tensor out = b.tensor(DType::BF16, {rows, 10240});
  const Weight w = b.matrix(20480, 3840, MatrixRole::GateUp);
  b.time("swiglu 3840 to 2 x 10240", 2.0 * static_cast<double>(rows) * 20480 * 3840, 0,
         [&] { be.swiglu(out, x, w); });
  b.release();
}

void sustained(Bench& b, std::int64_t rows) {
  Backend& be = b.backend();
  struct Size {
    const char* name;
    std::int64_t out, in;
  };
  for (const Size& s :
       {Size{"linear 3840 to 11520", 11520, 3840}, Size{"linear 3840 to 3840", 3840, 3840},
        Size{"linear 10240 to 3840", 3840, 10240}}) {
    const Tensor x = b.tensor(DType::BF16, {rows, s.in});
    const Tensor out = b.tensor(DType::BF16, {rows, s.out});
    const Tensor bias = b.tensor(DType::F32, {s.out});
    const Weight w = b.matrix(s.out, s.in, MatrixRole::Linear);
    const double flops = 2.0 * static_cast<double>(rows * s.out * s.in);
    b.sustain(s.name, flops, [&] { be.linear(out, x, w); });
    // A bias takes our own kernel.
    b.sustain((std::string(s.name) + ", bias").c_str(), flops,
              [&] { be.linear(out, x, w, {.bias = bias}); });
    b.release();
  }
  const Tensor x = b.tensor(DType::BF16, {rows, 3840});
  const Tensor out = b.tensor(DType::BF16, {rows, 10240});
  const Weight w = b.matrix(20480, 3840, MatrixRole::GateUp);
  b.sustain("swiglu 3840 to 2 x 10240", 2.0 * static_cast<double>(rows) * 20480 * 3840,
            [&] { be.swiglu(out, x, w); });
  b.release();
  const Tensor qkv = b.tensor(DType::BF16, {rows, 3 * 3840});
  const Tensor mixed = b.tensor(DType::BF16, {rows, 3840});
  const auto count = static_cast<double>(rows);
  b.sustain("attention 30 heads of 128", 4 * count * count * 3840,
            [&] { be.attention(mixed, qkv, {.heads = 30, .kv_heads = 30, .scale = 0.088F}); });
  b.release();
}

void rows(Bench& b, std::int64_t n) {
  Backend& be = b.backend();
  std::printf("-- rows\n");
  const auto count = static_cast<double>(n);
  const Tensor x = b.tensor(DType::BF16, {n, 3840});
  const Tensor y = b.tensor(DType::BF16, {n, 3840});
  const Tensor qkv = b.tensor(DType::BF16, {n, 3 * 3840});
  const Tensor out = b.tensor(DType::BF16, {n, 3840});
  const Tensor v = b.tensor(DType::F32, {3840});
  const Tensor h = b.tensor(DType::F32, {128});
  const Tensor cos_sin = b.tensor(DType::F32, {n, 64, 2});
  b.time("attention 30 heads of 128", 4 * count * count * 3840, 0,
         [&] { be.attention(out, qkv, {.heads = 30, .kv_heads = 30, .scale = 0.088F}); });
  b.time("rms_norm", 0, count * 3840 * 4,
         [&] { be.rms_norm(out, x, v, {.eps = 1e-5F, .scale = v}); });
  b.time("layer_norm", 0, count * 3840 * 4,
         [&] { be.layer_norm(out, x, {.eps = 1e-5F, .scale = v}); });
  b.time("add_gated_rms_norm", 0, count * 3840 * 6,
         [&] { be.add_gated_rms_norm(x, y, v, {.eps = 1e-5F, .gate = v}); });
  b.time("qk_norm_rope", 0, count * 3840 * 8 + count * 512, [&] {
    be.qk_norm_rope(qkv, h, h, {.cos_sin = cos_sin, .heads = 30, .kv_heads = 30, .eps = 1e-5F});
  });
  b.release();
  const Tensor modulation = b.tensor(DType::F32, {8, 32 * 4 * 3840});
  const Tensor c = b.tensor(DType::F32, {8, 256});
  const Weight w = b.matrix(32 * 4 * 3840, 256, MatrixRole::Linear);
  b.time("linear 8 rows f32, 256 to 491520", 0, 491520.0 * (256 * 2 + 8 * 4),
         [&] { be.linear(modulation, c, w); });
  b.release();
}

void maps(Bench& b) {
  Backend& be = b.backend();
  std::printf("-- maps\n");
  struct Size {
    const char* name;
    std::int64_t side, in, out, kernel;
    bool upsample;
  };
  for (const Size& s : {Size{"conv 128x128 16 to 512", 128, 16, 512, 3, false},
                        Size{"conv 128x128 512 to 512", 128, 512, 512, 3, false},
                        Size{"conv 256x256 512 to 512", 256, 512, 512, 3, false},
                        Size{"conv to 256x256 512, upsampling", 128, 512, 512, 3, true},
                        Size{"conv to 512x512 512, upsampling", 256, 512, 512, 3, true},
                        Size{"conv 512x512 512 to 256", 512, 512, 256, 3, false},
                        Size{"conv 512x512 256 to 256", 512, 256, 256, 3, false},
                        Size{"conv to 1024x1024 256, upsampling", 512, 256, 256, 3, true},
                        Size{"conv 1024x1024 256 to 128", 1024, 256, 128, 3, false},
                        Size{"conv 1024x1024 128 to 128", 1024, 128, 128, 3, false},
                        Size{"conv 1024x1024 256 to 128, 1x1", 1024, 256, 128, 1, false},
                        Size{"conv 1024x1024 128 to 3", 1024, 128, 3, 3, false}}) {
    const std::int64_t factor = s.upsample ? 2 : 1;
    const Tensor x = b.tensor(DType::BF16, {s.side, s.side, s.in});
    const Tensor out = b.tensor(DType::BF16, {factor * s.side, factor * s.side, s.out});
    const Tensor bias = b.tensor(DType::F32, {s.out});
    const Weight w = b.kernel(s.out, s.in, s.kernel);
    const double flops = 2.0 * static_cast<double>(out.elements() * s.in * s.kernel * s.kernel);
    b.time(s.name, flops, 0,
           [&] { be.conv2d(out, x, w, {.bias = bias, .upsample_2x = s.upsample}); });
    b.release();
  }
  for (const std::int64_t side : {128, 512, 1024}) {
    const std::int64_t channels = side == 1024 ? 128 : 512;
    const Tensor x = b.tensor(DType::BF16, {side, side, channels});
    const Tensor v = b.tensor(DType::F32, {channels});
    b.time(side == 1024  ? "group_norm 1024x1024x128"
           : side == 512 ? "group_norm 512x512x512"
                         : "group_norm 128x128x512",
           0, static_cast<double>(x.bytes()) * 3, [&] {
             be.group_norm(x, x, v, v,
                           {.groups = 32, .eps = 1e-6F, .activation = Activation::Silu});
           });
    b.release();
  }
  const Tensor qkv = b.tensor(DType::BF16, {128 * 128, 3 * 512});
  const Tensor out = b.tensor(DType::BF16, {128 * 128, 512});
  b.time("attention 1 head of 512", 4.0 * 16384 * 16384 * 512, 0,
         [&] { be.attention(out, qkv, {.heads = 1, .kv_heads = 1, .scale = 0.044F}); });
  b.release();
}

// Everything, or only the rates under the power limit.
enum class Extent { Everything, Sustained };
void run(Bench& b, std::int64_t tokens, Extent extent) {
  if (extent == Extent::Everything) {
    products(b, tokens, "");
    rows(b, tokens);
    maps(b);
    products(b, 101, "(text encoder's row count)");
  }
  sustained(b, tokens);
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t tokens = argc > 1 ? std::atol(argv[1]) : 4224;
  const Extent extent = argc < 3 ? Extent::Everything : Extent::Sustained;
  {
    Bench b(CudaOptions{});
    run(b, tokens, extent);
  }
  try {
    Bench b(CudaOptions{});
    b.backend().set_encoding(Encoding::Fp8);
    std::printf("== fp8\n");
    if (extent == Extent::Everything) products(b, tokens, "");
    sustained(b, tokens);
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
  }
  if (extent == Extent::Sustained) return 0;
  std::printf("== without the kernels for Hopper\n");
  CudaOptions options;
  options.hopper_kernels = false;
  Bench b(options);
  run(b, tokens, extent);
}
