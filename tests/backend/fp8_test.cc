// Encoding::Fp8 on every backend that has it: products of e4m3, and operations that leave their
// result as the operand of the next.
#include "backend/backend_op.h"
#include "base/error.h"

namespace zimage {
namespace {

class Fp8 : public BackendOp {
 protected:
  void SetUp() override {
    BackendOp::SetUp();
    try {
      backend().set_encoding(Encoding::Fp8);
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
};

// e4m3 has 4 digits: each operand errs by 2.6 % of its numbers, so a product by 1.3e-3 of its
// squares; gate and up twice that. A scale that misses its row by a factor of two: 1.
constexpr double kProduct = 2e-3;

TEST_P(Fp8, ProductsAreAsCloseAsTheirDigits) {
  for (const std::int64_t rows : {1, 97, 300}) {
    OpCase c(backend());
    const auto x = c.activations({rows, 512});
    const auto weight = c.matrix({{640, 512}}, DType::BF16);
    const auto both = c.matrix({{400, 512}, {400, 512}}, DType::BF16, MatrixRole::GateUp);
    const auto out = c.activations({rows, 640});
    const auto gated = c.activations({rows, 400});
    reserve(ScratchOp::Linear, out.tested, x.tested, weight.tested);
    c.run([&](const OpCase::Side& v) {
      v.backend().linear(v(out), v(x), v(weight));
      v.backend().swiglu(v(gated), v(x), v(both));
    });
    EXPECT_LE(c.nmse(out), kProduct) << rows;
    EXPECT_LE(c.nmse(gated), 2 * kProduct) << rows;
    EXPECT_TRUE(c.guards_intact()) << rows;
  }
}

// A block of the transformer, its products as large as those that are fused with what surrounds
// them, once with every result kept as numbers and once as the next product's operand.
struct Block {
  static constexpr std::int64_t kHeads = 10;
  static constexpr std::int64_t kDim = kHeads * 128;
  static constexpr std::int64_t kFeatures = 1312;

  Block(OpCase& c, std::int64_t rows)
      : x(c.activations({rows, kDim})),
        norm(c.vector({kDim}, 1.0F, 0.2F)),
        head_norm(c.vector({128}, 1.0F, 0.2F)),
        cos_sin(c.angles(rows, 64)),
        qkv(c.matrix({{3 * kDim, kDim}}, DType::BF16)),
        mix(c.matrix({{kDim, kDim}}, DType::BF16)),
        gate_up(c.matrix({{kFeatures, kDim}, {kFeatures, kDim}}, DType::BF16, MatrixRole::GateUp)),
        down(c.matrix({{kDim, kFeatures}}, DType::BF16)),
        h(c.activations({rows, kDim})),
        turned(c.activations({rows, 3 * kDim})),
        activated(c.activations({rows, kFeatures})),
        mixed(c.activations({rows, kDim})),
        out(c.activations({rows, kDim})) {}

  void run(const OpCase::Side& v, bool feeds) const {
    Backend& be = v.backend();
    const auto to = [&](const OpCase::WeightPair& weight) { return feeds ? &v(weight) : nullptr; };
    be.rms_norm(v(h), v(x), v(norm), {.eps = 1e-5F, .feeds = to(qkv)});
    be.linear(v(turned), v(h), v(qkv));
    be.qk_norm_rope(v(turned), v(head_norm), v(head_norm),
                    {.cos_sin = v(cos_sin), .heads = kHeads, .kv_heads = kHeads, .eps = 1e-5F});
    be.attention(v(h), v(turned),
                 {.heads = kHeads, .kv_heads = kHeads, .scale = 0.088F, .feeds = to(mix)});
    be.linear(v(mixed), v(h), v(mix));
    be.add_gated_rms_norm(v(x), v(mixed), v(norm), {.eps = 1e-5F});
    be.rms_norm(v(h), v(x), v(norm), {.eps = 1e-5F, .feeds = to(gate_up)});
    be.swiglu(v(activated), v(h), v(gate_up), {.feeds = to(down)});
    be.linear(v(out), v(activated), v(down));
  }

  OpCase::Pair x, norm, head_norm, cos_sin;
  OpCase::WeightPair qkv, mix, gate_up, down;
  OpCase::Pair h, turned, activated, mixed, out;
};

struct Errors {
  double mixed;
  double out;
};

Errors errors_of(Backend& backend, std::int64_t rows, bool feeds) {
  OpCase c(backend);
  const Block block(c, rows);
  c.run([&](const OpCase::Side& v) { block.run(v, feeds); });
  EXPECT_TRUE(c.guards_intact()) << rows;
  return {c.nmse(block.mixed), c.nmse(block.out)};
}

// Right: the errors of both are alike, for a bound in place of a row's greatest number costs no
// digit. Numbers pushed below e4m3's normal ones, or clipped: several times as large.
TEST_P(Fp8, ResultsLeftAsOperandsAreAsCloseAsNumbers) {
  for (const std::int64_t rows : {40, 1100}) {
    const Errors numbers = errors_of(backend(), rows, false);
    const Errors operands = errors_of(backend(), rows, true);
    EXPECT_LE(numbers.mixed, 4 * kProduct) << rows;
    EXPECT_LE(numbers.out, 8 * kProduct) << rows;
    EXPECT_LE(operands.mixed, 1.15 * numbers.mixed) << rows;
    EXPECT_LE(operands.out, 1.15 * numbers.out) << rows;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Fp8, testing::ValuesIn(conformance_backends()), backend_name);

}  // namespace
}  // namespace zimage
