// What the CPU backend promises beyond the meaning of each operation: the same bytes on every
// number of threads, the choice of kernels, NaN that is not lost on the way.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "base/error.h"
#include "base/float16.h"
#include "error_of.h"

namespace zimage {
namespace {

std::vector<float> noise(std::int64_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<std::size_t>(n));
  for (float& number : numbers) number = normal(engine);
  return numbers;
}

// One backend, and buffers for the operands of one test.
class Rig {
 public:
  Rig(int threads, cpu::Isa isa) : backend_({.threads = threads, .isa = isa}) {}
  Rig(int threads, const cpu::KernelChoice& kernels)
      : backend_({.threads = threads, .kernels = kernels}) {}

  CpuBackend& backend() { return backend_; }

  Tensor tensor(const Shape& shape, unsigned seed) {
    const std::vector<float> numbers = noise(shape.elements(), seed);
    const std::size_t bytes = numbers.size() * sizeof(float);
    const Tensor tensor{buffers_.emplace_back(backend_.allocate(bytes)).data(), DType::F32, shape};
    backend_.upload(tensor, numbers.data());
    return tensor;
  }

  Weight matrix(std::int64_t out, std::int64_t in, MatrixRole role) {
    const std::size_t parts = role == MatrixRole::GateUp ? 2 : 1;
    std::vector<std::vector<float>> rows;
    std::vector<Tensor> tensors;
    for (std::size_t part = 0; part < parts; ++part) {
      rows.push_back(noise(out * in, static_cast<unsigned>(90 + part)));
    }
    for (std::vector<float>& part : rows) tensors.push_back({part.data(), DType::F32, {out, in}});
    Arena measure;
    backend_.load_matrix(measure, tensors, role);
    Buffer& buffer = buffers_.emplace_back(backend_.allocate(measure.used()));
    Arena slab(buffer.data(), measure.used());
    return backend_.load_matrix(slab, tensors, role);
  }

  // 3x3.
  Weight kernel(std::int64_t out, std::int64_t in) {
    std::vector<float> numbers = noise(out * in * 9, 92);
    const Tensor stored{numbers.data(), DType::F32, {out, in, 3, 3}};
    Arena measure;
    backend_.load_kernel(measure, stored);
    Buffer& buffer = buffers_.emplace_back(backend_.allocate(measure.used()));
    Arena slab(buffer.data(), measure.used());
    return backend_.load_kernel(slab, stored);
  }

  std::vector<std::byte> bytes(const Tensor& tensor) {
    std::vector<std::byte> bytes(tensor.bytes());
    backend_.download(bytes.data(), tensor);
    return bytes;
  }

