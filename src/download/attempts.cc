// Decides by the status whether another attempt can help.
#include "download/attempts.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace zimage::download {
namespace {

constexpr double kFirstWait = 0.25;
constexpr double kLongestWait = 16;
// Who is told to come back later than this is better served by an error.
constexpr double kLongestRetryAfter = 300;

constexpr std::array<int, 8> kPassing = {408, 425, 429, 500, 502, 503, 504, 524};

void sleep(double seconds, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any condition;
  std::unique_lock lock(mutex);
  condition.wait_for(lock, stop, std::chrono::duration<double>(seconds), [] { return false; });
  if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "interrupted");
}

}  // namespace

std::string describe(const HttpResponse& response) {
  if (response.status < 400 && !response.failure.empty()) return response.failure;
  std::string text = "HTTP " + std::to_string(response.status);
  if (!response.reason.empty()) text += " (" + response.reason + ")";
  return text;
}

Attempts::Attempts(std::string what, int retries, std::stop_token stop)
    : what_(std::move(what)), retries_(retries), stop_(std::move(stop)) {}

void Attempts::wait_after(const HttpResponse& response) {
  const bool passes = response.status >= 400
                          ? std::ranges::find(kPassing, response.status) != kPassing.end()
                          : !response.failure.empty() && !response.is_final;
  if (!passes) {
    throw HttpError(what_ + ": " + describe(response), response.status);
  }
  const double least = response.retry_after.value_or(0);
  if (least > kLongestRetryAfter) {
    throw Error(ErrorCode::Io, what_ + ": " + describe(response) + ", to be tried again in " +
                                   std::to_string(std::llround(least)) + " s");
  }
  wait(describe(response), least);
}

void Attempts::wait_after(const std::string& problem) {
  wait(problem, 0);
}

void Attempts::wait(const std::string& problem, double least_seconds) {
  if (used_ == retries_) {
    const std::string count =
        retries_ == 0 ? "" : ", after " + std::to_string(retries_ + 1) + " attempts";
    throw Error(ErrorCode::Io, what_ + ": " + problem + count);
  }
  const double seconds =
      std::max(least_seconds, std::min(kLongestWait, std::ldexp(kFirstWait, used_)));
  ++used_;
  log(LogLevel::Info, what_ + ": " + problem + "; the next attempt follows");
  sleep(seconds, stop_);
}

}  // namespace zimage::download
