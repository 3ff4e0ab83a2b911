// Which network a stage runs, and where its weights come from.
#include "pipeline/parts.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"

namespace zimage {
namespace {

// Of every request.
constexpr std::array<Stage, 3> kStages = {Stage::EncodePrompt, Stage::Denoise, Stage::Decode};

const char* part_of(Stage stage) {
  switch (stage) {
    case Stage::EncodeImage: return "vae";
    case Stage::EncodePrompt: return "text_encoder";
    case Stage::Denoise: return "transformer";
    case Stage::Decode: return "vae";
  }
  return "";
}

// What files of a weights cache are called; the autoencoder has two networks.
const char* cache_name_of(Stage stage) {
  return stage == Stage::EncodeImage ? "vae_encoder" : part_of(stage);
}

// Calls `visit(bytes)` for each streamed block.
template <typename Visit>
void for_streamed(const PartSize& size, std::int64_t resident, Visit visit) {
  const auto layers = static_cast<std::int64_t>(size.layers.size());
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    if (is_streamed(layer, layers, resident)) visit(size.layers[static_cast<std::size_t>(layer)]);
  }
}

// What the bytes of loaded weights depend on, beside their files.
std::string layout_of(const Backend& backend, const PartOptions& options) {
  const char* const weights = options.weights == WeightType::Bf16 ? " bf16" : "";
  const char* const encoding = options.encoding == Encoding::Fast   ? " fast"
                               : options.encoding == Encoding::Bf16 ? " pairs"
                                                                    : "";
  return std::string(version()) + " " + backend.weight_layout() + weights + encoding;
}

}  // namespace

Parts::Parts(const Model& model, Backend& backend, const PartOptions& options)
    : model_(model),
      backend_(backend),
      plan_backend_(backend),
      options_(options),
      cache_(backend.weight_layout().empty() ? std::filesystem::path() : options.weights_cache,
             layout_of(backend, options)) {
  if (!options.weights_cache.empty() && !cache_.is_used())
    log(LogLevel::Warning, "weights cache: " + backend.description() + " has no use for one");
}

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
    case Stage::EncodeImage:
      networks.vae_encoder = std::make_unique<VaeEncoder>(tensors, model_.vae(), backend);
      return;
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

// A cache's pages are bound as they are; while it is written, one module is in memory at a time.
bool Parts::is_cached(Stage stage) const {
  return cache_.is_used() && files_[index(stage)]->part() != nullptr;
}

void Parts::measure(Stage stage) {
  std::unique_ptr<PartWeights>& files = files_[index(stage)];
  files = model_.open(part_of(stage));
  if (options_.load == LoadMode::Preload) files->preload();
  if (options_.weights == WeightType::Bf16) files->narrow();
  const std::size_t before = plan_backend_.allocated();
  plan_backend_.reset_cost();
  plan_backend_.set_encoding(encoding_of(stage));
  make(planned_, stage, plan_backend_, {});
  files->throw_if_unused();
  const std::size_t weights = plan_backend_.allocated() - before;
  const std::size_t peak = plan_backend_.cost().loading;
  sizes_[index(stage)] = {
      .weights = weights,
      .loading = !is_cached(stage) && peak > before + weights ? peak - before - weights : 0,
      .streaming = 0,
      .layers = {},
      .slots = stream_slots(backend_)};
}

const Networks& Parts::planned_with_encoder() {
  planned();
  if (planned_.vae_encoder) return planned_;
  measure(Stage::EncodeImage);
  return planned_;
}

const Networks& Parts::planned() {
  if (planned_.vae) return planned_;
  for (const Stage stage : kStages) measure(stage);
  sizes_[index(Stage::EncodePrompt)].streaming = source_of_block(planned_.text_encoder->layers());
  sizes_[index(Stage::Denoise)].streaming = source_of_block(planned_.transformer->layers());
  for (const Stage stage : kStages) {
    if (is_cached(stage)) sizes_[index(stage)].streaming = 0;
  }
  sizes_[index(Stage::EncodePrompt)].layers = planned_.text_encoder->layers().bytes();
  sizes_[index(Stage::Denoise)].layers = planned_.transformer->layers().bytes();
  return planned_;
}

