// attention against the reference: one row and many, grouped heads, causal, wide single heads,
// segments.
#include <gmock/gmock.h>

#include <cmath>

#include "backend/backend_op.h"
#include "base/error.h"
#include "error_of.h"

namespace zimage {
namespace {

struct Size {
  std::int64_t rows, heads, kv_heads, head_dim;
};

constexpr Size kSizes[] = {{1, 1, 1, 128},  {2, 3, 3, 128},   {31, 4, 2, 128}, {64, 3, 3, 128},
                           {97, 8, 2, 128}, {288, 3, 3, 128}, {33, 1, 1, 512}, {130, 1, 1, 128},
                           {50, 2, 1, 40},  {300, 1, 1, 64},  {450, 1, 1, 16}, {37, 6, 2, 41},
                           {160, 4, 1, 9}};

class Attention : public BackendOp {};

// Right f32: 1e-13. One pair too many in a causal row: 1e-3. bf16 probabilities and output: 1e-5.
TEST_P(Attention, AgreesWithTheReference) {
  for (const Size& s : kSizes) {
    for (const bool causal : {false, true}) {
      OpCase c(backend());
      // Large scores, so that a softmax without its maximum would overflow in f16 and lose digits
      // in f32.
      const auto qkv = c.activations({s.rows, (s.heads + 2 * s.kv_heads) * s.head_dim}, 2.0F);
      const auto out = c.activations({s.rows, s.heads * s.head_dim});
      const float scale = 1.0F / std::sqrt(static_cast<float>(s.head_dim));
      reserve(ScratchOp::Attention, out.tested, qkv.tested, {});
      c.run([&](const OpCase::Side& v) {
        v.backend().attention(
            v(out), v(qkv),
            {.heads = s.heads, .kv_heads = s.kv_heads, .scale = scale, .causal = causal});
      });
      EXPECT_LE(c.nmse(out), c.bound(1e-11, 3e-5))
          << s.rows << " rows, " << s.heads << " heads of " << s.head_dim;
      EXPECT_TRUE(c.guards_intact());
    }
  }
}

struct Segments {
  std::int64_t count, rows, heads, kv_heads, head_dim;
};

constexpr Segments kSegments[] = {{1, 97, 3, 3, 128}, {2, 1, 2, 2, 128},   {2, 97, 4, 2, 128},
                                  {3, 33, 3, 3, 128}, {2, 288, 3, 3, 128}, {3, 177, 30, 30, 128},
                                  {5, 40, 2, 1, 40},  {3, 65, 1, 1, 16},   {2, 50, 1, 1, 512}};

// The bounds of the test above. Rows that see another segment: above 0.1.
TEST_P(Attention, OfSegmentsIsThatOfEachAlone) {
  for (const Segments& s : kSegments) {
    for (const bool causal : {false, true}) {
      OpCase c(backend());
      const std::int64_t rows = s.count * s.rows;
      const auto qkv = c.activations({rows, (s.heads + 2 * s.kv_heads) * s.head_dim}, 2.0F);
      const auto out = c.activations({rows, s.heads * s.head_dim});
      AttentionArgs args{.heads = s.heads,
                         .kv_heads = s.kv_heads,
                         .scale = 1.0F / std::sqrt(static_cast<float>(s.head_dim)),
                         .causal = causal,
                         .segments = s.count};
      reserve(ScratchOp::Attention, out.tested, qkv.tested, {});
      // The reference takes one segment at a time, so that it too is tested.
      c.run([&](const OpCase::Side& v) {
        if (&v.backend() == &backend()) {
          v.backend().attention(v(out), v(qkv), args);
          return;
        }
        args.segments = 1;
        for (std::int64_t first = 0; first < rows; first += s.rows) {
          v.backend().attention(v(out).rows(first, first + s.rows),
                                v(qkv).rows(first, first + s.rows), args);
        }
      });
      EXPECT_LE(c.nmse(out), c.bound(1e-11, 3e-5))
          << s.count << " segments of " << s.rows << " rows, " << s.heads << " heads of "
          << s.head_dim;
      EXPECT_TRUE(c.guards_intact());
    }
  }
}

TEST_P(Attention, RefusesSegmentsThatDoNotDivideTheRows) {
  OpCase c(backend());
  const auto qkv = c.activations({10, 3 * 16});
  const auto out = c.activations({10, 16});
  for (const std::int64_t segments : {0, -1, 3, 20}) {
    const Error error = error_of([&] {
      backend().attention(out.tested, qkv.tested,
                          {.heads = 1, .kv_heads = 1, .scale = 0.25F, .segments = segments});
    });
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(error.what(), testing::HasSubstr("expected a divisor of 10 rows"));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Attention, testing::ValuesIn(conformance_backends()),
                         backend_name);

}  // namespace
}  // namespace zimage
