// Operations on rows of tokens against the reference.
#include "backend/backend_op.h"

namespace zimage {
namespace {

class Rows : public BackendOp {};

const Shape kShapes[] = {{1, 96}, {3, 7}, {37, 384}, {33, 2560}, {5, 3840}, {290, 64}};

// Right f32: 1e-14. Without eps at these sizes: 1e-10. With the scale applied as `scale` in place
// of `1 + scale`: 0.5. bf16 rounding of the output: 3e-6.
constexpr double kF32 = 1e-12;
constexpr double kBf16 = 1e-5;

TEST_P(Rows, RmsNorm) {
  for (const Shape& shape : kShapes) {
    OpCase c(backend());
    // Small rows, so that eps matters.
    const auto x = c.activations(shape, 0.01F);
    const auto weight = c.vector({shape[1]}, 1.0F, 0.2F);
    const auto scale = c.vector({shape[1]});
    const auto plain = c.activations(shape);
    const auto scaled = c.activations(shape);
    const auto in_place = c.activations(shape);
    c.run([&](const OpCase::Side& v) {
      v.backend().rms_norm(v(plain), v(x), v(weight), {.eps = 1e-5F});
      v.backend().rms_norm(v(scaled), v(x), v(weight), {.eps = 1e-5F, .scale = v(scale)});
      v.backend().rms_norm(v(in_place), v(in_place), v(weight), {.eps = 1e-5F});
    });
    EXPECT_LE(c.nmse(plain), c.bound(kF32, kBf16)) << to_string(shape);
    EXPECT_LE(c.nmse(scaled), c.bound(kF32, kBf16)) << to_string(shape);
    EXPECT_LE(c.nmse(in_place), c.bound(kF32, kBf16)) << to_string(shape);
    EXPECT_TRUE(c.guards_intact()) << to_string(shape);
  }
}

TEST_P(Rows, LayerNorm) {
  for (const Shape& shape : kShapes) {
    OpCase c(backend());
    const auto x = c.activations(shape);
    const auto scale = c.vector({shape[1]});
    const auto plain = c.activations(shape);
    const auto scaled = c.activations(shape);
    c.run([&](const OpCase::Side& v) {
      v.backend().layer_norm(v(plain), v(x), {.eps = 1e-6F});
      v.backend().layer_norm(v(scaled), v(x), {.eps = 1e-6F, .scale = v(scale)});
    });
    EXPECT_LE(c.nmse(plain), c.bound(kF32, kBf16)) << to_string(shape);
    EXPECT_LE(c.nmse(scaled), c.bound(kF32, kBf16)) << to_string(shape);
    EXPECT_TRUE(c.guards_intact()) << to_string(shape);
  }
}

// A gate without its tanh gives 1e-1.
TEST_P(Rows, AddGatedRmsNorm) {
  for (const Shape& shape : kShapes) {
    OpCase c(backend());
    const auto y = c.activations(shape);
    const auto weight = c.vector({shape[1]}, 1.0F, 0.2F);
    const auto gate = c.vector({shape[1]}, 0.0F, 2.0F);
    const auto plain = c.activations(shape);
    const auto gated = c.activations(shape);
    c.run([&](const OpCase::Side& v) {
      v.backend().add_gated_rms_norm(v(plain), v(y), v(weight), {.eps = 1e-5F});
      v.backend().add_gated_rms_norm(v(gated), v(y), v(weight), {.eps = 1e-5F, .gate = v(gate)});
    });
    EXPECT_LE(c.nmse(plain), c.bound(kF32, kBf16)) << to_string(shape);
    EXPECT_LE(c.nmse(gated), c.bound(kF32, kBf16)) << to_string(shape);
    EXPECT_TRUE(c.guards_intact()) << to_string(shape);
  }
}

TEST_P(Rows, QkNormRope) {
  struct Heads {
    std::int64_t rows, heads, kv_heads, head_dim;
  };
  for (const Heads& h :
       {Heads{1, 1, 1, 8}, Heads{37, 3, 3, 128}, Heads{11, 4, 2, 128}, Heads{5, 6, 1, 36}}) {
    for (const Pairing pairing : {Pairing::Interleaved, Pairing::HalfSplit}) {
      OpCase c(backend());
      const auto qkv = c.activations({h.rows, (h.heads + 2 * h.kv_heads) * h.head_dim});
      const auto q_norm = c.vector({h.head_dim}, 1.0F, 0.3F);
      const auto k_norm = c.vector({h.head_dim}, 1.0F, 0.3F);
      const auto cos_sin = c.angles(h.rows, h.head_dim / 2);
      c.run([&](const OpCase::Side& v) {
        v.backend().qk_norm_rope(v(qkv), v(q_norm), v(k_norm),
                                 {.cos_sin = v(cos_sin),
                                  .pairing = pairing,
                                  .heads = h.heads,
                                  .kv_heads = h.kv_heads,
                                  .eps = 1e-5F});
      });
      EXPECT_LE(c.nmse(qkv), c.bound(kF32, kBf16)) << h.head_dim;
      EXPECT_TRUE(c.guards_intact());
    }
  }
}

// A product large enough to be one pass with the rotation, where a backend has that, and the same
// where only some of its rows are turned: then it must not be. Heads that are not turned: 1.
TEST_P(Rows, QkNormRopeOfAProduct) {
  constexpr std::int64_t kRows = 1001;
  constexpr std::int64_t kHeads = 12;
  OpCase c(backend());
  const auto x = c.activations({kRows, 64});
  const auto weight = c.matrix({{3 * kHeads * 128, 64}}, DType::BF16);
  const auto q_norm = c.vector({128}, 1.0F, 0.3F);
  const auto k_norm = c.vector({128}, 1.0F, 0.3F);
  const auto cos_sin = c.angles(kRows, 64);
  const auto whole = c.activations({kRows, 3 * kHeads * 128});
  const auto part = c.activations({kRows, 3 * kHeads * 128});
  c.run([&](const OpCase::Side& v) {
    const auto turn = [&](const Tensor& qkv) {
      v.backend().qk_norm_rope(qkv, v(q_norm), v(k_norm),
                               {.cos_sin = v(cos_sin).rows(0, qkv.dim(0)),
                                .heads = kHeads,
                                .kv_heads = kHeads,
                                .eps = 1e-5F});
    };
    v.backend().linear(v(whole), v(x), v(weight));
    turn(v(whole));
    v.backend().linear(v(part), v(x), v(weight));
    turn(v(part).rows(0, 500));
  });
  // Two roundings to bf16, where products and rotations are apart.
  EXPECT_LE(c.nmse(whole), c.bound(1e-11, 2e-5));
  EXPECT_LE(c.nmse(part), c.bound(1e-11, 2e-5));
  EXPECT_TRUE(c.guards_intact());
}

TEST_P(Rows, ElementWise) {
  for (const Shape& shape : kShapes) {
    OpCase c(backend());
    const auto activated = c.activations(shape, 4.0F);
    const auto sum = c.activations(shape);
    const auto other = c.activations(shape);
    const auto euler = c.vector(shape);
    const auto velocity = c.vector(shape);
    const auto wide = c.vector(shape);
    const auto narrow = c.activations(shape);
    const auto filled = c.activations(shape);
    const auto row = c.vector({shape[1]});
    const auto blended = c.vector(shape);
    const auto mask = c.vector(shape, 0.5F, 0.2F);
    c.run([&](const OpCase::Side& v) {
      v.backend().blend(v(blended), v(velocity), v(mask));
      v.backend().silu(v(activated));
      v.backend().add(v(sum), v(other));
      v.backend().add_scaled(v(euler), v(velocity), -0.125F);
      v.backend().cast(v(wide), v(other));
      v.backend().cast(v(narrow), v(velocity));
      v.backend().fill_rows(v(filled), v(row));
    });
    EXPECT_LE(c.nmse(activated), c.bound(kF32, kBf16)) << to_string(shape);
    EXPECT_LE(c.nmse(sum), c.bound(kF32, kBf16)) << to_string(shape);
    EXPECT_LE(c.nmse(euler), kF32) << to_string(shape);
    EXPECT_LE(c.nmse(blended), kF32) << to_string(shape);
    EXPECT_EQ(c.nmse(wide), 0) << to_string(shape);
    EXPECT_LE(c.nmse(narrow), c.bound(0, kBf16)) << to_string(shape);
    EXPECT_LE(c.nmse(filled), c.bound(0, kBf16)) << to_string(shape);
    EXPECT_TRUE(c.guards_intact()) << to_string(shape);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Rows, testing::ValuesIn(conformance_backends()), backend_name);

}  // namespace
}  // namespace zimage
