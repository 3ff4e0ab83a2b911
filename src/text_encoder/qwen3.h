// Token ids to caption features: the Qwen3 decoder stack without its last layer, final norm and
// head. Follows transformers models/qwen3/modeling_qwen3.py.
#pragma once

#include <cstdint>
#include <span>

#include "base/json.h"
#include "nn/layer_store.h"
#include "nn/run.h"

namespace zimage {

struct Qwen3Config {
  std::int64_t layers = 0;
  std::int64_t hidden = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t ffn_dim = 0;
  std::int64_t vocabulary = 0;
  double rope_theta = 0;
  float norm_eps = 0;

  // Layers whose weights are used: the features are the input of the last one.
  std::int64_t used_layers() const { return layers - 1; }

  // From config.json. Throws InvalidFile for a missing or senseless value, Unsupported for a
  // variant this encoder does not compute (biases, sliding windows, scaled rope).
  static Qwen3Config from_json(const JsonObject& json);
};

// The weights of one decoder layer. Views.
struct Qwen3Layer {
  Tensor input_norm;     // [hidden]
  Weight qkv;            // [(heads + 2 kv_heads) head_dim, hidden]
  Tensor q_norm;         // [head_dim]
  Tensor k_norm;         // [head_dim]
  Weight attention_out;  // [hidden, heads head_dim]
  Tensor ffn_norm;       // [hidden]
  Weight gate_up;        // [2 ffn_dim, hidden]
  Weight down;           // [hidden, ffn_dim]
};

class Qwen3Encoder {
 public:
  // Loads the weights, the layers' as `placement` says. The embedding table stays on the host, a
  // view into `source`, which must outlive this; it is evicted after each use.
  Qwen3Encoder(TensorSource& source, const Qwen3Config& config, Backend& backend,
               const LayerPlacement& placement = {});

  const Qwen3Config& config() const { return config_; }
  const LayerStore<Qwen3Layer>& layers() const { return layers_; }

  // out [ids, hidden] = hidden_states[-2] of one causal pass. Throws InvalidArgument for an id
  // outside the vocabulary, Cancelled.
  void encode(const Run& run, const Tensor& out, std::span<const std::int32_t> ids) const;

 private:
  Qwen3Config config_;
  TensorSource* source_;
  HostTensor embedding_;  // [vocabulary, hidden]
  LayerStore<Qwen3Layer> layers_;
};

}  // namespace zimage
