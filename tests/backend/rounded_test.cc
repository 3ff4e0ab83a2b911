// Matrices and activations rounded to integers or bf16 (Encoding::Fast, Encoding::Bf16), on every
// instruction set of the CPU backend, against the reference's f32.
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "backend/backend_op.h"
#include "backend/cpu/cpu_backend.h"

namespace zimage {
namespace {

using cpu::PanelFormat;

struct Size {
  std::int64_t rows, in, out;
};

// One row and many; depths under, at and over a block with its own scale, odd and even.
constexpr Size kSizes[] = {{1, 64, 96},      {2, 33, 7},      {5, 256, 384},  {11, 512, 1152},
                           {31, 101, 65},    {33, 1024, 384}, {97, 513, 130}, {288, 384, 333},
                           {401, 1026, 100}, {7, 1030, 50}};

struct Rounding {
  const char* name;
  Encoding encoding;
  PanelFormat format;
  double bound;
};

// Normal numbers: blocks reach 3.2 deviations, so 12 bits of both operands give 4e-7 and 8 bits
// 1.0e-4, one bit less four times that; bf16 gives 3e-6, up to 6e-6 in few outputs. One product
// missing of 1024: 1e-3.
constexpr std::array<Rounding, 3> kRoundings{
    {{"int16", Encoding::Fast, PanelFormat::Int16, 1e-6},
     {"int8", Encoding::Fast, PanelFormat::Int8, 2e-4},
     {"bf16", Encoding::Bf16, PanelFormat::Bf16Pairs, 1.2e-5}}};

struct RoundedCase {
  std::string name;
  Rounding rounding;
  cpu::Isa isa;
  int threads;
};

void PrintTo(const RoundedCase& rounded, std::ostream* stream) {
  *stream << rounded.name;
}

std::vector<RoundedCase> rounded_cases() {
  std::vector<RoundedCase> cases;
  for (const cpu::Isa isa : cpu::available_isas()) {
    for (const Rounding& rounding : kRoundings) {
      for (const int threads : {1, 3}) {
        cases.push_back({std::string(rounding.name) + "_" + std::string(cpu::name_of(isa)) + "_" +
                             std::to_string(threads),
                         rounding, isa, threads});
      }
    }
  }
  return cases;
}

class Rounded : public testing::TestWithParam<RoundedCase> {
 protected:
  Rounded()
      : backend_({.threads = GetParam().threads,
                  .isa = GetParam().isa,
                  .fast = GetParam().rounding.format}) {
    backend_.set_encoding(GetParam().rounding.encoding);
  }

  void reserve(ScratchOp op, const OpCase::Pair& out, const OpCase::Pair& x,
               const OpCase::WeightPair& weight) {
    backend_.reserve_scratch(backend_.scratch_bytes(op, out.tested, x.tested, weight.tested));
  }
  double bound() const { return GetParam().rounding.bound; }

