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

// Calls `visit(bytes)` for each streamed block.
template <typename Visit>
void for_streamed(const PartSize& size, std::int64_t resident, Visit visit) {
  const auto layers = static_cast<std::int64_t>(size.layers.size());
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    if (is_streamed(layer, layers, resident)) visit(size.layers[static_cast<std::size_t>(layer)]);
  }
}

}  // namespace

Parts::Parts(const Model& model, Backend& backend, Encoding encoding)
    : model_(model), backend_(backend), plan_backend_(backend), encoding_(encoding) {}

std::size_t PartSize::weights_with(std::int64_t resident) const {
  std::size_t slot = 0;
  for_streamed(*this, resident, [&](std::size_t bytes) { slot = std::max(slot, bytes); });
  return weights - streamed_with(resident) + slot * static_cast<std::size_t>(slots);
}

std::size_t PartSize::streamed_with(std::int64_t resident) const {
  std::size_t sum = 0;
  for_streamed(*this, resident, [&](std::size_t bytes) { sum += bytes; });
  return sum;
}

void Parts::make(Networks& networks, Stage stage, Backend& backend,
                 const LayerPlacement& placement) {
  TensorSource& tensors = files_[index(stage)]->tensors();
  switch (stage) {
    case Stage::EncodePrompt:
      networks.text_encoder =
          std::make_unique<Qwen3Encoder>(tensors, model_.text_encoder(), backend, placement);
      return;
    case Stage::Denoise:
      networks.transformer =
          std::make_unique<ZImageTransformer>(tensors, model_.transformer(), backend, placement);
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
    make(planned_, stage, plan_backend_, {});
    files->throw_if_unused();
    sizes_[index(stage)] = {.weights = plan_backend_.allocated() - before,
                            .source = plan_backend_.cost().source,
                            .layers = {},
                            .slots = stream_slots(backend_)};
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

void Parts::load(Stage stage, std::int64_t streamed) {
  backend_.set_encoding(encoding_of(stage));
  std::int64_t& streamed_before = streamed_[index(stage)];
  if (is_loaded(stage) && streamed_before == streamed) return;
  release(stage);
  streamed_before = streamed;
  LayerPlacement placement;
  if (streamed > 0) {
    std::unique_ptr<HostSlabs>& copies = copies_[index(stage)];
    if (!copies) copies = backend_.make_host_slabs();
    placement = {.resident = static_cast<std::int64_t>(size(stage).layers.size()) - streamed,
                 .copies = copies.get()};
  }
  make(loaded_, stage, backend_, placement);
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
