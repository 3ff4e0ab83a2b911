// The forward pass: embeddings gathered on the host, then the decoder layers.
#include "text_encoder/qwen3.h"

#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "nn/rope.h"
#include "quant/dequantize.h"

namespace zimage {
namespace {

Qwen3Layer load_layer(const WeightScope& w, const Qwen3Config& c) {
  const WeightScope a = w["self_attn"];
  const WeightScope f = w["mlp"];
  const std::int64_t q = c.heads * c.head_dim;
  const std::int64_t kv = c.kv_heads * c.head_dim;
  return {
      .input_norm = w.vector("input_layernorm.weight", c.hidden),
      .qkv =
          a.matrix({{"q_proj.weight", q}, {"k_proj.weight", kv}, {"v_proj.weight", kv}}, c.hidden),
      .q_norm = a.vector("q_norm.weight", c.head_dim),
      .k_norm = a.vector("k_norm.weight", c.head_dim),
      .attention_out = a.matrix("o_proj.weight", c.hidden, q),
      .ffn_norm = w.vector("post_attention_layernorm.weight", c.hidden),
      .gate_up = f.gate_up("gate_proj.weight", "up_proj.weight", c.ffn_dim, c.hidden),
      .down = f.matrix("down_proj.weight", c.hidden, c.ffn_dim),
  };
}

std::vector<float> gather(const HostTensor& table, std::span<const std::int32_t> ids) {
  const std::int64_t n = table.row_elements();
  std::vector<float> rows(ids.size() * static_cast<std::size_t>(n));
  float* out = rows.data();
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= table.row_count()) {
      throw Error(ErrorCode::InvalidArgument,
                  "token id " + std::to_string(id) + ", expected 0 to " +
                      std::to_string(table.row_count() - 1) +
                      ": the tokenizer does not belong to the text encoder");
    }
    dequantize_rows(out, table, id, id + 1);
    out += n;
  }
  return rows;
}

// x [T, hidden] in place.
void forward(const Run& run, const Qwen3Config& c, const Qwen3Layer& layer, const Tensor& x,
             const Tensor& cos_sin) {
  Backend& be = run.backend;
  Arena::Frame frame(run.arena);
  const std::int64_t rows = x.dim(0);
  const Tensor h = frame.make(x.dtype, x.shape);  // [T, hidden]
  {
    Arena::Frame inner(run.arena);
    const Tensor qkv = inner.make(x.dtype, {rows, layer.qkv.out});  // [T, (heads + 2 kv) hd]
    const Tensor context = inner.make(x.dtype, {rows, layer.attention_out.in});  // [T, heads hd]
    be.rms_norm(h, x, layer.input_norm, {.eps = c.norm_eps});
    be.linear(qkv, h, layer.qkv);
    be.qk_norm_rope(qkv, layer.q_norm, layer.k_norm,
                    {.cos_sin = cos_sin,
                     .pairing = Pairing::HalfSplit,
                     .heads = c.heads,
                     .kv_heads = c.kv_heads,
                     .eps = c.norm_eps});
    be.attention(context, qkv,
                 {.heads = c.heads,
                  .kv_heads = c.kv_heads,
                  .scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim)),
                  .causal = true});
    be.linear(x, context, layer.attention_out, {.accumulate = true});
  }
  const Tensor activated = frame.make(x.dtype, {rows, c.ffn_dim});  // [T, ffn]
  be.rms_norm(h, x, layer.ffn_norm, {.eps = c.norm_eps});
  be.swiglu(activated, h, layer.gate_up);
  be.linear(x, activated, layer.down, {.accumulate = true});
}

}  // namespace

Qwen3Encoder::Qwen3Encoder(TensorSource& source, const Qwen3Config& config, Backend& backend,
                           const LayerPlacement& placement)
    : config_(config),
      source_(&source),
      layers_(
          source, backend, config.used_layers(),
          [config](const WeightScope& w, std::int64_t layer) {
            return load_layer(w["layers"][std::to_string(layer)], config);
          },
          placement) {
  embedding_ = source.tensor("embed_tokens.weight", {config.vocabulary, config.hidden});
  source.ignore("layers." + std::to_string(config.used_layers()) + ".");
  source.ignore("norm.");
  source.ignore("lm_head.");
}

void Qwen3Encoder::encode(const Run& run, const Tensor& out,
                          std::span<const std::int32_t> ids) const {
  Backend& be = run.backend;
  Arena::Frame frame(run.arena);
  const auto rows = static_cast<std::int64_t>(ids.size());
  const Tensor cos_sin = frame.make(DType::F32, {rows, config_.head_dim / 2, 2});
  be.upload(cos_sin, [&] { return rope_table(rows, config_.head_dim, config_.rope_theta); });
  const Tensor embedded = frame.make(DType::F32, {rows, config_.hidden});
  be.upload(embedded, [&] { return gather(embedding_, ids); });
  source_->evict_all();
  be.cast(out, embedded);
  for (std::int64_t layer = 0; layer < layers_.size(); ++layer) {
    run.throw_if_stopped();
    forward(run, config_, layers_.use(layer), out, cos_sin);
  }
}

}  // namespace zimage
