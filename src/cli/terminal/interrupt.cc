// One thread in sigwait: no code runs inside a signal handler.
#include "cli/terminal/interrupt.h"

#include <unistd.h>

#include <utility>

namespace zimage::cli {
namespace {

bool is_ignored(int signal) {
  struct sigaction action{};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

void Interrupt::watch(std::function<void()> before_exit) {
  sigemptyset(&signals_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (is_ignored(signal)) continue;
    sigaddset(&signals_, signal);
    wake_signal_ = signal;
  }
  if (wake_signal_ == 0) return;
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  thread_ = std::thread([this, before_exit = std::move(before_exit)] { wait(before_exit); });
}

Interrupt::~Interrupt() {
  if (!thread_.joinable()) return;
  done_ = true;
  pthread_kill(thread_.native_handle(), wake_signal_);
  thread_.join();
}

std::stop_token Interrupt::token() const {
  const std::lock_guard lock(mutex_);
  return stop_.get_token();
}

void Interrupt::renew() {
  const std::lock_guard lock(mutex_);
  if (signal_ == 0) return;
  stop_ = std::stop_source();
  signal_ = 0;
}

void Interrupt::stop_running(int signal) {
  std::unique_lock lock(mutex_);
  signal_ = signal;
  const std::stop_source running = stop_;
  lock.unlock();
  // What waits for the token runs here, and may look at this object.
  running.request_stop();
}

void Interrupt::wait(const std::function<void()>& before_exit) {
  for (;;) {
    int signal = 0;
    if (sigwait(&signals_, &signal) != 0 || done_) return;
    if (signal_ != 0) {
      before_exit();
      _exit(128 + signal_);
    }
    stop_running(signal);
  }
}

}  // namespace zimage::cli
