// Runs each network, and one block, on given inputs and writes what comes out, so that
// tools/compare_torch.py can hold it against torch. Usage:
//   stage_results MODEL DEVICE PRECISION INPUTS OUTPUTS
// PRECISION is "auto", "fp8" or "f32" (of a GPU's activations). INPUTS and OUTPUTS are safetensors:
//   ids [L] I64                                       -> features [L, hidden]
//   block_x [T, dim], block_cos_sin, block_modulation -> block [T, dim]
//   features_in, latents, grid [2] I64, time [1]      -> velocity [tokens, token_features]
//   map [h, w, channels]                              -> pixels [H, W, 3]
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "backend/plan/plan_backend.h"
#include "golden_file.h"
#include "pipeline/make_backend.h"
#include "pipeline/model.h"
#include "safetensors_text.h"
#include "transformer/transformer.h"

namespace zimage {
namespace {

struct Named {
  std::string name;
  Shape shape;
  std::vector<float> values;
};

void write_safetensors(const std::string& path, const std::vector<Named>& tensors) {
  std::vector<TensorText> texts;
  for (const Named& tensor : tensors) {
    std::string shape = "[";
    for (int i = 0; i < tensor.shape.rank(); ++i)
      shape += (i > 0 ? ", " : "") + std::to_string(tensor.shape[i]);
    texts.push_back({.name = tensor.name,
                     .dtype = "F32",
                     .shape = shape + "]",
                     .data = {reinterpret_cast<const char*>(tensor.values.data()),
                              tensor.values.size() * sizeof(float)}});
  }
  std::ofstream file(path, std::ios::binary);
  file << safetensors_text(texts);
  if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}

std::unique_ptr<Backend> backend_of(const std::string& device, const std::string& precision) {
  std::unique_ptr<Backend> backend =
      make_backend({.device = device, .precision = precision == "f32" ? "exact" : "auto"});
  if (precision == "fp8") backend->set_encoding(Encoding::Fp8);
  return backend;
}

// What one stage needs: its backend, its inputs, and the tensors of its part.
class Stage {
 public:
  Stage(Backend& backend, const Model& model, const GoldenFile& inputs, const char* part)
      : inputs_(inputs), backend_(backend), weights_(model.open(part)) {}

  TensorSource& tensors() { return weights_->tensors(); }

  // An input in the activation type, or as f32.
  Tensor input(const Run& run, Arena::Frame& frame, const std::string& name) const {
    const Tensor wide = input_f32(run, frame, name);
    if (run.backend.activation_dtype() == DType::F32) return wide;
    const Tensor x = frame.make(run.backend.activation_dtype(), wide.shape);
    run.backend.cast(x, wide);
    return x;
  }
  Tensor input_f32(const Run& run, Arena::Frame& frame, const std::string& name) const {
    const GoldenFile::Entry& entry = inputs_.at(name);
    Shape shape;
    switch (entry.shape.size()) {
      case 1: shape = {entry.shape[0]}; break;
      case 2: shape = {entry.shape[0], entry.shape[1]}; break;
      default: shape = {entry.shape[0], entry.shape[1], entry.shape[2]}; break;
    }
    const Tensor x = frame.make(DType::F32, shape);
    run.backend.upload(x, entry.values.data());
    return x;
  }

  // `make(Backend&)` loads what `compute(Run, network)` needs; compute() gives a tensor of the
  // arena. Both run on the plan first, for the sizes.
  template <typename Make, typename Compute>
  Named run(const std::string& name, Make make, Compute compute) {
    std::fprintf(stderr, "stage_results: %s\n", name.c_str());
    PlanBackend plan(backend_);
    Arena measure;
    {
      const auto planned = make(static_cast<Backend&>(plan));
      Arena::Frame frame(measure);
      finish(Run{plan, measure}, frame, compute(Run{plan, measure}, frame, planned));
    }
    const Buffer memory = backend_.allocate(measure.peak());
    backend_.reserve_scratch(plan.cost().scratch);
    Arena arena(memory.data(), memory.bytes());
    const auto network = make(backend_);
    Arena::Frame frame(arena);
    const Run run{backend_, arena};
    const Tensor result = finish(run, frame, compute(run, frame, network));
    Named named{name, result.shape,
                std::vector<float>(static_cast<std::size_t>(result.elements()))};
    backend_.download(named.values.data(), result);
    return named;
  }

 private:
  static Tensor finish(const Run& run, Arena::Frame& frame, const Tensor& x) {
    if (x.dtype == DType::F32) return x;
    const Tensor wide = frame.make(DType::F32, x.shape);
    run.backend.cast(wide, x);
    return wide;
  }

