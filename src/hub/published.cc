// Sums that were published with the models.
#include <array>

#include "hub/records.h"

namespace zimage::hub {
namespace {

constexpr std::string_view kTurbo = "Tongyi-MAI/Z-Image-Turbo";
constexpr std::string_view kComfy = "Comfy-Org/z_image_turbo";

constexpr std::array kPublished = {
    PublishedFile{kTurbo, "model_index.json", DigestKind::Md5, "5e3226ed72a9a4a080f2a4ca78b98ddc"},
    PublishedFile{kTurbo, "scheduler/scheduler_config.json", DigestKind::Md5,
                  "ca682fcc6c5a94cf726b7187e64b9411"},
    PublishedFile{kTurbo, "text_encoder/config.json", DigestKind::Md5,
                  "1e97eb35d9d0b6aa60c58a8df8d7d99a"},
    PublishedFile{kTurbo, "text_encoder/model-00001-of-00003.safetensors", DigestKind::Md5,
                  "30b85686b9a9b002e012494fadc027cb"},
    PublishedFile{kTurbo, "text_encoder/model-00002-of-00003.safetensors", DigestKind::Md5,
                  "e6a24ea164404a01ad2800dbae4e1a13"},
    PublishedFile{kTurbo, "text_encoder/model-00003-of-00003.safetensors", DigestKind::Md5,
                  "09e190ed15ff14795b6277e023cfcb2d"},
    PublishedFile{kTurbo, "text_encoder/model.safetensors.index.json", DigestKind::Md5,
                  "589f5395156900f49d617aee8a8d8708"},
    PublishedFile{kTurbo, "tokenizer/tokenizer.json", DigestKind::Md5,
                  "6423133b9cc1a2077b57822c30c211aa"},
    PublishedFile{kTurbo, "tokenizer/tokenizer_config.json", DigestKind::Md5,
                  "b06e103ac555ec4b51266078b518c0f0"},
    PublishedFile{kTurbo, "transformer/config.json", DigestKind::Md5,
                  "baed87136fe5f848e24b072f99856cc3"},
    PublishedFile{kTurbo, "transformer/diffusion_pytorch_model-00001-of-00003.safetensors",
                  DigestKind::Md5, "54889d0dd179b4fa2fd7bd0e487d856e"},
    PublishedFile{kTurbo, "transformer/diffusion_pytorch_model-00002-of-00003.safetensors",
                  DigestKind::Md5, "fe81e804658d345323512c63224b0604"},
    PublishedFile{kTurbo, "transformer/diffusion_pytorch_model-00003-of-00003.safetensors",
                  DigestKind::Md5, "4e074e09129f98ad840414951f122feb"},
    PublishedFile{kTurbo, "transformer/diffusion_pytorch_model.safetensors.index.json",
                  DigestKind::Md5, "76d788eb0d42c59cc8f8ec007db639aa"},
    PublishedFile{kTurbo, "vae/config.json", DigestKind::Md5, "ba9e2980c8630b4abccc643bc9f4a542"},
    PublishedFile{kTurbo, "vae/diffusion_pytorch_model.safetensors", DigestKind::Md5,
                  "6f83de55cb720c7fae051b14528577bf"},
    PublishedFile{kTurbo, "transformer/config.json", DigestKind::Sha256,
                  "95facd593e2549e8252acb571c653d57f7ddb7f1060d4e81712f152555a88804"},
    PublishedFile{kTurbo, "transformer/diffusion_pytorch_model-00003-of-00003.safetensors",
                  DigestKind::Sha256,
                  "aba4e37a590e63210878160a718d916d80398f4e1f78ab6c9b2b2a00d92769fa"},
    PublishedFile{kTurbo, "vae/config.json", DigestKind::Sha256,
                  "f5b59a26851551b67ae1fe58d32e76486e1e812def4696a4bea97f16604d40a3"},
    PublishedFile{kComfy, "split_files/diffusion_models/z_image_turbo_bf16.safetensors",
                  DigestKind::Sha256,
                  "2407613050b809ffdff18a4ac99af83ea6b95443ecebdf80e064a79c825574a6"},
    PublishedFile{kComfy, "split_files/diffusion_models/z_image_turbo_int8_convrot.safetensors",
                  DigestKind::Sha256,
                  "6c671498573ac2f7a5501502ccce8d2b08ea6ca2f661c458e708f36b36edfc5a"},
    PublishedFile{kComfy, "split_files/vae/ae.safetensors", DigestKind::Sha256,
                  "afc8e28272cd15db3919bacdb6918ce9c1ed22e96cb12c4d5ed0fba823529e38"},
};

}  // namespace

std::span<const PublishedFile> published_files() {
  return kPublished;
}

}  // namespace zimage::hub
