// The process-wide log sink.
#include "base/log.h"

#include <mutex>
#include <utility>

namespace zimage {
namespace {

std::mutex g_mutex;
LogSink g_sink;  // guarded by g_mutex

}  // namespace

void set_log_sink(LogSink sink) {
  const std::lock_guard lock(g_mutex);
  g_sink = std::move(sink);
}

void log(LogLevel level, std::string_view message) {
  const std::lock_guard lock(g_mutex);
  if (g_sink) g_sink(level, message);
}

}  // namespace zimage
