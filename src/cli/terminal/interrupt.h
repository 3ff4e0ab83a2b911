// SIGINT, SIGTERM and SIGHUP -> a stop_token. The first asks for an orderly end, the second ends
// the process at once.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/error.h"

namespace zimage::cli {

class Interrupt {
 public:
  Interrupt() = default;
  // Stops waiting. The signals stay blocked: one that comes after the work is done must not make a
  // success look like a failure.
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // From here on the signals are blocked in the calling thread, and in the threads that it makes
  // later, and one thread waits for them; before, they end the process as usual. A signal that is
  // ignored (a background job's SIGINT) stays ignored. `before_exit` runs on the waiting thread
  // before the second signal ends the process; it must not wait for other threads for long. Called
  // at most once.
  void watch(std::function<void()> before_exit);

  // Of the work that begins now: it hears of signals until the next renew().
  std::stop_token token() const;
  // Throws Cancelled after a signal.
  void throw_if_stopped() const {
    if (token().stop_requested()) throw Error(ErrorCode::Cancelled, "interrupted");
  }
  // The signal that came first; 0 when none did.
  int signal() const { return signal_; }
  // Forgets a signal that came, when what it stopped has ended and the program goes on: the next is
  // a first one again. Tokens from before stay stopped.
  void renew();

 private:
  void stop_running(int signal);
  void wait(const std::function<void()>& before_exit);

  mutable std::mutex mutex_;
  std::stop_source stop_;  // guarded by mutex_
  std::atomic<int> signal_{0};
  std::atomic<bool> done_{false};
  int wake_signal_ = 0;  // one of those that the thread waits for
  sigset_t signals_{};
  std::thread thread_;
};

}  // namespace zimage::cli
