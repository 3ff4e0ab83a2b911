// The networks of a model on one backend: measured without memory, loaded when their stage
// begins, released when it has ended.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <vector>

#include "backend/plan/plan_backend.h"
#include "pipeline/drawing.h"
#include "pipeline/model.h"
#include "pipeline/weights_cache.h"

namespace zimage {

// What loading a part takes.
struct PartSize {
  std::size_t weights = 0;  // bytes on the backend
  // Bytes beyond its weights while it loads whole, and while a streamed block does: what is read of
  // its files, or of what stands for them, and widened numbers.
  std::size_t loading = 0;
  std::size_t streaming = 0;
  std::vector<std::size_t> layers;  // bytes of each block that can be streamed
  std::int64_t slots = 1;           // that streamed blocks share

  // Bytes on the backend with `resident` of the layers loaded and slots for the others.
  std::size_t weights_with(std::int64_t resident) const;
  // Bytes of the others.
  std::size_t streamed_with(std::int64_t resident) const;
};

// How parts are loaded.
struct PartOptions {
  Encoding encoding = Encoding::Plain;  // of the transformer's matrices
  LoadMode load = LoadMode::Map;
  WeightType weights = WeightType::Stored;
  std::filesystem::path weights_cache;  // empty: none
};

class Parts {
 public:
  // Both must outlive this.
  Parts(const Model& model, Backend& backend, const PartOptions& options);

  // The three networks of every request on planner(). The first call opens the model's files;
  // throws what reading them throws, and InvalidFile when a part holds tensors that no network asks
  // for.
  const Networks& planned();
  // The same with the image encoder, which a request without a picture does not need: throws as
  // well where the model has none.
  const Networks& planned_with_encoder();
  PlanBackend& planner() { return plan_backend_; }
  // Known once planned() has been called.
  const PartSize& size(Stage stage) const { return sizes_[index(stage)]; }

  // Only what is loaded is present.
  const Networks& loaded() const { return loaded_; }
  bool is_loaded(Stage stage) const;
  // Loads the network of a stage, if it is not loaded with as many blocks streamed; waits until it
  // is there. The backend is left with the encoding of the stage's matrices. Copies of streamed
  // blocks in host memory stay when their network is released. Throws Cancelled between blocks
  // when `stop` asks; nothing of the stage is loaded then.
  void load(Stage stage, std::int64_t streamed, const std::stop_token& stop);
  void release(Stage stage);

 private:
  static constexpr std::size_t index(Stage stage) { return static_cast<std::size_t>(stage); }
  Encoding encoding_of(Stage stage) const;
  // Whether the stage's network comes from a weights cache. Precondition: its files are open.
  bool is_cached(Stage stage) const;
  // Opens the files of a stage's network and makes that on planner().
  void measure(Stage stage);
  void make(Networks& networks, Stage stage, Backend& backend, const LayerPlacement& placement);
  template <typename Block>
  std::size_t source_of_block(const LayerStore<Block>& layers);
  void tell_rounded(Stage stage) const;
  // Loads the network through its file of slabs, `slabs`; false, with a sentence in the log, where
  // the file proves to be of no use or cannot be written.
  bool load_through(std::unique_ptr<SlabFile> slabs, Stage stage, const LayerPlacement& placement);

  const Model& model_;
  Backend& backend_;
  PlanBackend plan_backend_;
  PartOptions options_;
  WeightsCache cache_;
  std::array<std::unique_ptr<PartWeights>, kStageCount> files_;  // networks view them
  std::array<std::unique_ptr<HostSlabs>, kStageCount>
      copies_;  // and streamed blocks are fetched from these
  std::array<PartSize, kStageCount> sizes_;
  std::array<std::int64_t, kStageCount> streamed_{};  // blocks of each loaded network
  Networks planned_;
  Networks loaded_;
};

}  // namespace zimage
