// A model's configuration and where its weights come from: a checkpoint, or random numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "nn/random_source.h"
#include "nn/tensor_source.h"
#include "pipeline/pipeline.h"
#include "scheduler/flow_match.h"
#include "text_encoder/qwen3.h"
#include "tokenizer/tokenizer.h"
#include "transformer/config.h"
#include "vae/vae.h"

namespace zimage {

// The weights of one part. Owns the mapped files behind `tensors`.
class PartWeights {
 public:
  explicit PartWeights(CheckpointPart part) : part_(std::move(part)), checkpoint_(*part_) {}
  PartWeights() = default;  // random numbers

  TensorSource& tensors() {
    return checkpoint_ ? static_cast<TensorSource&>(*checkpoint_) : random_;
  }
  // Null for random numbers.
  const CheckpointPart* part() const { return part_ ? &*part_ : nullptr; }
  // CheckpointSource's; without effect on random numbers.
  void preload() {
    if (checkpoint_) checkpoint_->preload();
  }
  void narrow() {
    if (checkpoint_) checkpoint_->narrow();
  }
  std::int64_t take_rounded() { return checkpoint_ ? checkpoint_->take_rounded() : 0; }
  void keep_slabs(std::unique_ptr<SlabFile> file) {
    if (checkpoint_) checkpoint_->keep_slabs(std::move(file));
  }
  // Throws InvalidFile when the files hold tensors that the network did not ask for.
  void throw_if_unused() const {
    if (checkpoint_) checkpoint_->throw_if_unused();
  }

 private:
  std::optional<CheckpointPart> part_;
  std::optional<CheckpointSource> checkpoint_;
  RandomSource random_;
};

// Prompt tokens, cut to the model's limit.
struct PromptTokens {
  std::vector<std::int32_t> ids;
  std::int64_t dropped = 0;
};

class Model {
 public:
  // Reads every configuration file and the tokenizer. Throws NotFound, InvalidFile, Unsupported.
  explicit Model(const PipelineOptions& options);

  const Qwen3Config& text_encoder() const { return text_encoder_; }
  const TransformerConfig& transformer() const { return transformer_; }
  const VaeConfig& vae() const { return vae_; }
  const SchedulerConfig& scheduler() const { return scheduler_; }

  // `name` is "transformer", "text_encoder" or "vae".
  std::unique_ptr<PartWeights> open(std::string_view name) const;

  // Template and tokenizer; the first 512 ids, as the reference keeps them. Without a tokenizer
  // (random weights), as many arbitrary ids as the options ask for.
  PromptTokens tokenize(std::string_view prompt) const;

  // Pixel sizes are multiples of this.
  std::int64_t size_multiple() const { return vae_.scale() * transformer_.patch; }

 private:
  void check_fit() const;

  std::filesystem::path folder_;
  std::optional<Checkpoint> checkpoint_;  // absent for random weights
  std::int64_t random_tokens_ = 0;
  std::optional<Tokenizer> tokenizer_;
  Qwen3Config text_encoder_;
  TransformerConfig transformer_;
  VaeConfig vae_;
  SchedulerConfig scheduler_;
};

}  // namespace zimage
