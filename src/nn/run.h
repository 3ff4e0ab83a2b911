// What every forward pass takes: where it computes, where its activations live, and who may stop
// it.
#pragma once

#include <functional>
#include <stop_token>
#include <string_view>

#include "backend/backend.h"
#include "base/arena.h"
#include "base/error.h"

namespace zimage {

// Receives named intermediate tensors in the backend's memory, for tests that compare them.
using Tap = std::function<void(std::string_view name, const Tensor& value)>;

struct Run {
  Backend& backend;
  Arena& arena;
  std::stop_token stop = {};
  const Tap* tap = nullptr;

  // Called between blocks. Throws Cancelled.
  void throw_if_stopped() const {
    if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "stopped on request");
  }

  void report(std::string_view name, const Tensor& value) const {
    if (tap != nullptr) (*tap)(name, value);
  }
};

}  // namespace zimage
