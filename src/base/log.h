// Where the library's remarks go. The library itself never writes to stdout or stderr.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace zimage {

enum class LogLevel : std::uint8_t { Debug, Info, Warning };

// Receives each message once, without a trailing newline, possibly from several threads.
using LogSink = std::function<void(LogLevel, std::string_view)>;

// Replaces the process-wide sink; an empty function drops messages, which is the default. Call it
// before the first Pipeline is made.
void set_log_sink(LogSink sink);
void log(LogLevel level, std::string_view message);

}  // namespace zimage