  CpuBackend backend_;
};

TEST_P(Rounded, LinearIsAsCloseAsItsBits) {
  for (const DType dtype : {DType::BF16, DType::F16, DType::F32}) {
    for (const Size& s : kSizes) {
      OpCase c(backend_);
      const auto x = c.activations({s.rows, s.in});
      const auto weight = c.matrix({{s.out, s.in}}, dtype);
      const auto bias = c.vector({s.out});
      const auto plain = c.activations({s.rows, s.out});
      const auto added = c.activations({s.rows, s.out});
      reserve(ScratchOp::Linear, plain, x, weight);
      c.run([&](const OpCase::Side& v) {
        v.backend().linear(v(plain), v(x), v(weight));
        v.backend().linear(v(added), v(x), v(weight), {.bias = v(bias), .accumulate = true});
      });
      EXPECT_LE(c.nmse(plain), bound()) << s.rows << " " << s.in << " " << s.out;
      EXPECT_LE(c.nmse(added), bound()) << s.rows << " " << s.in << " " << s.out;
      EXPECT_TRUE(c.guards_intact()) << s.rows << " " << s.in << " " << s.out;
    }
  }
}

TEST_P(Rounded, SwigluIsAsCloseAsItsBits) {
  for (const Size& s : kSizes) {
    OpCase c(backend_);
    const auto x = c.activations({s.rows, s.in});
    const auto weight = c.matrix({{s.out, s.in}, {s.out, s.in}}, DType::BF16, MatrixRole::GateUp);
    const auto out = c.activations({s.rows, s.out});
    reserve(ScratchOp::Swiglu, out, x, weight);
    c.run([&](const OpCase::Side& v) { v.backend().swiglu(v(out), v(x), v(weight)); });
    // Twice: gate and up err apart.
    EXPECT_LE(c.nmse(out), 2 * bound()) << s.rows << " " << s.in << " " << s.out;
    EXPECT_TRUE(c.guards_intact()) << s.rows << " " << s.in << " " << s.out;
  }
}

// What a network's edges compute stays exact: 1e-12, the integers' bounds are far above.
TEST_P(Rounded, PlainMatricesAreNotRounded) {
  OpCase c(backend_);
  const auto x = c.activations({33, 384});
  const auto weight = c.matrix({{100, 384}}, DType::BF16, MatrixRole::Plain);
  const auto out = c.activations({33, 100});
  reserve(ScratchOp::Linear, out, x, weight);
  c.run([&](const OpCase::Side& v) { v.backend().linear(v(out), v(x), v(weight)); });
  EXPECT_LE(c.nmse(out), 1e-11);
}

// An outlier of 1e4 among normal numbers costs the numbers of its own block alone: outputs that do
// not read that block are as close as ever. With one scale a row they would be lost (nmse 1).
TEST_P(Rounded, OutliersCostNoMoreThanTheirBlock) {
  constexpr std::int64_t kIn = 1536;
  constexpr std::int64_t kOut = 64;
  OpCase c(backend_);
  std::vector<float> numbers(kIn);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = std::sin(static_cast<float>(i * i % 1009));
  numbers[700] = 1e4F;
  std::vector<float> rows(kOut * kIn);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool first_block = i % kIn < cpu::kMostDotBlock;
    rows[i] = first_block ? std::cos(static_cast<float>(i * 7 % 2003)) : 0.0F;
  }
  const auto x = c.values({1, kIn}, numbers);
  const auto out = c.activations({1, kOut});
  const Tensor host{rows.data(), DType::F32, {kOut, kIn}};
  ReferenceBackend exact;
  std::vector<std::vector<float>> results;
  for (Backend* backend : {static_cast<Backend*>(&backend_), static_cast<Backend*>(&exact)}) {
    Arena measure;
    backend->load_matrix(measure, {&host, 1}, MatrixRole::Linear);
    Buffer buffer = backend->allocate(measure.used());
    Arena slab(buffer.data(), buffer.bytes());
    const Weight weight = backend->load_matrix(slab, {&host, 1}, MatrixRole::Linear);
    backend->linear(out.tested, x.tested, weight);
    const auto* values = out.tested.as<float>();
    results.emplace_back(values, values + kOut);
  }
  double error = 0;
  double size = 0;
  for (std::size_t i = 0; i < kOut; ++i) {
    error += std::pow(results[0][i] - results[1][i], 2);
    size += std::pow(results[1][i], 2);
  }
  EXPECT_LE(error / size, 2 * bound());
}

// A NaN or an infinity is not turned into a number.
TEST_P(Rounded, KeepsWhatIsNoNumber) {
  OpCase c(backend_);
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity()};
  for (const float number : bad) {
    std::vector<float> numbers(3 * 64, 0.5F);
    numbers[64 + 7] = number;
    const auto x = c.values({3, 64}, numbers);
    const auto weight = c.matrix({{40, 64}}, DType::BF16);
    const auto out = c.activations({3, 40});
    reserve(ScratchOp::Linear, out, x, weight);
    backend_.linear(out.tested, x.tested, weight.tested);
    for (std::int64_t i = 0; i < 40; ++i) {
      EXPECT_TRUE(std::isfinite(out.tested.as<float>()[i]));
      EXPECT_FALSE(std::isfinite(out.tested.as<float>()[40 + i]));
    }
  }
}

