// The arithmetic of a block, and which tensors it is made of.
#include "transformer/block.h"

#include <cmath>

namespace zimage {
namespace {

// Of q_norm and k_norm; not in the configuration. Source: Attention(eps=1e-5) in
// ZImageTransformerBlock.
constexpr float kQkNormEps = 1e-5F;

}  // namespace

Block load_block(const WeightScope& w, const TransformerConfig& c) {
  const WeightScope a = w["attention"];
  const WeightScope f = w["feed_forward"];
  return {
      .attention_norm1 = w.vector("attention_norm1.weight", c.dim),
      .attention_norm2 = w.vector("attention_norm2.weight", c.dim),
      .ffn_norm1 = w.vector("ffn_norm1.weight", c.dim),
      .ffn_norm2 = w.vector("ffn_norm2.weight", c.dim),
      .q_norm = a.vector("norm_q.weight", c.head_dim()),
      .k_norm = a.vector("norm_k.weight", c.head_dim()),
      .qkv =
          a.matrix({{"to_q.weight", c.dim}, {"to_k.weight", c.dim}, {"to_v.weight", c.dim}}, c.dim),
      .attention_out = a.matrix("to_out.0.weight", c.dim, c.dim),
      .gate_up = f.gate_up("w1.weight", "w3.weight", c.ffn_dim(), c.dim),
      .down = f.matrix("w2.weight", c.dim, c.ffn_dim()),
  };
}

void Block::forward(const Run& run, const TransformerConfig& config, const Tensor& x,
                    const Tensor& cos_sin, const Modulation& mod) const {
  Backend& be = run.backend;
  Arena::Frame frame(run.arena);
  const std::int64_t length = cos_sin.dim(0);
  const float scale = 1.0F / std::sqrt(static_cast<float>(config.head_dim()));
  const Tensor h = frame.make(x.dtype, x.shape);  // [T, dim]
  const Tensor y = frame.make(x.dtype, x.shape);  // [T, dim]
  {
    Arena::Frame inner(run.arena);
    const Tensor rows = inner.make(x.dtype, {x.dim(0), 3 * config.dim});  // [T, 3 dim]
    be.rms_norm(h, x, attention_norm1,
                {.eps = config.norm_eps, .scale = mod.attention_scale, .feeds = &qkv});
    be.linear(rows, h, qkv);
    for (std::int64_t first = 0; first < x.dim(0); first += length) {
      be.qk_norm_rope(rows.rows(first, first + length), q_norm, k_norm,
                      {.cos_sin = cos_sin,
                       .pairing = Pairing::Interleaved,
                       .heads = config.heads,
                       .kv_heads = config.heads,
                       .eps = kQkNormEps});
    }
    be.attention(h, rows,
                 {.heads = config.heads,
                  .kv_heads = config.heads,
                  .scale = scale,
                  .segments = x.dim(0) / length,
                  .feeds = &attention_out});
    be.linear(y, h, attention_out);
    be.add_gated_rms_norm(x, y, attention_norm2,
                          {.eps = config.norm_eps, .gate = mod.attention_gate});
  }
  const Tensor activated = frame.make(x.dtype, {x.dim(0), config.ffn_dim()});  // [T, ffn]
  be.rms_norm(h, x, ffn_norm1, {.eps = config.norm_eps, .scale = mod.ffn_scale, .feeds = &gate_up});
  be.swiglu(activated, h, gate_up, {.feeds = &down});
  be.linear(y, activated, down);
  be.add_gated_rms_norm(x, y, ffn_norm2, {.eps = config.norm_eps, .gate = mod.ffn_gate});
}

}  // namespace zimage
