// The tokenizer of a model whose files hold none.
#pragma once

#include <filesystem>

#include "pipeline/locate_model.h"

namespace zimage {

// The file that `location` lacks; empty when it lacks none: one was given, its folder has it, or
// its text encoder is a GGUF file with a vocabulary. Else the published model's, out of the caches
// that `query` looks into; it is logged. Throws NotFound when they hold none either, unless the
// folder lacks more than that.
std::filesystem::path find_tokenizer(const ModelLocation& location, const ModelQuery& query);

}  // namespace zimage