  const GoldenFile& inputs_;
  Backend& backend_;
  std::unique_ptr<PartWeights> weights_;
};

Named features(Backend& backend, const Model& model, const GoldenFile& inputs) {
  Stage stage(backend, model, inputs, "text_encoder");
  std::vector<std::int32_t> ids;
  for (const float id : inputs.values("ids")) ids.push_back(static_cast<std::int32_t>(id));
  return stage.run(
      "features",
      [&](Backend& be) {
        return std::make_unique<Qwen3Encoder>(stage.tensors(), model.text_encoder(), be);
      },
      [&](const Run& run, Arena::Frame& frame, const auto& encoder) {
        const Tensor out =
            frame.make(run.backend.activation_dtype(),
                       {static_cast<std::int64_t>(ids.size()), encoder->config().hidden});
        encoder->encode(run, out, ids);
        return out;
      });
}

Named block(Backend& backend, const Model& model, const GoldenFile& inputs) {
  Stage stage(backend, model, inputs, "transformer");
  const TransformerConfig& config = model.transformer();
  return stage.run(
      "block",
      [&](Backend& be) {
        return load_module(stage.tensors(), be, [&](const WeightScope& w) {
          return load_block(w["layers"]["0"], config);
        });
      },
      [&](const Run& run, Arena::Frame& frame, const Module<Block>& module) {
        const Tensor x = stage.input(run, frame, "block_x");
        const Tensor m = stage.input_f32(run, frame, "block_modulation");
        const std::int64_t d = config.dim;
        module.weights.forward(
            run, config, x, stage.input_f32(run, frame, "block_cos_sin"),
            {m.slice(0, d), m.slice(d, 2 * d), m.slice(2 * d, 3 * d), m.slice(3 * d, 4 * d)});
        return x;
      });
}

Named velocity(Backend& backend, const Model& model, const GoldenFile& inputs) {
  Stage stage(backend, model, inputs, "transformer");
  const std::vector<float>& sides = inputs.values("grid");
  const Grid grid{static_cast<std::int64_t>(sides.at(0)), static_cast<std::int64_t>(sides.at(1))};
  return stage.run(
      "velocity",
      [&](Backend& be) {
        return std::make_unique<ZImageTransformer>(stage.tensors(), model.transformer(), be);
      },
      [&](const Run& run, Arena::Frame& frame, const auto& transformer) {
        const Tensor latents = stage.input_f32(run, frame, "latents");
        const Tensor out = frame.make(DType::F32, latents.shape);
        const Tensor features = stage.input(run, frame, "features_in");
        const Conditioning conditioning =
            transformer->prepare(run, grid, {&features, 1}, inputs.values("time"));
        transformer->select_step(run, conditioning, 0);
        transformer->forward(run, conditioning, out, latents);
        return out;
      });
}

Named pixels(Backend& backend, const Model& model, const GoldenFile& inputs) {
  Stage stage(backend, model, inputs, "vae");
  return stage.run(
      "pixels",
      [&](Backend& be) { return std::make_unique<VaeDecoder>(stage.tensors(), model.vae(), be); },
      [&](const Run& run, Arena::Frame& frame, const auto& decoder) {
        const Tensor map = stage.input_f32(run, frame, "map");
        const std::int64_t scale = decoder->config().scale();
        const Tensor out =
            frame.make(run.backend.activation_dtype(), {map.dim(0) * scale, map.dim(1) * scale, 3});
        decoder->decode(run, out, map);
        return out;
      });
}

void run(char** arguments) {
  const std::string precision = arguments[3];
  const GoldenFile inputs(arguments[4]);
  const Model model(PipelineOptions{.model = arguments[1]});
  const std::unique_ptr<Backend> backend = backend_of(arguments[2], precision);
  std::vector<Named> results;
  results.push_back(block(*backend, model, inputs));
  results.push_back(velocity(*backend, model, inputs));
  if (precision != "fp8") {  // the other two networks have no fp8
    results.push_back(features(*backend, model, inputs));
    results.push_back(pixels(*backend, model, inputs));
  }
  write_safetensors(arguments[5], results);
}

}  // namespace
}  // namespace zimage

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fputs("usage: stage_results MODEL DEVICE auto|fp8|f32 INPUTS OUTPUTS\n", stderr);
    return 2;
  }
  try {
    zimage::run(argv);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stage_results: %s\n", error.what());
    return 1;
  }
}
