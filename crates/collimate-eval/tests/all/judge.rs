//! A judge on this machine.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use burn::tensor::{DType, Device};
use collimate_data::{ChatTemplate, Tokenizer};
use collimate_eval::{
    EvalError, Judge, JudgeCase, JudgeConfig, JudgeOutcome, LocalJudge, Rubric, ScoreSource, rate,
    rate_all,
};
use collimate_lm::{Batch, Decoder};

struct Place {
    decoder: Decoder,
    tokenizer: Tokenizer,
}

impl Place {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/before");
        let decoder = Decoder::load(&folder, &Device::flex(), DType::F32).unwrap();
        Self { decoder, tokenizer: Tokenizer::from_folder(&folder).unwrap() }
    }

    /// The probability of a token after a text, of all tokens.
    fn softmax(&self, text: &str, special: bool) -> Vec<f64> {
        let ids = self.tokenizer.encode(text, special).unwrap().ids;
        let at = (0, ids.len() - 1);
        let logits = self.decoder.logits_at(&Batch::padded(&[ids]).unwrap(), &[at]).unwrap();
        let logits = logits.into_data().try_into_vec::<f32>().unwrap();
        let weights: Vec<f64> = logits.iter().map(|logit| f64::from(*logit).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum).collect()
    }
}

const CASE: JudgeCase<'_> =
    JudgeCase { prompt: "Where is it?", response: "By the harbour.", reference: Some("There.") };

#[test]
fn probabilities_are_those_of_the_next_token() {
    let place = Place::new();
    let never = AtomicBool::new(false);
    let template = ChatTemplate::new(
        "plain",
        "{% for message in messages %}<s>{{ message.content }}\n{% endfor %}{% if add_generation_prompt %}={% endif %}",
    )
    .unwrap();
    let answers: Vec<String> = (1..=5).map(|rating: u8| rating.to_string()).collect();
    for (template, text, special) in
        [(None, "Rate: ", true), (Some(&template), "<s>Rate: \n=", false)]
    {
        let mut judge = LocalJudge::new("tiny", &place.decoder, &place.tokenizer, template, &never);
        let found = judge.probabilities("Rate: ", &answers).unwrap().unwrap();
        let softmax = place.softmax(text, special);
        for (answer, found) in answers.iter().zip(&found) {
            let id = place.tokenizer.token_to_id(answer).unwrap();
            let expected = softmax[id as usize];
            assert!((found - expected).abs() < 1e-6, "{answer}: {found}, {expected}");
        }
        // Ends with a letter or a colon: a space comes before the answer.
        let close = judge.probabilities("Rate:", &answers).unwrap().unwrap();
        assert_eq!(close == found, template.is_none());
    }
}

#[test]
fn a_response_is_rated_and_the_steps_are_written() {
    let place = Place::new();
    let never = AtomicBool::new(false);
    let mut judge = LocalJudge::new("tiny", &place.decoder, &place.tokenizer, None, &never);
    let rubric = Rubric::new("use", "Is it of use?").with_steps("Read it.");
    // A model that learned nothing holds five digits out of 300 tokens for likely by chance.
    let config = JudgeConfig::default().with_least_understood(0.0);
    let score = rate(&mut judge, &rubric, CASE, &config).unwrap();
    assert!((1.0..=5.0).contains(&score.score) && score.source == ScoreSource::Tokens);
    assert!((score.ratings.values().sum::<f64>() - 1.0).abs() < 1e-12);
    assert_eq!(rate(&mut judge, &rubric, CASE, &config).unwrap(), score);
    let strict = config.clone().with_least_understood(0.99);
    let error = rate(&mut judge, &rubric, CASE, &strict).unwrap_err();
    assert!(matches!(error, EvalError::NotRated { .. }), "{error}");

    assert_eq!(judge.say("Tell", 6, None).unwrap(), judge.say("Tell", 6, None).unwrap());
    assert_eq!(judge.say("Tell", 6, Some(3)).unwrap(), judge.say("Tell", 6, Some(3)).unwrap());
    assert_ne!(judge.say("Tell", 6, Some(3)).unwrap(), judge.say("Tell", 6, Some(4)).unwrap());
    // Longer than what the model takes: no score, and why.
    let long = "word ".repeat(200);
    let cases = [JudgeCase { response: &long, ..CASE }, CASE];
    let report = rate_all(&mut judge, &rubric, cases, &config).unwrap();
    match &report.scores[..] {
        [_, JudgeOutcome::Score(of)] => assert_eq!(of, &score),
        other => panic!("{other:?}"),
    }
    let cancelled = AtomicBool::new(true);
    let mut judge = LocalJudge::new("tiny", &place.decoder, &place.tokenizer, None, &cancelled);
    let error = rate_all(&mut judge, &rubric, [CASE], &config).unwrap_err();
    assert!(matches!(error, EvalError::Cancelled), "{error}");
    for scale in [3..=3, 1..=10] {
        let rubric = rubric.clone().with_scale(scale);
        let error = rate(&mut judge, &rubric, CASE, &config).unwrap_err();
        assert!(error.to_string().starts_with("the scale of a rubric"), "{error}");
    }
}