TEST_P(Rounded, RowsOfZerosGiveZeros) {
  OpCase c(backend_);
  const auto x = c.values({2, 300}, std::vector<float>(600, 0.0F));
  const auto weight = c.matrix({{40, 300}}, DType::BF16);
  const auto out = c.activations({2, 40});
  reserve(ScratchOp::Linear, out, x, weight);
  backend_.linear(out.tested, x.tested, weight.tested);
  for (std::int64_t i = 0; i < 80; ++i) EXPECT_EQ(out.tested.as<float>()[i], 0.0F);
}

INSTANTIATE_TEST_SUITE_P(Cpu, Rounded, testing::ValuesIn(rounded_cases()),
                         [](const auto& rounded) { return rounded.param.name; });

#if defined(__x86_64__)
// The instruction sets for words that this processor has beside the plain ones.
std::vector<const cpu::DotKernels*> dot_kernels() {
  std::vector<const cpu::DotKernels*> found;
  if (__builtin_cpu_supports("avx512vnni") == 0) return found;
  found.push_back(&cpu::avx512_vnni_kernels());
  const cpu::Kernels& best = cpu::kernels_of(cpu::Isa::Avx512);
  // What the backend uses: VNNI again, or BF16 or AMX, which some processors have.
  if (best.dot.gemm != found[0]->gemm) found.push_back(&best.dot);
  return found;
}

std::vector<float> product(const cpu::DotKernels& kernels, cpu::GemmArgs args) {
  args.rounded_before = true;
  std::vector<float> out(args.rows * args.columns);
  args.out = out.data();
  args.out_stride = args.columns;
  args.tile_end = (args.rows + kernels.tile_rows - 1) / kernels.tile_rows;
  args.panel_end = 1;
  std::vector<float> scratch(kernels.gemm_scratch(args) / 4);
  std::vector<std::uint32_t> rounded(kernels.rounded_bytes(args) / 4);
  args.scratch = scratch.data();
  args.rounded = rounded.data();
  kernels.round(args);
  kernels.gemm(args);
  return out;
}
#endif

// Integers have one right sum: the instructions for words of bytes, and the matrix unit, give the
// bytes that the ones they replace give.
TEST(RoundedKernels, AgreeBitForBit) {
#if defined(__x86_64__)
  const std::vector<const cpu::DotKernels*> others = dot_kernels();
  if (others.empty()) GTEST_SKIP() << "needs AVX-512 VNNI";
  const cpu::Kernels& plain = cpu::avx512_kernels();
  constexpr std::size_t kRows = 71;
  constexpr std::size_t kDepth = 700;
  const std::size_t columns = 2 * plain.lanes;
  std::vector<float> numbers((kRows + columns) * kDepth);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = std::sin(static_cast<float>(i * i % 10007));
  std::vector<const void*> rows(columns);
  for (std::size_t j = 0; j < columns; ++j) rows[j] = numbers.data() + (kRows + j) * kDepth;
  for (const PanelFormat format : {PanelFormat::Int16, PanelFormat::Int8}) {
    std::vector<float> panel(cpu::panel_bytes(format, plain.lanes, kDepth) / 4);
    plain.pack_panel(
        {.panel = panel.data(), .rows = rows.data(), .depth = kDepth, .format = format});
    const cpu::GemmArgs args{.a = numbers.data(),
                             .a_stride = kDepth,
                             .rows = kRows,
                             .panels = panel.data(),
                             .format = format,
                             .depth = kDepth,
                             .columns = columns};
    const std::vector<float> expected = product(plain.dot, args);
    for (const cpu::DotKernels* kernels : others) EXPECT_EQ(product(*kernels, args), expected);
  }
#else
  GTEST_SKIP() << "x86-64 alone has several";
#endif
}

}  // namespace
}  // namespace zimage
