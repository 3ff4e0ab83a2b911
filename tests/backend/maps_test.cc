// Operations on feature maps against the reference.
#include "backend/backend_op.h"

namespace zimage {
namespace {

struct Size {
  std::int64_t rows, columns, in, out;
};

class Maps : public BackendOp {};

// Right f32: 1e-13 direct, 1e-11 through Winograd's transforms. A border read from the next row:
// 1e-2.
TEST_P(Maps, Convolution3x3) {
  for (const Size& s :
       {Size{1, 1, 16, 32}, Size{2, 3, 5, 7}, Size{8, 8, 64, 64}, Size{9, 13, 33, 17},
        Size{4, 64, 16, 128}, Size{17, 6, 128, 3}, Size{32, 32, 128, 128}, Size{6, 34, 64, 96}}) {
    for (const DType dtype : {DType::BF16, DType::F32}) {
      OpCase c(backend());
      const auto x = c.activations({s.rows, s.columns, s.in});
      const auto weight = c.kernel({s.out, s.in, 3, 3}, dtype);
      const auto bias = c.vector({s.out});
      const auto plain = c.activations({s.rows, s.columns, s.out});
      const auto added = c.activations({s.rows, s.columns, s.out});
      reserve(ScratchOp::Conv2d, plain.tested, x.tested, weight.tested);
      c.run([&](const OpCase::Side& v) {
        v.backend().conv2d(v(plain), v(x), v(weight), {.bias = v(bias)});
        v.backend().conv2d(v(added), v(x), v(weight), {.accumulate = true});
      });
      EXPECT_LE(c.nmse(plain), c.bound(1e-10, 1e-5))
          << s.rows << "x" << s.columns << " " << s.in << " to " << s.out;
      EXPECT_LE(c.nmse(added), c.bound(1e-10, 1e-5))
          << s.rows << "x" << s.columns << " " << s.in << " to " << s.out;
      EXPECT_TRUE(c.guards_intact());
    }
  }
}

TEST_P(Maps, ConvolutionOfAnUpsampledMap) {
  for (const Size& s :
       {Size{1, 1, 8, 8}, Size{3, 5, 16, 24}, Size{16, 16, 128, 128}, Size{7, 9, 64, 64}}) {
    OpCase c(backend());
    const auto x = c.activations({s.rows, s.columns, s.in});
    const auto weight = c.kernel({s.out, s.in, 3, 3}, DType::BF16);
    const auto bias = c.vector({s.out});
    const auto out = c.activations({2 * s.rows, 2 * s.columns, s.out});
    reserve(ScratchOp::Conv2d, out.tested, x.tested, weight.tested);
    c.run([&](const OpCase::Side& v) {
      v.backend().conv2d(v(out), v(x), v(weight), {.bias = v(bias), .upsample_2x = true});
    });
    EXPECT_LE(c.nmse(out), c.bound(1e-10, 1e-5)) << s.rows << "x" << s.columns;
    EXPECT_TRUE(c.guards_intact());
  }
}

// A pixel of an even row or column kept in place of its odd neighbour: 1.
TEST_P(Maps, ConvolutionToADownsampledMap) {
  for (const Size& s : {Size{2, 2, 8, 8}, Size{3, 5, 16, 24}, Size{16, 18, 128, 128},
                        Size{14, 9, 64, 3}, Size{33, 40, 64, 64}}) {
    OpCase c(backend());
    const auto x = c.activations({s.rows, s.columns, s.in});
    const auto weight = c.kernel({s.out, s.in, 3, 3}, DType::BF16);
    const auto bias = c.vector({s.out});
    const auto out = c.activations({s.rows / 2, s.columns / 2, s.out});
    const auto added = c.activations({s.rows / 2, s.columns / 2, s.out});
    reserve(ScratchOp::Conv2d, out.tested, x.tested, weight.tested);
    c.run([&](const OpCase::Side& v) {
      v.backend().conv2d(v(out), v(x), v(weight), {.bias = v(bias), .downsample_2x = true});
      v.backend().conv2d(v(added), v(x), v(weight), {.downsample_2x = true, .accumulate = true});
    });
    EXPECT_LE(c.nmse(out), c.bound(1e-10, 1e-5)) << s.rows << "x" << s.columns;
    EXPECT_LE(c.nmse(added), c.bound(1e-10, 1e-5)) << s.rows << "x" << s.columns;
    EXPECT_TRUE(c.guards_intact());
  }
}

TEST_P(Maps, Convolution1x1) {
  for (const Size& s : {Size{3, 5, 7, 9}, Size{16, 17, 128, 64}, Size{1, 1, 64, 128}}) {
    OpCase c(backend());
    const auto x = c.activations({s.rows, s.columns, s.in});
    const auto weight = c.kernel({s.out, s.in, 1, 1}, DType::BF16);
    const auto bias = c.vector({s.out});
    const auto out = c.activations({s.rows, s.columns, s.out});
    reserve(ScratchOp::Conv2d, out.tested, x.tested, weight.tested);
    c.run([&](const OpCase::Side& v) {
      v.backend().conv2d(v(out), v(x), v(weight), {.bias = v(bias), .accumulate = true});
    });
    EXPECT_LE(c.nmse(out), c.bound(1e-11, 1e-5)) << s.rows << "x" << s.columns;
    EXPECT_TRUE(c.guards_intact());
  }
}

TEST_P(Maps, Convolution1x1OfAnUpsampledMap) {
  OpCase c(backend());
  const auto x = c.activations({3, 5, 24});
  const auto weight = c.kernel({20, 24, 1, 1}, DType::F32);
  const auto bias = c.vector({20});
  const auto out = c.activations({6, 10, 20});
  reserve(ScratchOp::Conv2d, out.tested, x.tested, weight.tested);
  c.run([&](const OpCase::Side& v) {
    v.backend().conv2d(v(out), v(x), v(weight),
                       {.bias = v(bias), .upsample_2x = true, .accumulate = true});
  });
  EXPECT_LE(c.nmse(out), c.bound(1e-11, 1e-5));
  EXPECT_TRUE(c.guards_intact());
}

// Right f32: 1e-13. With the variance of n - 1: 1e-6 at the smallest map. SiLU left out: 0.5.
TEST_P(Maps, GroupNorm) {
  for (const Size& s :
       {Size{1, 3, 32, 32}, Size{5, 7, 64, 32}, Size{33, 31, 128, 32}, Size{64, 64, 96, 8}}) {
    for (const Activation activation : {Activation::None, Activation::Silu}) {
      OpCase c(backend());
      const Shape shape{s.rows, s.columns, s.in};
      const auto x = c.activations(shape, 3.0F);
      const auto weight = c.vector({s.in}, 1.0F, 0.2F);
      const auto bias = c.vector({s.in});
      const auto out = c.activations(shape);
      const auto in_place = c.activations(shape);
      const GroupNormArgs args{.groups = s.out, .eps = 1e-6F, .activation = activation};
      reserve(ScratchOp::GroupNorm, out.tested, x.tested, {});
      c.run([&](const OpCase::Side& v) {
        v.backend().group_norm(v(out), v(x), v(weight), v(bias), args);
        v.backend().group_norm(v(in_place), v(in_place), v(weight), v(bias), args);
      });
      EXPECT_LE(c.nmse(out), c.bound(1e-11, 1e-5)) << to_string(shape);
      EXPECT_LE(c.nmse(in_place), c.bound(1e-11, 1e-5)) << to_string(shape);
      EXPECT_TRUE(c.guards_intact());
    }
  }
}

// A mean 300 times the deviation: right f32 statistics give 1e-9 here, from the rounding of x -
// mean; the difference of the mean square and the squared mean in f32 gives 1e-4 or a negative
// variance.
TEST_P(Maps, GroupNormOfAFarMean) {
  OpCase c(backend());
  const auto x = c.vector({40, 41, 64}, 300.0F);
  const auto weight = c.vector({64}, 1.0F, 0.2F);
  const auto bias = c.vector({64}, 0.0F, 0.1F);
  const auto out = c.vector({40, 41, 64});
  const GroupNormArgs args{.groups = 16, .eps = 1e-6F};
  reserve(ScratchOp::GroupNorm, out.tested, x.tested, {});
  c.run([&](const OpCase::Side& v) {
    v.backend().group_norm(v(out), v(x), v(weight), v(bias), args);
  });
  EXPECT_LE(c.nmse(out), c.bound(1e-8, 1e-2));
}

// Statistics of one map are written beside its norm, and another is normed by them. Right f32:
// 1e-13; the other map's own statistics: 0.1 and more.
TEST_P(Maps, GroupNormByStatisticsThatAreGiven) {
  for (const Size& s : {Size{5, 7, 64, 32}, Size{33, 31, 96, 8}}) {
    OpCase c(backend());
    const Shape shape{s.rows, s.columns, s.in};
    const auto first = c.activations(shape, 3.0F);
    const auto second = c.activations({s.rows + 1, s.columns, s.in}, 2.0F);
    const auto weight = c.vector({s.in}, 1.0F, 0.2F);
    const auto bias = c.vector({s.in});
    const auto statistics = c.vector({2, s.out});
    const auto out = c.activations(shape);
    const auto by_given = c.activations({s.rows + 1, s.columns, s.in});
    GroupNormArgs args{.groups = s.out, .eps = 1e-6F, .activation = Activation::Silu};
    reserve(ScratchOp::GroupNorm, by_given.tested, second.tested, {});
    c.run([&](const OpCase::Side& v) {
      args.statistics = v(statistics);
      args.given = false;
      v.backend().group_norm(v(out), v(first), v(weight), v(bias), args);
      args.given = true;
      v.backend().group_norm(v(by_given), v(second), v(weight), v(bias), args);
    });
    EXPECT_LE(c.nmse(out), c.bound(1e-11, 1e-5)) << to_string(shape);
    EXPECT_LE(c.nmse(statistics), c.bound(1e-11, 1e-5)) << to_string(shape);
    EXPECT_LE(c.nmse(by_given), c.bound(1e-11, 1e-5)) << to_string(shape);
    EXPECT_TRUE(c.guards_intact());
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Maps, testing::ValuesIn(conformance_backends()), backend_name);

}  // namespace
}  // namespace zimage
