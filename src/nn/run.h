// What every forward pass takes: where it computes, where its activations live, and who may stop
// it.
#pragma once

#include <stop_token>

#include "backend/backend.h"
#include "base/arena.h"
#include "base/error.h"

namespace zimage {

// Throws Cancelled.
inline void throw_if_stopped(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "stopped on request");
}

struct Run {
  Backend& backend;
  Arena& arena;
  std::stop_token stop = {};

  // Called between blocks. Throws Cancelled.
  void throw_if_stopped() const { zimage::throw_if_stopped(stop); }
};

}  // namespace zimage
