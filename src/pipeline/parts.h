// The three networks of a model on one backend: measured without memory, loaded when their stage
// begins, released when it has ended.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "backend/plan/plan_backend.h"
#include "pipeline/drawing.h"
#include "pipeline/model.h"

namespace zimage {

// What loading a part takes.
struct PartSize {
  std::size_t weights = 0;  // bytes on the backend
  std::size_t source = 0;   // bytes of its files, or of what stands for them, read at a time
};

class Parts {
 public:
  // Both must outlive this.
  Parts(const Model& model, Backend& backend, Encoding encoding);

  // Every network on planner(). The first call opens the model's files; throws what reading them
  // throws, and InvalidFile when a part holds tensors that no network asks for.
  const Networks& planned();
  PlanBackend& planner() { return plan_backend_; }
  // Known once planned() has been called.
  const PartSize& size(Stage stage) const { return sizes_[index(stage)]; }

  // Only what is loaded is present.
  const Networks& loaded() const { return loaded_; }
  bool is_loaded(Stage stage) const;
  // Bytes on the backend of what is loaded.
  std::size_t loaded_bytes() const;
  // Loads the network of a stage, if it is not; waits until it is there.
  void load(Stage stage);
  void release(Stage stage);

 private:
  static constexpr std::size_t index(Stage stage) { return static_cast<std::size_t>(stage); }
  void make(Networks& networks, Stage stage, Backend& backend);

  const Model& model_;
  Backend& backend_;
  PlanBackend plan_backend_;
  Encoding encoding_;                                  // of the transformer's matrices
  std::array<std::unique_ptr<PartWeights>, 3> files_;  // networks view them
  std::array<PartSize, 3> sizes_;
  Networks planned_;
  Networks loaded_;
};

}  // namespace zimage
