//! Generation with a model whose logits a test chooses.

use std::sync::atomic::{AtomicBool, Ordering};

use collimate_lm::{
    FinishReason, GenerateError, Generated, GenerationConfig, GenerationEvent, LmError,
    LogitsProblem, NextLogits, Result,
};

/// Gives logits by a function of a row's tokens, and remembers them as a cache would.
struct Fake<F> {
    logits: F,
    rows: Vec<Vec<u32>>,
    /// Rows of each call.
    sizes: Vec<usize>,
}

impl<F: Fn(&[u32]) -> Vec<f32>> Fake<F> {
    fn new(logits: F) -> Self {
        Self { logits, rows: Vec::new(), sizes: Vec::new() }
    }
}

impl<F: Fn(&[u32]) -> Vec<f32>> NextLogits for Fake<F> {
    fn next_logits(&mut self, tokens: &[&[u32]]) -> Result<Vec<f32>> {
        if self.sizes.is_empty() {
            self.rows = vec![Vec::new(); tokens.len()];
        } else {
            assert!(tokens.iter().all(|row| row.len() == 1));
        }
        assert_eq!(self.rows.len(), tokens.len());
        self.sizes.push(tokens.len());
        for (row, new) in self.rows.iter_mut().zip(tokens) {
            row.extend(*new);
        }
        Ok(self.rows.iter().flat_map(|row| (self.logits)(row)).collect())
    }

    fn keep(&mut self, rows: &[usize]) -> Result<()> {
        assert!(!rows.is_empty() && rows.len() < self.rows.len() && rows.is_sorted());
        self.rows = rows.iter().map(|&row| self.rows[row].clone()).collect();
        Ok(())
    }
}

/// A token for each byte; what is no UTF-8 is shown as tokenizers show it.
fn bytes(tokens: &[u32]) -> std::result::Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let bytes: Vec<u8> = tokens.iter().map(|&token| token as u8).collect();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A token for each of some pieces; the first loses its space, as with SentencePiece.
fn pieces<'a>(
    pieces: &'a [&str],
) -> impl Fn(&[u32]) -> std::result::Result<String, Box<dyn std::error::Error + Send + Sync>> + 'a {
    |tokens| {
        let text: String = tokens.iter().map(|&token| pieces[token as usize]).collect();
        Ok(text.strip_prefix(' ').unwrap_or(&text).to_owned())
    }
}

/// The most probable token is the next of a script, whatever was generated.
fn script(prompt: usize, script: &[u32]) -> impl Fn(&[u32]) -> Vec<f32> {
    move |row| {
        let mut logits = vec![0.0; 256];
        logits[script[row.len() - prompt] as usize] = 1.0;
        logits
    }
}

/// Logits of 50 tokens that depend on all tokens of the row.
fn scrambled(row: &[u32]) -> Vec<f32> {
    let mut state = row.iter().fold(17_u64, |state, &token| {
        (state ^ u64::from(token)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    });
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1 << 22) as f32
    };
    std::iter::repeat_with(next).take(50).collect()
}

fn plain(new_tokens: usize) -> GenerationConfig {
    GenerationConfig::default().with_max_new_tokens(new_tokens)
}

fn generate(
    config: GenerationConfig,
    model: &mut dyn NextLogits,
    prompts: &[&[u32]],
) -> Result<Vec<Generated>> {
    config.check()?.generate(model, prompts, &bytes, &AtomicBool::new(false), &mut |_| {})
}

/// What a text of bytes makes of a configuration: the result, and the pieces with the rest.
fn stream(config: GenerationConfig, text: &[u8]) -> (Generated, Vec<String>) {
    let tokens: Vec<u32> = text.iter().map(|&byte| byte.into()).collect();
    let mut given = Vec::new();
    let mut events = |event: GenerationEvent<'_>| match event {
        GenerationEvent::Token { text, .. } | GenerationEvent::Finished { text, .. } => {
            given.push(text.to_owned());
        }
        _ => {}
    };
    let generated = config
        .check()
        .unwrap()
        .generate(
            &mut Fake::new(script(1, &tokens)),
            &[&[0]],
            &bytes,
            &AtomicBool::new(false),
            &mut events,
        )
        .unwrap();
    assert_eq!(given.concat(), generated[0].text);
    (generated[0].clone(), given)
}

