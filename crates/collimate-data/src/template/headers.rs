//! What stands before a turn and counts as said with it, as TRL has it.

use sha2::{Digest, Sha256};

/// Templates whose training variants in TRL also mark the header before a turn: the SHA-256 of the
/// original's source, and its headers.
const MARKED: [(&str, &[&str]); 5] = [
    // Qwen 2.5
    ("cd8e9439f0570856fd70470bf8889ebd8b5d1107207f67a5efb46e342330527f", &["\n"]),
    // DeepSeek V3
    (
        "563b1ce7d61d50a9b4c7439a912a1116f095b712df5b5e4d3e1116049874eb64",
        &["<｜Assistant｜>", "<｜tool▁outputs▁end｜>"],
    ),
    // The distilled DeepSeek R1
    (
        "56a1447ad31926fdc21fb07e56e5642bd9c850c4f52d8c8af7bbe5f079a84f5f",
        &["<｜Assistant｜>", "<｜tool▁outputs▁end｜>"],
    ),
    // GPT-OSS
    ("a4c9919cbbd4acdd51ccffe22da049264b1b73e59055fa58811a99efbd7c8146", &["<|start|>assistant"]),
    // Muse Glimmer
    ("cfc67e5f349f37690dfd31ed1f18bc4442a9dd32fe39a648f993cb4eb3cae678", &["<|start|>assistant"]),
];

/// The headers of a template that count as said.
pub(super) fn of(source: &str) -> &'static [&'static str] {
    let digest = Sha256::digest(source.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    MARKED.iter().find(|(known, _)| *known == digest).map_or(&[], |(_, headers)| headers)
}

/// How many of the bytes before a turn count as said with it: its header, or a thought that the
/// generation prompt opens, or closes at once.
pub(super) fn length(headers: &[&str], before: &str) -> usize {
    if let Some(header) = headers.iter().find(|header| before.ends_with(*header)) {
        return header.len();
    }
    let opened = before.rfind("<think>").filter(|place| {
        let thought = before.get(*place..).unwrap_or_default().trim_start_matches("<think>").trim();
        thought.is_empty() || thought == "</think>"
    });
    opened.map_or(0, |place| before.len() - place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_thought_belongs_to_the_turn() {
        for (before, length_of) in [
            ("<|a|>\n", 0),
            ("<|a|>\n<think>", 7),
            ("<|a|>\n<think>\n", 8),
            ("<|a|>\n<think>\n\n</think>\n\n", 19),
            ("<think>x</think>", 0),
            ("<think> said the user<|a|>", 0),
        ] {
            assert_eq!(length(&[], before), length_of, "{before:?}");
        }
        assert_eq!(length(&["<|a|>"], "<|u|>x<|a|>"), 5);
    }

    #[test]
    fn other_templates_have_no_headers() {
        assert!(of("{{ messages }}").is_empty());
    }
}
