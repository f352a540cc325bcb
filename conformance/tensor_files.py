"""Writes crates/collimate-tensors/tests/fixtures.

Files of tensors as safetensors and torch write them, the index of shards as transformers writes it,
and the hashes of torch's conversions between f32 and the two halves. safetensors 0.8.0, torch 2.15.0,
transformers 5.23.0:

    python conformance/tensor_files.py
"""

import hashlib
import json
import pathlib
import struct
import tempfile
import zipfile

import torch
import transformers
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-tensors/tests/fixtures"


def main():
    OUT.mkdir(exist_ok=True)
    torch.manual_seed(0)
    tensors = mixed()
    save_file(tensors, OUT / "mixed.safetensors", metadata={"format": "pt"})
    checkpoints(tensors)
    lines = ",\n".join(json.dumps(case) for case in shards())
    (OUT / "shards.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    (OUT / "casts.json").write_text(json.dumps(casts(), indent=1) + "\n", encoding="utf-8")


def mixed():
    """Tensors of many types, not in the order in which they are written."""
    numbers = torch.arange(24)
    return {
        "z.half": torch.randn(2, 3).half(),
        "a.bfloat": torch.randn(3, 2, 2).bfloat16(),
        "b.float": torch.randn(5),
        "b.double": torch.randn(2, 2, dtype=torch.float64),
        'quote " and é': numbers.to(torch.uint8).reshape(4, 6),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 7),
        "mask": numbers % 3 == 0,
        "long": numbers - 12,
        "int": (numbers - 12).to(torch.int32),
    }


def checkpoints(tensors):
    """The same tensors as PyTorch saves them; some are views with strides or an offset."""
    views = dict(tensors)
    views["a.bfloat"] = tensors["a.bfloat"].permute(2, 1, 0).contiguous().permute(2, 1, 0)
    views["b.float"] = torch.cat([torch.zeros(3), tensors["b.float"], torch.zeros(2)])[3:8]
    views["long"] = torch.stack([tensors["long"], tensors["long"]], dim=1)[:, 1]
    for name, view in views.items():
        assert torch.equal(view, tensors[name])
    torch.save(views, OUT / "archive.bin")
    torch.save(views, OUT / "legacy.bin", _use_new_zipfile_serialization=False)
    with (
        zipfile.ZipFile(OUT / "archive.bin") as stored,
        zipfile.ZipFile(OUT / "deflated.bin", "w") as deflated,
    ):
        for entry in stored.infolist():
            kind = zipfile.ZIP_DEFLATED if "/data/" in entry.filename else zipfile.ZIP_STORED
            copy = zipfile.ZipInfo(entry.filename)
            deflated.writestr(copy, stored.read(entry), kind)


def shards():
    """State dictionaries in their order, and the files and index that they are saved as."""
    config = transformers.LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=40,
        tie_word_embeddings=False,
    )
    model = transformers.LlamaForCausalLM(config).bfloat16()
    cases = []
    for limit in [100_000, 4_000, 1_200, 600]:
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder, max_shard_size=limit)
            folder = pathlib.Path(folder)
            index = folder / "model.safetensors.index.json"
            cases.append(
                case(
                    model.state_dict(),
                    limit,
                    index.read_text(encoding="utf-8") if index.exists() else None,
                    {path.name: header(path) for path in folder.glob("*.safetensors")},
                )
            )
    # Names and sizes that no model has: larger than a file, and not ASCII.
    state = {f"t{number}": torch.zeros(size) for number, size in enumerate([6, 60, 2, 60, 20, 2])}
    state['é"\\\x7f\t\U0001f600'] = torch.zeros(1, dtype=torch.int8)
    split = split_torch_state_dict_into_shards(state, max_shard_size=100)
    total = sum(tensor.numel() for tensor in state.values())
    index = {
        "metadata": {"total_parameters": total, **split.metadata},
        "weight_map": split.tensor_to_filename,
    }
    with tempfile.TemporaryDirectory() as folder:
        headers = {}
        for file, names in split.filename_to_tensors.items():
            path = pathlib.Path(folder) / file
            save_file({name: state[name] for name in names}, path, metadata={"format": "pt"})
            headers[file] = header(path)
    text = json.dumps(index, indent=2, sort_keys=True) + "\n"
    cases.append(case(state, 100, text, headers))
    return cases


def case(state, limit, index, headers):
    names = {torch.bfloat16: "BF16", torch.float32: "F32", torch.int8: "I8"}
    tensors = [[name, names[t.dtype], list(t.shape)] for name, t in state.items()]
    headers = dict(sorted(headers.items()))
    return {"max_bytes": limit, "tensors": tensors, "index": index, "headers": headers}


def header(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return data[8 : 8 + length].decode()


def casts():
    """SHA-256 of what torch makes of every half, and of floats around every border between halves.

    NaN is hashed as one pattern: torch keeps of it what the machine's instructions keep.
    """
    patterns = torch.arange(65536, dtype=torch.int32)
    halves = (patterns - 65536 * (patterns > 32767)).to(torch.int16)
    low = torch.tensor(
        [0, 1, 0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x3001, 0x7FFF, 0x8000, 0x8001, 0xFFFF]
    )
    floats = ((patterns.long()[:, None] << 16) + low).flatten()
    floats = (floats - (1 << 32) * (floats > 0x7FFFFFFF)).to(torch.int32).view(torch.float32)
    hashes = {}
    for name, dtype, nan in [("F16", torch.float16, 0x7E00), ("BF16", torch.bfloat16, 0x7FC0)]:
        wide = halves.view(dtype).float()
        bits = wide.view(torch.int32)
        bits[wide.isnan()] = 0x7FC00000
        narrow = floats.to(dtype)
        short = narrow.view(torch.int16)
        short[narrow.isnan()] = nan
        hashes[name] = {"widened": sha256(bits), "narrowed": sha256(short)}
    return hashes


def sha256(tensor):
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


if __name__ == "__main__":
    main()
