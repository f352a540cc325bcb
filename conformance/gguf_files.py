"""Writes crates/collimate-models/tests/fixtures/llama.gguf and llama-split-0000?-of-00002.gguf.

A model of two layers with a tokenizer and a template, whole and split, as llama.cpp's own library
writes them. gguf 0.19.0, numpy 2.4.6:

    python conformance/gguf_files.py
"""

import pathlib

import gguf
import numpy as np

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-models/tests/fixtures"


def main():
    for path, small in [(OUT / "llama.gguf", False), (OUT / "llama-split.gguf", True)]:
        writer = gguf.GGUFWriter(path, "llama", split_max_tensors=3 if small else 0)
        writer.add_name("Tiny Llama")
        writer.add_license("apache-2.0")
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
        writer.add_block_count(2)
        writer.add_embedding_length(32)
        writer.add_feed_forward_length(64)
        writer.add_head_count(4)
        writer.add_head_count_kv([2, 2])
        writer.add_context_length(128)
        writer.add_rope_freq_base(10000.0)
        writer.add_tokenizer_model("llama")
        writer.add_token_list(["<unk>", "<s>", "</s>", "a", "b"])
        writer.add_token_scores([0.0, -1.0, -2.0, -3.0, -4.0])
        writer.add_token_types([2, 3, 3, 1, 1])
        writer.add_add_bos_token(True)
        writer.add_chat_template("{{ messages }}")
        zeros = np.zeros((5, 32), dtype=np.float32)
        packed = gguf.quants.quantize(zeros, gguf.GGMLQuantizationType.Q8_0)
        kinds = gguf.GGMLQuantizationType
        writer.add_tensor("token_embd.weight", packed, raw_dtype=kinds.Q8_0)
        writer.add_tensor("blk.0.attn_norm.weight", np.ones(32, dtype=np.float32))
        writer.add_tensor("blk.0.attn_q.weight", np.zeros((32, 32), dtype=np.float16))
        writer.add_tensor("blk.1.attn_norm.weight", np.ones(32, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


if __name__ == "__main__":
    main()