fn stops(strings: &[&str]) -> Vec<String> {
    strings.iter().map(|&string| string.to_owned()).collect()
}

#[test]
fn greedy_search_takes_the_first_of_the_most_probable() {
    let ties =
        |row: &[u32]| if row.len() == 2 { vec![0.0, 3.0, 3.0] } else { vec![1.0, 1.0, -1.0] };
    let found = generate(plain(2), &mut Fake::new(ties), &[&[5, 6]]).unwrap();
    assert_eq!(found[0].tokens, [1, 0]);
    assert_eq!(found[0].finish, FinishReason::Length);
}

#[test]
fn rows_end_at_different_times() {
    // The prompt says how many letters come before the token 9.
    let countdown = |row: &[u32]| {
        let generated = row.len() - row[0] as usize;
        let mut logits = vec![0.0; 128];
        logits[if generated < row[0] as usize { 65 + generated } else { 9 }] = 1.0;
        logits
    };
    let mut model = Fake::new(countdown);
    let prompts: [&[u32]; 4] = [&[2, 0], &[1], &[4, 0, 0, 0], &[2, 0]];
    let mut ends = Vec::new();
    let mut events = |event: GenerationEvent<'_>| {
        if let GenerationEvent::Finished { row, finish, .. } = event {
            ends.push((row, finish.clone()));
        }
    };
    let generator = plain(4).with_eos_token_ids([77, 9, 9]).check().unwrap();
    let found = generator
        .generate(&mut model, &prompts, &bytes, &AtomicBool::new(false), &mut events)
        .unwrap();
    let found: Vec<_> =
        found.iter().map(|row| (row.text.as_str(), row.tokens.as_slice())).collect();
    let expected: [(&str, &[u32]); 4] =
        [("AB", &[65, 66, 9]), ("A", &[65, 9]), ("ABCD", &[65, 66, 67, 68]), ("AB", &[65, 66, 9])];
    assert_eq!(found, expected);
    use FinishReason::{Eos, Length};
    assert_eq!(ends, [(1, Eos), (0, Eos), (3, Eos), (2, Length)]);
    assert_eq!(model.sizes, [4, 4, 3, 1]);
}

#[test]
fn a_stop_string_may_be_split_over_tokens() {
    let (found, given) = stream(plain(9).with_stop_strings(stops(&["END"])), b"an EENDless");
    assert_eq!(found.text, "an E");
    assert_eq!(found.finish, FinishReason::StopString("END".to_owned()));
    assert_eq!(found.tokens.len(), 7);
    // What could be its beginning was held back, and given when it was not.
    assert_eq!(given, ["a", "n", " ", "", "E", "", "", ""]);
}

#[test]
fn a_stop_string_may_be_a_part_of_a_token() {
    let pieces = pieces(&["", " one", " two. thr", "ee"]);
    let config = plain(5).with_stop_strings(stops(&[". t"]));
    let found = config
        .check()
        .unwrap()
        .generate(
            &mut Fake::new(script(1, &[1, 2, 3])),
            &[&[0]],
            &pieces,
            &AtomicBool::new(false),
            &mut |_| {},
        )
        .unwrap();
    assert_eq!(found[0].text, "one two");
    assert_eq!(found[0].tokens, [1, 2]);
}

#[test]
fn the_stop_string_that_is_complete_first_counts() {
    let (found, _) = stream(plain(9).with_stop_strings(stops(&["bcde", "c", "bc"])), b"abcdefgh");
    assert_eq!((found.text.as_str(), found.tokens.len()), ("a", 3));
    assert_eq!(found.finish, FinishReason::StopString("bc".to_owned()));
}

