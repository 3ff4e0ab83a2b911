// linear and swiglu against the reference: few rows and many, sizes that fit no tile, every stored
// type.
#include "backend/backend_op.h"

namespace zimage {
namespace {

struct Size {
  std::int64_t rows, in, out;
};

// One row, a few, odd ones, more than a tile; widths under, over and between the tiles.
constexpr Size kSizes[] = {{1, 64, 96},
                           {2, 33, 7},
                           {5, 256, 384},
                           {8, 256, 1537},
                           {11, 384, 1152},
                           {31, 100, 65},
                           {33, 1024, 384},
                           {64, 384, 384},
                           {97, 513, 130},
                           {288, 384, 1152},
                           {129, 64, 1000},
                           // Sums over more inputs than stay in the first cache, few and many rows.
                           {7, 1030, 50},
                           {26, 2000, 70},
                           {300, 700, 40}};

// Right f32 sums in another order: under 1e-12. One product missing of 1024: 1e-3. bf16 output
// rounding: 3e-6. The bounds lie between.
constexpr double kF32 = 1e-11;
constexpr double kBf16 = 1e-5;

class Linear : public BackendOp {};

TEST_P(Linear, AgreesWithTheReference) {
  for (const DType dtype : {DType::BF16, DType::F16, DType::F32}) {
    for (const Size& s : kSizes) {
      OpCase c(backend());
      const auto x = c.activations({s.rows, s.in});
      const auto weight = c.matrix({{s.out, s.in}}, dtype);
      const auto bias = c.vector({s.out});
      const auto plain = c.activations({s.rows, s.out});
      const auto added = c.activations({s.rows, s.out});
      const auto gated = c.activations({s.rows, s.out});
      reserve(ScratchOp::Linear, plain.tested, x.tested, weight.tested);
      c.run([&](const OpCase::Side& v) {
        v.backend().linear(v(plain), v(x), v(weight));
        v.backend().linear(v(added), v(x), v(weight), {.bias = v(bias), .accumulate = true});
        v.backend().linear(v(gated), v(x), v(weight),
                           {.bias = v(bias), .activation = Activation::Silu});
      });
      EXPECT_LE(c.nmse(plain), c.bound(kF32, kBf16)) << s.rows << " " << s.in << " " << s.out;
      EXPECT_LE(c.nmse(added), c.bound(kF32, kBf16)) << s.rows << " " << s.in << " " << s.out;
      EXPECT_LE(c.nmse(gated), c.bound(kF32, kBf16)) << s.rows << " " << s.in << " " << s.out;
      EXPECT_TRUE(c.guards_intact()) << s.rows << " " << s.in << " " << s.out;
    }
  }
}

// A device times its products at their first use, beside the products that were asked for before.
// Those two sharing memory for their partial sums gave wrong sums, or never ended.
TEST_P(Linear, NewShapesDoNotDisturbProductsUnderWay) {
  constexpr std::int64_t kDepth = 4096;  // long sums of few rows, which are cut into partial ones
  OpCase c(backend());
  const auto x = c.activations({120, kDepth});
  const auto weight = c.matrix({{48, kDepth}}, DType::BF16);
  std::vector<OpCase::Pair> sums;
  for (std::int64_t rows = 100; rows < 120; ++rows) sums.push_back(c.activations({rows, 48}));
  c.run([&](const OpCase::Side& v) {
    for (const auto& sum : sums) {
      v.backend().linear(v(sum), v(x).rows(0, v(sum).dim(0)), v(weight));
    }
  });
  for (const auto& sum : sums) EXPECT_LE(c.nmse(sum), c.bound(kF32, kBf16));
  EXPECT_TRUE(c.guards_intact());
}

// The time embedding and the modulations are f32 on every backend, the last layer mixes the two
// types.
TEST_P(Linear, TakesAndGivesF32) {
  for (const Size& s : {Size{8, 256, 1536}, Size{1, 1024, 256}, Size{50, 384, 64}}) {
    OpCase c(backend());
    const auto x = c.vector({s.rows, s.in});
    const auto narrow = c.activations({s.rows, s.in});
    const auto weight = c.matrix({{s.out, s.in}}, DType::BF16);
    const auto bias = c.vector({s.out});
    const auto wide = c.vector({s.rows, s.out});
    const auto mixed = c.vector({s.rows, s.out});
    reserve(ScratchOp::Linear, wide.tested, x.tested, weight.tested);
    c.run([&](const OpCase::Side& v) {
      v.backend().linear(v(wide), v(x), v(weight),
                         {.bias = v(bias), .activation = Activation::Silu});
      v.backend().linear(v(mixed), v(narrow), v(weight), {.bias = v(bias)});
    });
    EXPECT_LE(c.nmse(wide), c.bound(kF32, 1e-5)) << s.rows;
    EXPECT_LE(c.nmse(mixed), c.bound(kF32, 1e-5)) << s.rows;
    EXPECT_TRUE(c.guards_intact());
  }
}

TEST_P(Linear, StacksTheRowsOfItsParts) {
  OpCase c(backend());
  const auto x = c.activations({37, 96});
  const auto weight = c.matrix({{100, 96}, {20, 96}, {7, 96}}, DType::BF16);
  const auto out = c.activations({37, 127});
  reserve(ScratchOp::Linear, out.tested, x.tested, weight.tested);
  c.run([&](const OpCase::Side& v) { v.backend().linear(v(out), v(x), v(weight)); });
  EXPECT_LE(c.nmse(out), c.bound(kF32, kBf16));
}

// Parts of two types are stacked without rounding either.
TEST_P(Linear, StacksPartsOfTwoTypes) {
  OpCase c(backend());
  const auto x = c.activations({19, 40});
  const auto weight = c.matrix({{21, 40}, {30, 40}}, std::vector{DType::BF16, DType::F32});
  const auto out = c.activations({19, 51});
  reserve(ScratchOp::Linear, out.tested, x.tested, weight.tested);
  c.run([&](const OpCase::Side& v) { v.backend().linear(v(out), v(x), v(weight)); });
  EXPECT_LE(c.nmse(out), c.bound(kF32, kBf16));
}

TEST_P(Linear, SwigluAgreesWithTheReference) {
  for (const DType dtype : {DType::BF16, DType::F32}) {
    for (const Size& s : kSizes) {
      OpCase c(backend());
      const auto x = c.activations({s.rows, s.in});
      const auto weight = c.matrix({{s.out, s.in}, {s.out, s.in}}, dtype, MatrixRole::GateUp);
      const auto out = c.activations({s.rows, s.out});
      reserve(ScratchOp::Swiglu, out.tested, x.tested, weight.tested);
      c.run([&](const OpCase::Side& v) { v.backend().swiglu(v(out), v(x), v(weight)); });
      // bf16 rounding of the intermediate, where a backend has one, adds to the output's: 1e-5.
      EXPECT_LE(c.nmse(out), c.bound(kF32, 3e-5)) << s.rows << " " << s.in << " " << s.out;
      EXPECT_TRUE(c.guards_intact()) << s.rows << " " << s.in << " " << s.out;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Linear, testing::ValuesIn(conformance_backends()), backend_name);

}  // namespace
}  // namespace zimage
