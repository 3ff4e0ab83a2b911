// Which network a stage runs, and where its weights come from.
#include "pipeline/parts.h"

#include <algorithm>

namespace zimage {
namespace {

constexpr std::array<Stage, 3> kStages = {Stage::EncodePrompt, Stage::Denoise, Stage::Decode};

const char* part_of(Stage stage) {
  switch (stage) {
    case Stage::EncodePrompt: return "text_encoder";
    case Stage::Denoise: return "transformer";
    case Stage::Decode: return "vae";
  }
  return "";
}

}  // namespace

Parts::Parts(const Model& model, Backend& backend, Encoding encoding)
    : model_(model), backend_(backend), plan_backend_(backend), encoding_(encoding) {}

std::size_t PartSize::weights_with(std::int64_t resident) const {
  std::size_t bytes = weights;
  std::size_t slot = 0;
  for (auto layer = static_cast<std::size_t>(resident); layer < layers.size(); ++layer) {
    bytes -= layers[layer];
    slot = std::max(slot, layers[layer]);
  }
  return bytes + slot;
}

void Parts::make(Networks& networks, Stage stage, Backend& backend, std::int64_t resident) {
  TensorSource& tensors = files_[index(stage)]->tensors();
  switch (stage) {
    case Stage::EncodePrompt:
      networks.text_encoder =
          std::make_unique<Qwen3Encoder>(tensors, model_.text_encoder(), backend, resident);
      return;
    case Stage::Denoise:
      networks.transformer =
          std::make_unique<ZImageTransformer>(tensors, model_.transformer(), backend, resident);
      return;
    case Stage::Decode:
      networks.vae = std::make_unique<VaeDecoder>(tensors, model_.vae(), backend);
      return;
  }
}

const Networks& Parts::planned() {
  if (planned_.vae) return planned_;
  for (const Stage stage : kStages) {
    std::unique_ptr<PartWeights>& files = files_[index(stage)];
    files = model_.open(part_of(stage));
    const std::size_t before = plan_backend_.allocated();
    plan_backend_.reset_cost();
    plan_backend_.set_encoding(encoding_of(stage));
    make(planned_, stage, plan_backend_, kAllLayers);
    files->throw_if_unused();
    sizes_[index(stage)] = {.weights = plan_backend_.allocated() - before,
                            .source = plan_backend_.cost().source,
                            .layers = {}};
  }
  sizes_[index(Stage::EncodePrompt)].layers = planned_.text_encoder->layers().bytes();
  sizes_[index(Stage::Denoise)].layers = planned_.transformer->layers().bytes();
  return planned_;
}

// Only the transformer's matrices take the encoding: the other two networks are a small part of the
// time.
Encoding Parts::encoding_of(Stage stage) const {
  return stage == Stage::Denoise ? encoding_ : Encoding::Plain;
}

bool Parts::is_loaded(Stage stage) const {
  switch (stage) {
    case Stage::EncodePrompt: return loaded_.text_encoder != nullptr;
    case Stage::Denoise: return loaded_.transformer != nullptr;
    case Stage::Decode: return loaded_.vae != nullptr;
  }
  return false;
}

std::size_t Parts::loaded_bytes() const {
  std::size_t bytes = 0;
  for (const Stage stage : kStages) {
    if (!is_loaded(stage)) continue;
    const std::int64_t streamed = streamed_[index(stage)];
    const auto layers = static_cast<std::int64_t>(size(stage).layers.size());
    bytes += streamed > 0 ? size(stage).weights_with(layers - streamed) : size(stage).weights;
  }
  return bytes;
}

void Parts::load(Stage stage, std::int64_t streamed) {
  backend_.set_encoding(encoding_of(stage));
  std::int64_t& streamed_before = streamed_[index(stage)];
  if (is_loaded(stage) && streamed_before == streamed) return;
  release(stage);
  streamed_before = streamed;
  const auto layers = static_cast<std::int64_t>(size(stage).layers.size());
  make(loaded_, stage, backend_, streamed > 0 ? layers - streamed : kAllLayers);
  backend_.synchronize();
}

void Parts::release(Stage stage) {
  switch (stage) {
    case Stage::EncodePrompt: loaded_.text_encoder.reset(); return;
    case Stage::Denoise: loaded_.transformer.reset(); return;
    case Stage::Decode: loaded_.vae.reset(); return;
  }
}

}  // namespace zimage
