"""Writes crates/collimate-models/tests/fixtures/model_configs.json.

Configurations as transformers writes them, with the values that it reads back from them, and the
defaults of every family of causal language models that the description of a model relies on.
transformers 5.23.0; torch is not needed:

    python conformance/model_configs.py
"""

import dataclasses
import json
import logging
import pathlib

import transformers
from transformers.integrations.heterogeneity.configuration_utils import (
    AmbiguousGlobalPerLayerAttributeError,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-models/tests/fixtures/model_configs.json"
SIZES = {
    "vocab_size": 300,
    "hidden_size": 48,
    "intermediate_size": 100,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 70,
}
GPT = {"vocab_size": 300, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 70}


def read(config, name):
    """A value, nothing where there is none, or "other" where it differs between layers."""
    try:
        return getattr(config, name, None)
    except AmbiguousGlobalPerLayerAttributeError:
        return "other"


def key_value_heads(config):
    """As the attention of the model takes it from its configuration."""
    if config.model_type == "falcon":
        # FalconAttention in modeling_falcon.py
        if config.multi_query and not config.new_decoder_architecture:
            return 1
        return config.num_kv_heads
    return read(config, "num_key_value_heads") or config.num_attention_heads


def case(name, config):
    """Both forms that transformers writes."""
    for form, diff in (("short", True), ("full", False)):
        written = config.to_json_string(use_diff=diff)
        yield {"name": f"{name}, {form}", "config": written, "expected": values(config)}


def values(config):
    text = config.get_text_config()
    heads = text.num_attention_heads
    intermediate = ("intermediate_size", "ffn_hidden_size", "ffn_dim", "n_inner")
    context = ("max_position_embeddings", "max_seq_len")
    return {
        "name": config.architectures[0],
        "model_type": config.model_type,
        "layers": text.num_hidden_layers,
        "hidden_size": text.hidden_size,
        "intermediate_size": next((v for v in (read(text, n) for n in intermediate) if v), None),
        "attention_heads": heads,
        "key_value_heads": key_value_heads(text),
        "head_dim": read(text, "head_dim") or text.hidden_size // heads,
        "vocabulary": text.vocab_size,
        "context_length": next((v for v in (read(text, n) for n in context) if v), None),
        "dtype": str(config.dtype).removeprefix("torch."),
        "tied_embeddings": config.tie_word_embeddings,
    }


def cases():
    t = transformers

    def llama_like(config, name, **more):
        settings = SIZES | {"num_key_value_heads": 2} | more
        return config(architectures=[name], dtype="bfloat16", **settings)

    yield from case("Llama", llama_like(t.LlamaConfig, "LlamaForCausalLM"))
    plain = llama_like(t.LlamaConfig, "LlamaForCausalLM", num_key_value_heads=None)
    yield from case("Llama with as many key heads", plain)
    tied = llama_like(t.LlamaConfig, "LlamaForCausalLM", tie_word_embeddings=True, head_dim=16)
    yield from case("Llama, tied, wide heads", tied)
    yield from case("Mistral", llama_like(t.MistralConfig, "MistralForCausalLM"))
    yield from case("Qwen2", llama_like(t.Qwen2Config, "Qwen2ForCausalLM"))
    qwen3 = llama_like(t.Qwen3Config, "Qwen3ForCausalLM", head_dim=24)
    yield from case("Qwen3", qwen3)
    yield from case("Gemma", llama_like(t.GemmaConfig, "GemmaForCausalLM", head_dim=20))
    yield from case("Gemma2", llama_like(t.Gemma2Config, "Gemma2ForCausalLM", head_dim=20))
    gemma3 = llama_like(t.Gemma3TextConfig, "Gemma3ForCausalLM", head_dim=20)
    yield from case("Gemma3 text", gemma3)
    nested = t.Gemma3Config(
        text_config=SIZES | {"num_key_value_heads": 2, "head_dim": 20},
        vision_config={"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64},
        architectures=["Gemma3ForConditionalGeneration"],
        dtype="bfloat16",
    )
    yield from case("Gemma3", nested)
    # As transformers 4.50 wrote it: what equals the default of the class is left out.
    sparse = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "text_config": {"model_type": "gemma3_text", "hidden_size": 3840, "num_attention_heads": 16},
        "torch_dtype": "bfloat16",
    }
    expected = values(t.Gemma3Config.from_dict(sparse))
    unstated = ("layers", "intermediate_size", "vocabulary", "context_length")
    expected |= {name: None for name in unstated}
    yield {"name": "Gemma3, sparse", "config": json.dumps(sparse), "expected": expected}
    yield from case("Phi3", llama_like(t.Phi3Config, "Phi3ForCausalLM", pad_token_id=0))
    gpt2 = {"architectures": ["GPT2LMHeadModel"], "dtype": "float32"}
    yield from case("GPT-2", t.GPT2Config(**GPT, **gpt2))
    yield from case("GPT-2, wide", t.GPT2Config(**GPT, **gpt2, n_inner=90))
    neox = SIZES | {"architectures": ["GPTNeoXForCausalLM"], "dtype": "float16"}
    yield from case("GPT-NeoX", t.GPTNeoXConfig(**neox))
    opt = {k: v for k, v in SIZES.items() if k != "intermediate_size"} | {"ffn_dim": 100}
    opt |= {"architectures": ["OPTForCausalLM"], "dtype": "float16", "word_embed_proj_dim": 48}
    yield from case("OPT", t.OPTConfig(**opt))
    falcon = {k: v for k, v in SIZES.items() if k != "intermediate_size"}
    falcon |= {"architectures": ["FalconForCausalLM"], "dtype": "bfloat16"}
    yield from case("Falcon", t.FalconConfig(**falcon))
    plain = t.FalconConfig(**falcon, multi_query=False)
    yield from case("Falcon without shared keys", plain)
    new = t.FalconConfig(**falcon, new_decoder_architecture=True, num_kv_heads=2)
    yield from case("Falcon of the new form", new)
    bloom = {"vocab_size": 300, "hidden_size": 48, "n_layer": 3, "n_head": 4}
    bloom |= {"architectures": ["BloomForCausalLM"], "dtype": "float16"}
    yield from case("BLOOM", t.BloomConfig(**bloom))
    mpt = {"vocab_size": 300, "d_model": 48, "n_layers": 3, "n_heads": 4, "max_seq_len": 70}
    mpt |= {"architectures": ["MptForCausalLM"], "dtype": "bfloat16"}
    yield from case("MPT", t.MptConfig(**mpt))
    code = GPT | {"architectures": ["GPTBigCodeForCausalLM"], "dtype": "float32"}
    yield from case("GPT-BigCode", t.GPTBigCodeConfig(**code))


def families():
    """What each family takes where its configuration states only width and number of heads."""
    for family in sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        kind = CONFIG_MAPPING[family]
        try:
            config = kind()
            if config.is_encoder_decoder:
                continue
            text_kind = type(config.get_text_config())
            narrow, wide = (text_kind(**sizes(text_kind, width)) for width in (96, 192))
        except Exception:
            # Sizes that this family doesn't allow, or several parts that hold text.
            continue
        stated = sizes(text_kind, 96)
        if text_kind is not kind:
            stated = {"text_config": stated}
        yield {
            "family": family,
            "config": {"model_type": family, **stated},
            "key_value_heads": default(narrow, wide, "num_key_value_heads", 6),
            "head_dim": default(narrow, wide, "head_dim", 16),
            "tied_embeddings": read(config, "tie_word_embeddings"),
        }


def sizes(kind, width):
    names = ("hidden_size", "num_attention_heads")
    return {kind.attribute_map.get(n, n): v for n, v in zip(names, (width, 6))}


def default(narrow, wide, name, derived):
    """The default of a field; "derived" from the other sizes; or "other", by a rule of its own."""
    value = read(narrow, name)
    if value is None or value == derived:
        return "derived"
    fields = {field.name for field in dataclasses.fields(narrow)}
    own = narrow.attribute_map.get(name, name) in fields and value == read(wide, name)
    if name == "head_dim" and hasattr(narrow, "qk_rope_head_dim"):
        own = False
    return value if own else "other"


def main():
    logging.disable(logging.CRITICAL)
    fixture = {
        "transformers": transformers.__version__,
        "configs": list(cases()),
        "families": list(families()),
    }
    lines = [f'{{"transformers": {json.dumps(fixture["transformers"])}']
    for part in ("configs", "families"):
        rows = ",\n".join(json.dumps(row, ensure_ascii=True) for row in fixture[part])
        lines.append(f'"{part}": [\n{rows}\n]')
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
