// attention against the reference: one row and many, grouped heads, causal, wide single heads.
#include <cmath>

#include "backend/backend_op.h"

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

INSTANTIATE_TEST_SUITE_P(Backends, Attention, testing::ValuesIn(conformance_backends()),
                         backend_name);

}  // namespace
}  // namespace zimage
