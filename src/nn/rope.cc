// Angles, cosines and sines.
#include "nn/rope.h"

#include <cmath>
#include <map>

namespace zimage {
namespace {

void push_angle(std::vector<float>& table, float angle) {
  table.push_back(static_cast<float>(std::cos(static_cast<double>(angle))));
  table.push_back(static_cast<float>(std::sin(static_cast<double>(angle))));
}

// theta^(-2i / dim)
double frequency(double theta, std::int64_t pair, std::int64_t dim) {
  return 1.0 / std::pow(theta, static_cast<double>(2 * pair) / static_cast<double>(dim));
}

}  // namespace

std::vector<float> axial_rope_table(std::span<const Position> positions,
                                    std::span<const std::int64_t> axes_dims, double theta) {
  // Tokens share their frames, rows and columns, so each place on an axis is computed once.
  std::vector<std::map<std::int64_t, std::vector<float>>> places(axes_dims.size());
  std::vector<float> table;
  for (const Position& position : positions) {
    for (std::size_t axis = 0; axis < axes_dims.size(); ++axis) {
      std::vector<float>& place = places[axis][position[axis]];
      if (place.empty()) {
        for (std::int64_t pair = 0; pair < axes_dims[axis] / 2; ++pair) {
          const double angle =
              static_cast<double>(position[axis]) * frequency(theta, pair, axes_dims[axis]);
          push_angle(place, static_cast<float>(angle));
        }
      }
      table.insert(table.end(), place.begin(), place.end());
    }
  }
  return table;
}

std::vector<float> rope_table(std::int64_t rows, std::int64_t head_dim, double theta) {
  std::vector<float> table;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t pair = 0; pair < head_dim / 2; ++pair) {
      push_angle(table,
                 static_cast<float>(row) * static_cast<float>(frequency(theta, pair, head_dim)));
    }
  }
  return table;
}

}  // namespace zimage
