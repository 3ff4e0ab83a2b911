"""Parts as single files in every spelling of their names: the same weights, so the same picture."""

import json

from program import MODEL, ProgramTest, main, pixels
from tiny_files import (
    bfl,
    config_of,
    llama,
    llama_facts,
    native,
    read_part,
    text_encoder_in_checkpoint,
    vocabulary_facts,
    write_gguf,
    write_safetensors,
)


class Files(ProgramTest):
    def picture(self, *arguments):
        result = self.generate("--seed", "7", "-o", "-", *arguments, prompt="a red 苹果, 12 <think>")
        return pixels(result.stdout)

    def expect_same(self, *arguments):
        self.assertEqual(self.picture(*arguments), self.picture("-m", str(MODEL)))

    def test_native_names_with_and_without_prefix(self):
        transformer = read_part("transformer")
        for prefix in ("", "model.diffusion_model."):
            write_safetensors(self.folder / "dit.safetensors", native(transformer, prefix))
            self.expect_same("-m", str(MODEL), "--transformer", "dit.safetensors")

    def test_black_forest_labs_names(self):
        write_safetensors(self.folder / "ae.safetensors", bfl(read_part("vae")))
        self.expect_same("-m", str(MODEL), "--vae", "ae.safetensors")

    def test_gguf_transformer(self):
        write_gguf(self.folder / "dit.gguf", native(read_part("transformer")), {"general.architecture": "lumina2"})
        self.expect_same("-m", str(MODEL), "--transformer", "dit.gguf")

    def test_llama_text_encoder_brings_its_tokenizer(self):
        facts = llama_facts() | vocabulary_facts()
        write_gguf(self.folder / "te.gguf", llama(read_part("text_encoder")), facts)
        self.expect_same("-m", str(MODEL), "--text-encoder", "te.gguf")
        result = self.run_program("info", "--json", "-m", str(MODEL), "--text-encoder", "te.gguf")
        files = [part["files"] for part in json.loads(result.stdout)["parts"] if part["name"] == "tokenizer"]
        self.assertEqual([entry["name"] for entry in files[0]], ["te.gguf"])

    def test_files_alone_without_a_folder(self):
        write_safetensors(self.folder / "dit.safetensors", native(read_part("transformer")), {"config": config_of("transformer")})
        write_safetensors(self.folder / "ae.safetensors", bfl(read_part("vae")), {"config": config_of("vae")})
        write_gguf(self.folder / "te.gguf", llama(read_part("text_encoder")), llama_facts())
        files = ["--transformer", "dit.safetensors", "--vae", "ae.safetensors", "--text-encoder", "te.gguf"]
        self.expect_same(*files, "--tokenizer", str(MODEL / "tokenizer"))
        result = self.run_program("generate", "-p", "x", *files)
        self.assert_fails(result, 1, "te.gguf: holds no tokenizer", "--tokenizer", "zimage pull")

    def test_one_file_holds_all_parts(self):
        tensors = native(read_part("transformer"), "model.diffusion_model.")
        tensors |= bfl(read_part("vae"), "first_stage_model.")
        tensors |= text_encoder_in_checkpoint(read_part("text_encoder"))
        write_safetensors(self.folder / "all.safetensors", tensors)
        self.expect_same("-m", str(MODEL), "--transformer", "all.safetensors", "--text-encoder", "all.safetensors",
                         "--vae", "all.safetensors")
        config = {part: json.loads(config_of(part)) for part in ("transformer", "text_encoder", "vae")}
        write_safetensors(self.folder / "all.safetensors", tensors, {"config": json.dumps(config)})
        self.expect_same("-m", "all.safetensors", "--tokenizer", str(MODEL / "tokenizer"))

    def test_a_file_of_one_part_is_no_model(self):
        write_safetensors(self.folder / "dit.safetensors", native(read_part("transformer")), {"config": config_of("transformer")})
        result = self.run_program("generate", "-p", "x", "-m", "dit.safetensors")
        self.assert_fails(result, 2, "dit.safetensors", "the text encoder (--text-encoder), the autoencoder (--vae)")
        result = self.run_program("generate", "-p", "x", "-m", "dit.safetensors", "--revision", "main")
        self.assert_fails(result, 2, "--revision", "is a file")
        (self.folder / "notes.txt").write_text("nothing")
        result = self.run_program("generate", "-p", "x", "-m", "notes.txt")
        self.assert_fails(result, 1, "notes.txt", "holds no part that can be read")

    def test_pickles_are_refused_under_any_name(self):
        for name, data in (("x.ckpt", b""), ("x.safetensors", b"PK\x03\x04" + bytes(30)), ("y.gguf", b"\x80\x02}q\x01" + bytes(9))):
            (self.folder / name).write_bytes(data)
            for arguments in (("-m", str(MODEL), "--transformer", name), ("-m", name)):
                result = self.run_program("generate", "-p", "x", *arguments)
                self.assert_fails(result, 1, name, "is a pickle")

    def test_refusals_name_the_file(self):
        write_safetensors(self.folder / "ae.safetensors", bfl(read_part("vae"), "vae."))
        (self.folder / "bad.gguf").write_bytes(b"GGUF\x03\0\0\0" + bytes(range(16)))
        for option, name, finding in (
            ("--transformer", "ae.safetensors", "holds no tensor of the transformer"),
            ("--transformer", "bad.gguf", "tensors, expected at most"),
            ("--vae", "none.safetensors", "No such file"),
        ):
            result = self.run_program("generate", "-p", "x", "-m", str(MODEL), option, name)
            self.assert_fails(result, 1, name, finding)


if __name__ == "__main__":
    main()
