// The rows of a tensor, shared out among threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/host_tensor.h"

namespace zimage {

// Calls body(first, last) on ranges that cover the rows of `tensor`, each on its own thread: at
// most `threads`, and none for fewer than `numbers_per_thread` numbers. Returns when all have
// ended. `body` must not throw.
template <typename Body>
void for_row_ranges(const HostTensor& tensor, std::int64_t threads, std::int64_t numbers_per_thread,
                    const Body& body) {
  const std::int64_t rows = tensor.row_count();
  const std::int64_t parts =
      std::max<std::int64_t>(std::min({rows, tensor.elements() / numbers_per_thread, threads}), 1);
  std::vector<std::jthread> others;
  for (std::int64_t i = 1; i < parts; ++i) {
    others.emplace_back(
        [&body, rows, parts, i] { body(rows * i / parts, rows * (i + 1) / parts); });
  }
  body(0, rows / parts);
}

}  // namespace zimage
