// One block of the single-stream transformer: attention and feed-forward, each normed before and
// after. Follows diffusers ZImageTransformerBlock.
#pragma once

#include "nn/run.h"
#include "nn/weight_scope.h"
#include "transformer/config.h"

namespace zimage {

// What a step's time does to one block. All [dim] f32; absent in the context refiners.
// The order is that of the rows of adaLN_modulation: scale and gate of attention, then of the
// feed-forward.
struct Modulation {
  Tensor attention_scale = {};
  Tensor attention_gate = {};
  Tensor ffn_scale = {};
  Tensor ffn_gate = {};
};

// Views of one block's weights.
struct Block {
  Tensor attention_norm1;  // [dim], before attention
  Tensor attention_norm2;  // [dim], after it
  Tensor ffn_norm1;        // [dim]
  Tensor ffn_norm2;        // [dim]
  Tensor q_norm;           // [head_dim]
  Tensor k_norm;           // [head_dim]
  Weight qkv;              // [3 dim, dim]
  Weight attention_out;    // [dim, dim]
  Weight gate_up;          // [2 ffn_dim, dim]: w1 and w3
  Weight down;             // [dim, ffn_dim]: w2

  // x [n T, dim] in place: n sequences, each of which attends to itself alone. cos_sin
  // [T, head_dim / 2, 2], of one of them.
  void forward(const Run& run, const TransformerConfig& config, const Tensor& x,
               const Tensor& cos_sin, const Modulation& mod) const;
};

Block load_block(const WeightScope& w, const TransformerConfig& c);

}  // namespace zimage
