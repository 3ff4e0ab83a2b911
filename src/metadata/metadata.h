// What a picture says about how it was drawn.
#pragma once

#include <string>

#include "base/json_line.h"
#include "image/image.h"
#include "pipeline/pipeline.h"

namespace zimage {

// A file that a drawing began from.
struct SourceFile {
  std::string name;    // without its folder; empty: none
  std::string sha256;  // of its bytes
};
// {"file": ..., "sha256": ...}.
OrderedJson file_json(const SourceFile& file);
struct SourceFiles {
  SourceFile init_image = {};
  SourceFile mask = {};
};

// How one picture came to be.
struct Provenance {
  Request request;                  // with every default filled in
  std::int64_t index = 0;           // of the picture among request.count
  std::string model;                // its name
  std::string device;               // Pipeline::device_description()
  std::string precision = "auto";   // PipelineOptions::precision
  std::string encoding = "auto";    // PipelineOptions::encoding
  std::string cpu_kernel = "best";  // PipelineOptions::cpu_kernel
  SourceFiles sources = {};
};

// "cpu" or "cuda".
const char* name_of(RngKind rng);

// The text that AUTOMATIC1111's web UI writes and that most readers of AI pictures understand: the
// prompt, then one line of "Name: value" pairs. Source: stable-diffusion-webui,
// modules/infotext_utils.py.
std::string a1111_parameters(const Provenance& provenance);

// How it was sampled: steps, sampler, strength, guidance and, where the request has them, its noise
// levels and shift; with guidance also what that depends on.
OrderedJson sampling_json(const Request& request);

// {"program": ..., "version": ..., "prompt": ..., ...}: every field that decides what is drawn, and
// what drew it, in one line.
std::string request_json(const Provenance& provenance);

// Both, as the text chunks "parameters" and "zimage".
ImageText metadata(const Provenance& provenance);

}  // namespace zimage
