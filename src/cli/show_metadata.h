// `zimage show-metadata`: a picture in, what it says about how it was drawn out.
#pragma once

#include <string>

#include "cli/options/options.h"
#include "metadata/read_metadata.h"

namespace zimage::cli {

// The table for people, each line ended: the file's own fields, and what of them means nothing
// here.
std::string metadata_table(const StoredMetadata& stored, const std::string& file);
// The same as one line of JSON, without a newline: "fields" as the file has them, and "request" as
// this program reads them.
std::string metadata_json(const StoredMetadata& stored, const std::string& file);

// Prints one of the two to standard output. Throws what read_metadata throws.
void show_metadata(const ShowMetadataOptions& options);

}  // namespace zimage::cli
