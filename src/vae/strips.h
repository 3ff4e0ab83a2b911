// Computing a map strip by strip where it does not fit in one piece, so that nothing but rounding
// tells it from one computed whole. A strip is as wide as the map and is computed of a window with
// as many rows beside it as convolutions see; what strips are normed by are the statistics of the
// whole map. These depend on all norms before, so they are measured one after the other, each in a
// pass over all windows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "nn/run.h"
#include "vae/blocks.h"
#include "vae/config.h"

namespace zimage {

// How the autoencoder computes what does not fit in one piece.
struct VaeStrips {
  std::int64_t rows = 0;  // of latents, in a strip of pixels; 0: in one piece
  // Between this many levels, the coarsest, maps are kept in one piece. The more, the less is
  // computed again for each norm.
  std::int64_t kept = 0;
};

namespace vae {

// Levels between two maps in one piece, counted from the latents: level 0 doubles their resolution.
struct Section {
  std::size_t first = 0;
  std::size_t end = 0;
  std::int64_t rows = 0;  // of the coarser of the two maps, in a strip

  std::int64_t scale() const { return std::int64_t{1} << (end - first); }  // between the two
};

// Of so many levels, the coarsest first: one more than maps are kept between. Coarser strips have
// as many more rows as take the same memory.
std::vector<Section> cut_into_sections(const VaeStrips& strips, std::size_t levels);

// Strips of a map and the windows that they are computed of: all of the same height, so that each
// is as much work.
class Windows {
 public:
  // Strips of `rows`, windows with `halo` rows more on either side, as far as there are.
  Windows(std::int64_t map_rows, std::int64_t rows, std::int64_t halo);

  std::int64_t count() const { return (map_rows_ + rows_ - 1) / rows_; }
  std::int64_t height() const { return height_; }
  // The first row of window i, and of its strip, in the map.
  std::int64_t begin(std::int64_t i) const;
  std::int64_t strip_begin(std::int64_t i) const { return i * rows_; }
  // Of the window's rows, those of the strip.
  MapRows strip(std::int64_t i) const;

 private:
  std::int64_t map_rows_;
  std::int64_t rows_;
  std::int64_t halo_;
  std::int64_t height_;
};

// Calls `pass` for each window, once for each of `norms` norms that it has, which end it where they
// are measured, and then once to its end.
void run_in_windows(const Run& run, const VaeConfig& config, const Windows& windows,
                    std::int64_t norms,
                    const std::function<void(std::int64_t window, Norms& norms)>& pass);

}  // namespace vae
}  // namespace zimage
