// Which network a stage runs, and where its weights come from.
#include "pipeline/parts.h"

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

void Parts::make(Networks& networks, Stage stage, Backend& backend) {
  TensorSource& tensors = files_[index(stage)]->tensors();
  switch (stage) {
    case Stage::EncodePrompt:
      networks.text_encoder =
          std::make_unique<Qwen3Encoder>(tensors, model_.text_encoder(), backend);
      return;
    case Stage::Denoise:
      // Only the transformer's matrices take the encoding: the other two networks are a small part
      // of the time.
      backend.set_encoding(encoding_);
      networks.transformer =
          std::make_unique<ZImageTransformer>(tensors, model_.transformer(), backend);
      backend.set_encoding(Encoding::Plain);
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
    make(planned_, stage, plan_backend_);
    files->throw_if_unused();
    sizes_[index(stage)] = {.weights = plan_backend_.allocated() - before,
                            .source = plan_backend_.cost().source};
  }
  return planned_;
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
    if (is_loaded(stage)) bytes += size(stage).weights;
  }
  return bytes;
}

void Parts::load(Stage stage) {
  if (is_loaded(stage)) return;
  make(loaded_, stage, backend_);
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