// What is read while a streamed block loads.
template <typename Block>
std::size_t Parts::source_of_block(const LayerStore<Block>& layers) {
  if (layers.size() == 0) return 0;
  plan_backend_.reset_cost();
  layers.measure(0);
  return plan_backend_.cost().source;
}

// Only the transformer's matrices take the encoding: the other two networks are a small part of the
// time.
Encoding Parts::encoding_of(Stage stage) const {
  return stage == Stage::Denoise ? options_.encoding : Encoding::Plain;
}

bool Parts::is_loaded(Stage stage) const {
  switch (stage) {
    case Stage::EncodeImage: return loaded_.vae_encoder != nullptr;
    case Stage::EncodePrompt: return loaded_.text_encoder != nullptr;
    case Stage::Denoise: return loaded_.transformer != nullptr;
    case Stage::Decode: return loaded_.vae != nullptr;
  }
  return false;
}

void Parts::load(Stage stage, std::int64_t streamed, const std::stop_token& stop) {
  backend_.set_encoding(encoding_of(stage));
  std::int64_t& streamed_before = streamed_[index(stage)];
  if (is_loaded(stage) && streamed_before == streamed) return;
  release(stage);
  streamed_before = streamed;
  LayerPlacement placement{.stop = stop};
  if (streamed > 0) {
    std::unique_ptr<HostSlabs>& copies = copies_[index(stage)];
    if (!copies) copies = backend_.make_host_slabs();
    placement.resident = static_cast<std::int64_t>(size(stage).layers.size()) - streamed;
    placement.copies = copies.get();
  }
  PartWeights& files = *files_[index(stage)];
  if (const CheckpointPart* part = files.part()) {
    const std::size_t bytes = size(stage).weights;
    const char* name = cache_name_of(stage);
    const auto open = [&](WeightsCache::Use use) { return cache_.open(name, *part, bytes, use); };
    std::unique_ptr<SlabFile> slabs = open(WeightsCache::Use::Any);
    const bool was_written = slabs && slabs->is_written();
    if (load_through(std::move(slabs), stage, placement)) return;
    if (was_written && load_through(open(WeightsCache::Use::New), stage, placement)) return;
  }
  make(loaded_, stage, backend_, placement);
  backend_.synchronize();
  tell_rounded(stage);
}

void Parts::tell_rounded(Stage stage) const {
  if (options_.weights != WeightType::Bf16) return;
  const std::int64_t rounded = files_[index(stage)]->take_rounded();
  const std::string part = part_of(stage);
  log(LogLevel::Info, rounded == 0 ? "weights: no number of the " + part + " had to be rounded"
                                   : "weights: " + std::to_string(rounded) + " numbers of the " +
                                         part + " were rounded to bf16");
}

bool Parts::load_through(std::unique_ptr<SlabFile> slabs, Stage stage,
                         const LayerPlacement& placement) {
  if (!slabs) return false;
  PartWeights& files = *files_[index(stage)];
  files.keep_slabs(std::move(slabs));
  try {
    make(loaded_, stage, backend_, placement);
    SlabFile* const file = files.tensors().slabs();
    if (file != nullptr && !file->is_written()) {
      file->finish();
      tell_rounded(stage);
    }
    return true;
  } catch (const Error& error) {
    release(stage);
    files.keep_slabs(nullptr);
    if (error.code() == ErrorCode::Cancelled) throw;
    log(LogLevel::Warning, std::string("weights cache: ") + error.what());
    return false;
  }
}

void Parts::release(Stage stage) {
  switch (stage) {
    case Stage::EncodeImage: loaded_.vae_encoder.reset(); return;
    case Stage::EncodePrompt: loaded_.text_encoder.reset(); return;
    case Stage::Denoise: loaded_.transformer.reset(); return;
    case Stage::Decode: loaded_.vae.reset(); return;
  }
}

}  // namespace zimage
