// Which tensors the transformer is made of.
#include <string>
#include <vector>

#include "transformer/transformer.h"

namespace zimage {
namespace {

// Width of the time MLP and of its sinusoid; not in the configuration.
// Source: TimestepEmbedder(mid_size=1024, frequency_embedding_size=256).
constexpr std::int64_t kTimeHidden = 1024;
constexpr std::int64_t kTimeFeatures = 256;

// The modulations of all blocks as one matrix and one bias, so that one product computes a step's.
struct FusedModulation {
  Weight weight;
  Tensor bias;
};

FusedModulation load_modulation(const WeightScope& w, const TransformerConfig& c) {
  std::vector<HostTensor> weights;
  std::vector<HostTensor> biases;
  const auto add = [&](const char* list, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      const WeightScope m = w[list][std::to_string(i)]["adaLN_modulation"]["0"];
      weights.push_back(m.host("weight", {4 * c.dim, c.conditioning_dim()}));
      biases.push_back(m.host("bias", {4 * c.dim}));
    }
  };
  add("noise_refiner", c.refiner_layers);
  add("layers", c.layers);
  return {.weight = w.stack(weights), .bias = w.concatenate(biases)};
}

}  // namespace

ZImageTransformer::Edges ZImageTransformer::load_edges(const WeightScope& all,
                                                       const TransformerConfig& c) {
  const WeightScope w = all.plain();
  const std::string patch = std::to_string(c.patch) + "-1";
  const WeightScope x = w["all_x_embedder"][patch];
  const WeightScope time = w["t_embedder"]["mlp"];
  const WeightScope last = w["all_final_layer"][patch];
  const WeightScope last_mod = last["adaLN_modulation"]["1"];
  const FusedModulation modulation = load_modulation(w, c);
  return {
      .patch_embedder = x.matrix("weight", c.dim, c.token_features()),
      .patch_bias = x.vector("bias", c.dim),
      .image_pad = w.row("x_pad_token", c.dim),
      .caption_pad = w.row("cap_pad_token", c.dim),
      .caption_norm = w.vector("cap_embedder.0.weight", c.caption_dim),
      .caption_embedder = w.matrix("cap_embedder.1.weight", c.dim, c.caption_dim),
      .caption_bias = w.vector("cap_embedder.1.bias", c.dim),
      .time_in = time.matrix("0.weight", kTimeHidden, kTimeFeatures),
      .time_in_bias = time.vector("0.bias", kTimeHidden),
      .time_out = time.matrix("2.weight", c.conditioning_dim(), kTimeHidden),
      .time_out_bias = time.vector("2.bias", c.conditioning_dim()),
      .modulation = modulation.weight,
      .modulation_bias = modulation.bias,
      .final_modulation = last_mod.matrix("weight", c.dim, c.conditioning_dim()),
      .final_modulation_bias = last_mod.vector("bias", c.dim),
      .velocity = last.matrix("linear.weight", c.token_features(), c.dim),
      .velocity_bias = last.vector("linear.bias", c.token_features()),
  };
}

ZImageTransformer::ZImageTransformer(TensorSource& source, const TransformerConfig& config,
                                     Backend& backend, const LayerPlacement& placement)
    : config_(config),
      edges_(load_module(source, backend,
                         [&](const WeightScope& w) { return load_edges(w, config); })),
      context_refiner_(source, backend, config.refiner_layers,
                       [config](const WeightScope& w, std::int64_t i) {
                         return load_block(w["context_refiner"][std::to_string(i)], config);
                       }),
      noise_refiner_(source, backend, config.refiner_layers,
                     [config](const WeightScope& w, std::int64_t i) {
                       return load_block(w["noise_refiner"][std::to_string(i)], config);
                     }),
      layers_(
          source, backend, config.layers,
          [config](const WeightScope& w, std::int64_t i) {
            return load_block(w["layers"][std::to_string(i)], config);
          },
          placement) {}

}  // namespace zimage