 private:
  CpuBackend backend_;
  std::vector<Buffer> buffers_;
};

class Cpu : public testing::TestWithParam<cpu::Isa> {};

// A sum split over threads, or a tile whose rows depend on the split, changes last bits.
TEST_P(Cpu, GivesTheSameBytesOnEveryNumberOfThreads) {
  const auto run = [&](int threads) {
    Rig rig(threads, GetParam());
    CpuBackend& backend = rig.backend();
    std::vector<std::vector<std::byte>> results;
    for (const std::int64_t rows : {1, 3, 7, 13, 50, 97}) {
      const Tensor x = rig.tensor({rows, 600}, 1);
      const Tensor out = rig.tensor({rows, 333}, 2);
      backend.linear(out, x, rig.matrix(333, 600, MatrixRole::Linear), {.accumulate = true});
      results.push_back(rig.bytes(out));
      backend.swiglu(out, x, rig.matrix(333, 600, MatrixRole::GateUp));
      results.push_back(rig.bytes(out));
      const Tensor qkv = rig.tensor({rows, 8 * 40}, 3);
      const Tensor mixed = rig.tensor({rows, 4 * 40}, 4);
      backend.attention(mixed, qkv, {.heads = 4, .kv_heads = 2, .scale = 0.2F, .causal = true});
      results.push_back(rig.bytes(mixed));
      backend.rms_norm(x, x, rig.tensor({600}, 5), {.eps = 1e-6F});
      results.push_back(rig.bytes(x));
    }
    const Tensor map = rig.tensor({61, 67, 96}, 6);
    backend.group_norm(map, map, rig.tensor({96}, 7), rig.tensor({96}, 8),
                       {.groups = 32, .eps = 1e-6F, .activation = Activation::Silu});
    results.push_back(rig.bytes(map));
    return results;
  };
  const auto one = run(1);
  for (const int threads : {2, 3, 8}) EXPECT_TRUE(run(threads) == one) << threads << " threads";
}

// A NaN that a maximum or a clamp drops would become a plausible picture. Each row stays for
// itself.
TEST_P(Cpu, KeepsNanInItsRow) {
  Rig rig(1, GetParam());
  CpuBackend& backend = rig.backend();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = rig.tensor({9, 40}, 1);
  const Tensor out = rig.tensor({9, 24}, 2);
  x.as<float>()[3 * 40 + 17] = nan;
  backend.linear(out, x, rig.matrix(24, 40, MatrixRole::Linear), {.activation = Activation::Silu});
  for (std::int64_t i = 0; i < out.elements(); ++i) {
    EXPECT_EQ(std::isnan(out.as<float>()[i]), i / 24 == 3) << i;
  }
  // A query of NaN.
  const Tensor qkv = rig.tensor({9, 3 * 16}, 3);
  const Tensor mixed = rig.tensor({9, 16}, 4);
  qkv.as<float>()[5 * 48 + 2] = nan;
  backend.attention(mixed, qkv, {.heads = 1, .kv_heads = 1, .scale = 0.25F});
  for (std::int64_t i = 0; i < mixed.elements(); ++i) {
    EXPECT_EQ(std::isnan(mixed.as<float>()[i]), i / 16 == 5) << i;
  }
  // A key of NaN reaches every query.
  qkv.as<float>()[5 * 48 + 2] = 0;
  qkv.as<float>()[7 * 48 + 16 + 2] = nan;
  backend.attention(mixed, qkv, {.heads = 1, .kv_heads = 1, .scale = 0.25F});
  for (std::int64_t i = 0; i < mixed.elements(); ++i) {
    EXPECT_TRUE(std::isnan(mixed.as<float>()[i])) << i;
  }
}

// How many segments there are changes no byte of one, and what is in one reaches no other.
TEST_P(Cpu, KeepsSegmentsApart) {
  constexpr std::int64_t kRows = 150;
  Rig rig(3, GetParam());
  CpuBackend& backend = rig.backend();
  const Tensor qkv = rig.tensor({2 * kRows, 3 * 40}, 1);
  const Tensor both = rig.tensor({2 * kRows, 40}, 2);
  const Tensor alone = rig.tensor({kRows, 40}, 3);
  for (std::int64_t i = 0; i < kRows; ++i)
    qkv.as<float>()[i * 120 + 7] = std::numeric_limits<float>::quiet_NaN();
  AttentionArgs args{.heads = 1, .kv_heads = 1, .scale = 0.2F, .segments = 2};
  backend.attention(both, qkv, args);
  args.segments = 1;
  backend.attention(alone, qkv.rows(kRows, 2 * kRows), args);
  EXPECT_TRUE(std::isnan(both.as<float>()[0]));
  EXPECT_FALSE(std::isnan(alone.as<float>()[0]));
  EXPECT_TRUE(rig.bytes(both.rows(kRows, 2 * kRows)) == rig.bytes(alone));
}

// Whether a panel is widened in registers or in memory first is a matter of speed alone.
TEST_P(Cpu, WideningFirstGivesTheSameBytes) {
  const cpu::Kernels& kernels = cpu::kernels_of(GetParam());
  constexpr std::size_t kRows = 150;
  constexpr std::size_t kDepth = 1100;
  const std::size_t columns = 2 * kernels.lanes;
  const std::vector<float> a = noise(kRows * kDepth, 1);
  std::vector<std::uint16_t> weights(columns * kDepth);
  const std::vector<float> numbers = noise(static_cast<std::int64_t>(weights.size()), 2);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = float_to_bf16(numbers[i]);
  std::vector<const void*> rows;
  for (std::size_t j = 0; j < columns; ++j) rows.push_back(weights.data() + j * kDepth);
  std::vector<std::uint16_t> panel(weights.size());
  kernels.pack_panel({.panel = panel.data(),
                      .rows = rows.data(),
                      .depth = kDepth,
                      .format = cpu::PanelFormat::Bf16});
  cpu::GemmArgs args{.a = a.data(),
                     .a_stride = kDepth,
                     .rows = kRows,
                     .panels = panel.data(),
                     .format = cpu::PanelFormat::Bf16,
                     .depth = kDepth,
                     .tile_end = (kRows + kernels.tile_rows - 1) / kernels.tile_rows,
                     .panel_end = 1,
                     .out_stride = columns,
                     .columns = columns};
  std::vector<float> scratch(kernels.gemm_scratch(args) / sizeof(float));
  args.scratch = scratch.data();
  std::vector<float> in_registers(kRows * columns);
  std::vector<float> first(kRows * columns);
  args.out = in_registers.data();
  kernels.gemm(args);
  args.widen = true;
  args.out = first.data();
  kernels.gemm(args);
  EXPECT_EQ(std::memcmp(in_registers.data(), first.data(), first.size() * sizeof(float)), 0);
  double sum = 0;
  for (std::size_t k = 0; k < kDepth; ++k) {
    sum += static_cast<double>(a[k]) * static_cast<double>(bf16_to_float(weights[k]));
  }
  EXPECT_NEAR(static_cast<double>(first[0]), sum, 1e-3);
}

// e^x is within 2 ulp, so silu is within 4, until e^-x overflows at -88 and a result of 1e-36
// becomes 0.
TEST_P(Cpu, SiluIsExactToAFewUnitsInTheLastPlace) {
  Rig rig(1, GetParam());
  const Tensor x = rig.tensor({20001}, 1);
  std::vector<float> before(20001);
  for (std::size_t i = 0; i < before.size(); ++i) {
    before[i] = (static_cast<float>(i) - 10000.0F) / 90.0F;
  }
  rig.backend().upload(x, before.data());
  rig.backend().silu(x);
  for (std::size_t i = 0; i < before.size(); ++i) {
    const auto value = static_cast<double>(before[i]);
    const double expected = value / (1.0 + std::exp(-value));
    const double unit = std::ldexp(1.0, std::ilogb(std::max(std::abs(expected), 1e-29)) - 23);
    EXPECT_NEAR(static_cast<double>(x.as<float>()[i]), expected, 4 * unit) << value;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Cpu, testing::ValuesIn(cpu::available_isas()),
                         [](const auto& param) { return std::string(cpu::name_of(param.param)); });

// One result of each kind of operation.
std::map<cpu::KernelUse, std::vector<std::byte>> results_of(const cpu::KernelChoice& kernels) {
  Rig rig(1, kernels);
  CpuBackend& backend = rig.backend();
  std::map<cpu::KernelUse, std::vector<std::byte>> results;
  const Tensor x = rig.tensor({50, 600}, 1);
  const Tensor out = rig.tensor({50, 96}, 2);
  backend.linear(out, x, rig.matrix(96, 600, MatrixRole::Linear));
  results[cpu::KernelUse::Products] = rig.bytes(out);
  backend.attention(out, rig.tensor({50, 3 * 96}, 3), {.heads = 1, .kv_heads = 1, .scale = 0.2F});
  results[cpu::KernelUse::Attention] = rig.bytes(out);
  const Tensor map = rig.tensor({10, 5, 96}, 4);
  backend.conv2d(out.reshaped({10, 5, 96}), map, rig.kernel(96, 96), {});
  results[cpu::KernelUse::Convolutions] = rig.bytes(out);
  backend.rms_norm(x, x, rig.tensor({600}, 5), {.eps = 1e-6F});
  results[cpu::KernelUse::Rows] = rig.bytes(x);
  return results;
}

// The portable kernels of x86-64 have no fused multiply-add, so the bytes tell which were used.
TEST(CpuBackend, ComputesEachKindOfOperationByItsKernels) {
  const std::vector<cpu::Isa> isas = cpu::available_isas();
  if (isas.size() == 1) return;
  const auto first = results_of(cpu::only(isas.front()));
  const auto second = results_of(cpu::only(isas.back()));
  for (const auto& [use, bytes] : first) {
    ASSERT_FALSE(bytes == second.at(use)) << static_cast<int>(use);
    cpu::KernelChoice kernels = cpu::only(isas.front());
    switch (use) {
      case cpu::KernelUse::Products: kernels.products = isas.back(); break;
      case cpu::KernelUse::Attention: kernels.attention = isas.back(); break;
      case cpu::KernelUse::Convolutions: kernels.convolutions = isas.back(); break;
      case cpu::KernelUse::Rows: kernels.rows = isas.back(); break;
    }
    const auto mixed = results_of(kernels);
    for (const auto& [other, theirs] : mixed) {
      EXPECT_TRUE(theirs == (other == use ? second : first).at(other))
          << static_cast<int>(use) << " " << static_cast<int>(other);
    }
  }
}

TEST(CpuBackend, RefusesWhatItCannotBe) {
  EXPECT_EQ(error_of([] { CpuBackend backend({.threads = -1}); }).code(),
            ErrorCode::InvalidArgument);
  EXPECT_EQ(error_of([] { cpu::isa_from_name("sse9"); }).code(), ErrorCode::InvalidArgument);
  EXPECT_EQ(cpu::isa_from_name("avx2"), cpu::Isa::Avx2);
  const std::vector<cpu::Isa> isas = cpu::available_isas();
  for (const cpu::Isa isa : {cpu::Isa::Avx512, cpu::Isa::Avx2}) {
    if (std::find(isas.begin(), isas.end(), isa) != isas.end()) continue;
    const Error error = error_of([&] { CpuBackend backend({.isa = isa}); });
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
    EXPECT_NE(std::string(error.what()).find("expected best"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(" or portable"), std::string::npos) << error.what();
  }
  CpuBackend backend({.threads = 1});
  Arena measure;
  const Tensor empty{&measure, DType::F32, {4, 0}};
  EXPECT_EQ(error_of([&] { backend.load_matrix(measure, {&empty, 1}, MatrixRole::Linear); }).code(),
            ErrorCode::InvalidArgument);
}

TEST(CpuBackend, RefusesAWeightLoadedForAnotherOperation) {
  Rig rig(1, cpu::Isa::Best);
  const Tensor x = rig.tensor({2, 8}, 1);
  const Tensor out = rig.tensor({2, 8}, 2);
  const Weight weight = rig.matrix(8, 8, MatrixRole::GateUp);
  const Weight plain = rig.matrix(16, 8, MatrixRole::Linear);
  const Tensor wide = rig.tensor({2, 16}, 3);
  EXPECT_EQ(error_of([&] { rig.backend().linear(wide, x, weight); }).code(),
            ErrorCode::InvalidArgument);
  EXPECT_EQ(error_of([&] { rig.backend().swiglu(out, x, plain); }).code(),
            ErrorCode::InvalidArgument);
}

TEST(CpuBackend, RefusesAMatrixThatCannotBeFed) {
  Rig rig(1, cpu::Isa::Best);
  const Tensor x = rig.tensor({2, 8}, 1);
  const Tensor out = rig.tensor({2, 8}, 2);
  const Weight narrow = rig.matrix(4, 6, MatrixRole::Linear);
  const Weight gate_up = rig.matrix(8, 8, MatrixRole::GateUp);
  const Tensor qkv = rig.tensor({2, 24}, 3);
  const auto refuses = [](const auto& call) {
    EXPECT_NE(std::string(error_of(call).what()).find("a matrix of 6 inputs"), std::string::npos);
  };
  refuses([&] { rig.backend().swiglu(out, x, gate_up, {.feeds = &narrow}); });
  refuses([&] { rig.backend().rms_norm(out, x, rig.tensor({8}, 4), {.feeds = &narrow}); });
  refuses([&] {
    rig.backend().attention(out, qkv, {.heads = 1, .kv_heads = 1, .scale = 1, .feeds = &narrow});
  });
}

// Loaded weights are kept in files (Backend::weight_layout): when this fails, the bytes have
// changed and kWeightLayout must be raised.
TEST(CpuBackend, LoadedWeightsAreTheBytesOfTheirLayout) {
  const std::map<std::string, std::uint64_t> expected = {
      {"cpu AVX2 2", 5827372618292978116ULL}, {"cpu portable 2", 9451092216024658864ULL}};
  const auto sum_of = [](CpuBackend& backend) {
    std::vector<float> values(40 * 24);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 251) - 125;
    std::vector<std::uint16_t> rounded(values.size());
    std::transform(values.begin(), values.end(), rounded.begin(), float_to_bf16);
    const Tensor wide[] = {{values.data(), DType::F32, {20, 24}},
                           {values.data() + 480, DType::F32, {20, 24}}};
    const Tensor narrow[] = {{rounded.data(), DType::BF16, {20, 24}},
                             {rounded.data() + 480, DType::BF16, {20, 24}}};
    const auto load = [&](Arena& slab) {
      for (const auto& parts : {wide, narrow}) {
        backend.load_matrix(slab, {parts, 2}, MatrixRole::Linear);
        backend.load_matrix(slab, {parts, 2}, MatrixRole::GateUp);
        backend.load_vector(slab, {parts, 2});
      }
      backend.load_kernel(slab, {values.data(), DType::F32, {8, 12, 3, 3}});
      backend.load_kernel(slab, {values.data(), DType::F32, {40, 24, 1, 1}});
    };
    Arena measure;
    load(measure);
    std::vector<std::byte> memory(measure.used() + Arena::kAlignment);
    void* begin = memory.data();
    std::size_t space = memory.size();
    std::align(Arena::kAlignment, measure.used(), begin, space);
    Arena slab(begin, measure.used());
    load(slab);
    std::uint64_t sum = 0xcbf29ce484222325ULL;  // FNV-1a
    for (const std::byte byte : std::span(static_cast<const std::byte*>(begin), measure.used()))
      sum = (sum ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3ULL;
    return sum;
  };
  for (const cpu::Isa isa : cpu::available_isas()) {
    CpuBackend backend({.threads = 2, .isa = isa});
    const auto known = expected.find(backend.weight_layout());
    if (known == expected.end()) continue;
    EXPECT_EQ(sum_of(backend), known->second) << backend.weight_layout();
  }
}

// Bounds no machine of this kind leaves; a loop that the compiler removed would.
TEST(CpuBackend, MeasuresItsRates) {
  CpuBackend backend({.threads = 1});
  const Rates rates = backend.measure_rates();
  EXPECT_GT(rates.flops, 1e8);
  EXPECT_LT(rates.flops, 1e13);
  EXPECT_GT(rates.bandwidth, 1e7);
  EXPECT_LT(rates.bandwidth, 1e13);
  EXPECT_EQ(rates.encoded, 0);
}

// Only some stages round, and a bench measures behind the last.
TEST(CpuBackend, MeasuresRoundedProductsBehindAStageThatHasNone) {
  CpuBackend backend({.threads = 1});
  backend.set_encoding(Encoding::Fast);
  backend.set_encoding(Encoding::Plain);
  EXPECT_GT(backend.measure_rates().encoded, 1e8);
}

}  // namespace
}  // namespace zimage
