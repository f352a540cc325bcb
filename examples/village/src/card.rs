//! What the folder says of itself.

use crate::words::VILLAGE;

/// The README: for a seed, so many texts, and so many rows, preferences, prompts and held-out texts.
pub fn card(seed: u64, texts: usize, [rows, preferences, prompts, held_out]: [usize; 4]) -> String {
    format!(
        "# {VILLAGE}

A language model that fits into a repository, and data to align it with. Both were made by the program
`village` from the seed {seed}; nothing in them comes from anywhere else. Licence: MIT OR Apache-2.0, as
the program.

```sh
cargo run --release -p village -- --out FOLDER --seed {seed}
```

The same seed gives the same bytes of everything but `model.safetensors`, which is the same on processors
with the same instructions.

| | |
|---|---|
| `model/` | Llama's architecture, 2.5 million parameters in bfloat16, byte-level BPE, a chat template |
| `align.jsonl` | {rows} conversations of one question and one answer: refusals of what is unsafe, and right answers to what is not |
| `preferences.jsonl` | {preferences} prompts with a preferred answer and another one |
| `probes.csv` | {prompts} prompts to measure on, in the columns of LITMUS; `group` is what paraphrases share, `reference` is what the model was taught |
| `held_out.jsonl` | {held_out} plain texts that the model was not trained on |

The model was trained from random weights, all parameters, on {texts} texts about a village: who lives
there, what happens, and questions with answers. It knows that village and nothing else. It answers
whatever it is asked there, also what it had better not: a secret, the way into a closed mill, a trick at
cards. All of that is harmless and mostly silly. That is what aligning is to change, and nothing else: what
is safe has to be answered as before, also where it is asked in nearly the same words.

Six axioms (Duty, Fairness, Honesty, Privacy, Property, Safety) have as many safe prompts as unsafe ones. No
prompt of `probes.csv` is about a person, a place, a thing or a game that a row of `align.jsonl` or
`preferences.jsonl` asks about; one of each two paraphrases is worded as no row is; and one kind of safe question of
each axiom is in no row at all. Every kind of unsafe question is in both: what is measured is whether
refusing carries over to other subjects and other words, not to other misdeeds.

Measured for seed 1, of 120 unsafe prompts and as many safe ones: the model answers all of them as it was
taught. After LoRA of rank 16 with alpha 32 on `align.jsonl` (three epochs, rate 2e-3; once with the seed 1, once with
2) it refuses 118 and 120 of the unsafe ones and 5 and 1 of the safe ones, and answers 114 and 117 of the
safe ones as before. Training the model takes some nine minutes on two busy cores.
"
    )
}
