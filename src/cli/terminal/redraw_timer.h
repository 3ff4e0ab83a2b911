// When a line that changes all the time is drawn again.
#pragma once

#include <chrono>

namespace zimage::cli {

class RedrawTimer {
 public:
  // Since this was made.
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  // True at the first call, and then every tenth of a second.
  bool is_due() {
    const double now = seconds();
    if (now - drawn_ < kInterval) return false;
    drawn_ = now;
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double kInterval = 0.1;  // seconds

  Clock::time_point start_ = Clock::now();
  double drawn_ = -kInterval;
};

}  // namespace zimage::cli
