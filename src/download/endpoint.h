// The environment becomes a hub's address and the token for it.
#pragma once

#include <string>

#include "hub/cache_places.h"

namespace zimage::download {

struct Endpoint {
  hub::HubKind hub = hub::HubKind::HuggingFace;
  std::string url;           // without a slash at the end
  std::string token;         // empty: none
  std::string token_source;  // what gave it: "HF_TOKEN", a file; empty without a token
};

// Hugging Face: HF_ENDPOINT; HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file HF_TOKEN_PATH or
// $HF_HOME/token, unless HF_HUB_DISABLE_IMPLICIT_TOKEN. ModelScope: MODELSCOPE_ENDPOINT, then
// MODELSCOPE_DOMAIN; MODELSCOPE_API_TOKEN (what its client stores is a pickle, which is not
// opened). Throws InvalidArgument for an address that is no http URL, for a token that cannot be
// sent, and when HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids requests to Hugging Face.
// Source: huggingface_hub constants.py, utils/_auth.py; modelscope_hub config.py HubConfig.
Endpoint endpoint_of(hub::HubKind hub, const hub::Variables& variables);

}  // namespace zimage::download