#[test]
fn what_was_held_back_is_given_at_the_end() {
    let (found, given) = stream(plain(4).with_stop_strings(stops(&["END"])), b"an EN");
    assert_eq!((found.text.as_str(), &found.finish), ("an E", &FinishReason::Length));
    assert_eq!(given, ["a", "n", " ", "", "E"]);
    let (found, given) = stream(
        plain(9).with_eos_token_ids([9]),
        "aö".as_bytes()[..2].iter().chain(b"\t").copied().collect::<Vec<_>>().as_slice(),
    );
    assert_eq!((found.text.as_str(), &found.finish), ("a\u{fffd}", &FinishReason::Eos));
    assert_eq!(given, ["a", "", "", "\u{fffd}"]);
}

#[test]
fn characters_are_given_whole() {
    let text = "aé€😀b";
    let (found, given) = stream(plain(text.len()), text.as_bytes());
    assert_eq!(found.text, text);
    assert_eq!(given, ["a", "", "é", "", "", "€", "", "", "", "😀", "b", ""]);
}

#[test]
fn bytes_that_are_no_character_are_shown() {
    let (found, _) = stream(plain(4), b"a\xff\xffb");
    assert_eq!(found.text, "a\u{fffd}\u{fffd}b");
}

#[test]
fn what_was_given_stays() {
    // Capitals are bytes of one run, which is shown as a whole or not at all.
    let decode = |tokens: &[u32]| {
        let is_byte = |token: &u32| !(97..=122).contains(token);
        let runs = tokens.chunk_by(|a, b| is_byte(a) == is_byte(b));
        let text = runs.map(|run| {
            let run: Vec<u8> = run.iter().map(|&token| token as u8).collect();
            let unknown = "\u{fffd}".repeat(run.len());
            String::from_utf8(run).unwrap_or(unknown)
        });
        Ok(text.collect())
    };
    let generator = plain(4).check().unwrap();
    let mut model = Fake::new(script(1, &[65, 255, 120, 66]));
    let found = generator
        .generate(&mut model, &[&[0]], &decode, &AtomicBool::new(false), &mut |_| {})
        .unwrap();
    assert_eq!(found[0].text, "A\u{fffd}xB");
}

#[test]
fn words_keep_their_spaces() {
    // An empty token, as a special one that is not shown, stands between them.
    let pieces = pieces(&["", " a", " b", " "]);
    let mut given = Vec::new();
    let found = plain(6)
        .check()
        .unwrap()
        .generate(
            &mut Fake::new(script(1, &[1, 0, 2, 3, 0, 1])),
            &[&[0]],
            &pieces,
            &AtomicBool::new(false),
            &mut |event| {
                if let GenerationEvent::Token { text, .. } = event {
                    given.push(text.to_owned());
                }
            },
        )
        .unwrap();
    assert_eq!(found[0].text, "a b  a");
    assert_eq!(given, ["a", "", " b", " ", "", " a"]);
}

