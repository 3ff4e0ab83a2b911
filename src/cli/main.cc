// The program: arguments in, exit code out. The only place that catches errors.
#include <signal.h>

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "cli/bench.h"
#include "cli/convert.h"
#include "cli/generate.h"
#include "cli/info.h"
#include "cli/models.h"
#include "cli/options/options.h"
#include "cli/plan.h"
#include "cli/pull.h"
#include "cli/repl.h"
#include "cli/show_metadata.h"
#include "cli/terminal/console.h"
#include "cli/terminal/descriptors.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/terminal_query.h"
#include "cli/verify.h"

namespace {

using zimage::ErrorCode;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kDamaged = 3;
constexpr int kSignalled = 128;

struct Runner {
  zimage::cli::Interrupt& interrupt;

  // The exit code.
  int operator()(const zimage::cli::ShowText& show) const {
    zimage::cli::print_to_stdout(show.text);
    return 0;
  }
  int operator()(const zimage::cli::GenerateOptions& options) const {
    return zimage::cli::generate(options, interrupt);
  }
  int operator()(const zimage::cli::ReplOptions& options) const {
    return zimage::cli::repl(options, interrupt);
  }
  int operator()(const zimage::cli::InfoOptions& options) const {
    zimage::cli::info(options);
    return 0;
  }
  int operator()(const zimage::cli::BenchOptions& options) const {
    zimage::cli::bench(options);
    return 0;
  }
  int operator()(const zimage::cli::ModelsOptions& options) const {
    zimage::cli::models(options);
    return 0;
  }
  int operator()(const zimage::cli::VerifyOptions& options) const {
    return zimage::cli::verify(options, interrupt) ? 0 : kDamaged;
  }
  int operator()(const zimage::cli::PullOptions& options) const {
    zimage::cli::pull(options, interrupt);
    return 0;
  }
  int operator()(const zimage::cli::ConvertOptions& options) const {
    zimage::cli::convert(options, interrupt);
    return 0;
  }
  int operator()(const zimage::cli::ShowMetadataOptions& options) const {
    zimage::cli::show_metadata(options);
    return 0;
  }
  int operator()(const zimage::cli::PlanOptions& options) const {
    zimage::cli::plan(options);
    return 0;
  }
};

void complain(const std::string& message) {
  std::fprintf(stderr, "zimage: %s\n", zimage::cli::without_controls(message).c_str());
}

// The exit code.
int run(int argc, char** argv) {
  zimage::cli::Interrupt interrupt;
  const char* interrupted = "interrupted";
  try {
    const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    const zimage::cli::Command command = zimage::cli::parse_arguments(arguments);
    if (const auto* generate = std::get_if<zimage::cli::GenerateOptions>(&command)) {
      interrupted = generate->draw.count == 1
                        ? "interrupted; no picture was written"
                        : "interrupted; no picture was written but those whose path was printed";
      if (generate->is_job()) interrupted = nullptr;  // the error says more
    } else if (std::holds_alternative<zimage::cli::ReplOptions>(command)) {
      interrupted = "interrupted; no picture was written but those whose path was printed";
    } else if (std::holds_alternative<zimage::cli::ConvertOptions>(command)) {
      interrupted = "interrupted; nothing was written";
    } else if (std::holds_alternative<zimage::cli::PullOptions>(command)) {
      interrupted = "interrupted; what came is kept, and the same command goes on from there";
    }
    return std::visit(Runner{interrupt}, command);
  } catch (const zimage::Error& error) {
    if (error.code() == ErrorCode::Cancelled && interrupt.signal() != 0) {
      complain(interrupted != nullptr ? interrupted : error.what());
      return kSignalled + interrupt.signal();
    }
    complain(error.what());
    return error.code() == ErrorCode::InvalidArgument ? kUsage : kFailed;
  } catch (const std::bad_alloc&) {
    complain("out of memory");
  } catch (const std::exception& error) {
    complain(std::string("internal error: ") + error.what());
  }
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  zimage::cli::fill_standard_descriptors();
  // A file-size limit then shows as an error of write(), like a full disk.
  signal(SIGXFSZ, SIG_IGN);
  const int code = run(argc, argv);
  zimage::cli::drop_late_answer();  // the shell would take it for input
  return code;
}