#[test]
fn cancelling_ends_what_has_not_ended() {
    let cancel = AtomicBool::new(false);
    let mut tokens = 0;
    let mut events = |event: GenerationEvent<'_>| {
        tokens += usize::from(matches!(event, GenerationEvent::Token { .. }));
        if tokens == 4 {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let generator = plain(9).check().unwrap();
    let mut model = Fake::new(scrambled);
    let found =
        generator.generate(&mut model, &[&[1], &[2]], &bytes, &cancel, &mut events).unwrap();
    assert!(found.iter().all(|row| row.tokens.len() == 2 && row.finish == FinishReason::Cancelled));
    assert_eq!(model.sizes, [2, 2]);
    // Before anything was computed.
    let mut model = Fake::new(scrambled);
    let found = generator.generate(&mut model, &[&[1]], &bytes, &cancel, &mut |_| {}).unwrap();
    assert_eq!((found[0].tokens.len(), model.sizes.len()), (0, 0));
}

#[test]
fn a_seed_gives_the_same_texts_whatever_else_is_in_the_batch() {
    let config = plain(30).with_do_sample(true).with_seed(3).with_eos_token_ids([7]);
    let run = |config: &GenerationConfig, prompts: &[&[u32]]| {
        generate(config.clone(), &mut Fake::new(scrambled), prompts).unwrap()
    };
    let all = run(&config, &[&[1, 2], &[5], &[1, 2]]);
    assert_eq!(all, run(&config, &[&[1, 2], &[5], &[1, 2]]));
    // The same prompt twice has two texts, and another seed others.
    assert_ne!(all[0].tokens, all[2].tokens);
    assert_ne!(all, run(&config.clone().with_seed(4), &[&[1, 2], &[5], &[1, 2]]));
    assert_eq!(all[1..2], run(&config.clone().with_first_row(1), &[&[5]]));
    assert_eq!(all[..2], run(&config, &[&[1, 2], &[5]]));
    // Nor does the number of threads count.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(all, pool.install(|| run(&config, &[&[1, 2], &[5], &[1, 2]])));
}

#[test]
fn a_penalty_also_counts_the_prompt() {
    let logits = |_: &[u32]| vec![0.0, 3.0, 2.5, 2.0, -1.0];
    let config = plain(4).with_repetition_penalty(2.0);
    let found = generate(config.clone(), &mut Fake::new(logits), &[&[0]]).unwrap();
    assert_eq!(found[0].tokens, [1, 2, 3, 1]);
    let found = generate(config, &mut Fake::new(logits), &[&[1, 0, 0]]).unwrap();
    assert_eq!(found[0].tokens, [2, 3, 1, 1]);
}

#[test]
fn lengths_are_those_of_transformers() {
    let length = |config: GenerationConfig, prompt: &[u32]| {
        generate(config, &mut Fake::new(scrambled), &[prompt]).map(|rows| rows[0].tokens.len())
    };
    let config = GenerationConfig::default;
    assert_eq!(length(config(), &[1; 50]).unwrap(), 20);
    assert_eq!(length(config().with_max_length(8), &[1; 5]).unwrap(), 3);
    assert_eq!(length(config().with_max_length(8).with_max_new_tokens(6), &[1; 5]).unwrap(), 6);
    let error = length(config().with_max_length(5), &[1; 5]).unwrap_err();
    assert!(matches!(
        error,
        LmError::Generate(GenerateError::PromptTooLong { row: 0, tokens: 5, max_length: 5 })
    ));
}

#[test]
fn what_can_not_be_generated_says_where() {
    let failed = |logits: fn(&[u32]) -> Vec<f32>, prompts: &[&[u32]]| match generate(
        plain(3),
        &mut Fake::new(logits),
        prompts,
    ) {
        Err(LmError::Generate(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(failed(scrambled, &[&[1], &[]]), GenerateError::EmptyPrompt { row: 1 }));
    let nan = |row: &[u32]| vec![0.0, if row[0] == 2 && row.len() == 3 { f32::NAN } else { 0.0 }];
    let problem = LogitsProblem::NotANumber { token: 1 };
    let GenerateError::Logits { row: 1, step: 2, problem: found } = failed(nan, &[&[1], &[2]])
    else {
        panic!("another row or step");
    };
    assert_eq!(found, problem);
    let none = |_: &[u32]| vec![f32::NEG_INFINITY; 2];
    assert!(matches!(
        failed(none, &[&[1]]),
        GenerateError::Logits { row: 0, step: 0, problem: LogitsProblem::Impossible }
    ));
    let uneven = |row: &[u32]| vec![0.0; row[0] as usize];
    assert!(matches!(
        failed(uneven, &[&[1], &[2]]),
        GenerateError::Shape { step: 0, values: 3, rows: 2 }
    ));
    assert!(matches!(failed(|_| vec![], &[&[1]]), GenerateError::Shape { values: 0, .. }));
}

#[test]
fn a_tokenizer_that_fails_says_why() {
    let decode = |tokens: &[u32]| match tokens {
        [_, ..] => Err("unknown token".into()),
        [] => Ok(String::new()),
    };
    let error = plain(3)
        .check()
        .unwrap()
        .generate(&mut Fake::new(scrambled), &[&[1]], &decode, &AtomicBool::new(false), &mut |_| {})
        .unwrap_err();
    let LmError::Generate(GenerateError::Decode { row: 0, step: 0, source }) = error else {
        panic!("{error}");
    };
    assert_eq!(source.to_string(), "unknown token");
}

#[test]
fn no_prompts_give_no_texts() {
    assert!(generate(plain(3), &mut Fake::new(scrambled), &[]).unwrap().is_empty());
}
