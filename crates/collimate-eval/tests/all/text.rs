//! Scores of text against those of the reference libraries.

use collimate_eval::{
    BleuConfig, BleuTokenizer, ChrfConfig, EvalError, RougeConfig, RougeScore, RougeScores,
    Smoothing, normalize_answer, score_answer, score_answers,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::reference::{assert_close, fixture, floats, number, strings};

struct Corpus {
    name: String,
    hypotheses: Vec<String>,
    references: Vec<Vec<String>>,
    scores: Value,
}

fn corpora() -> Vec<Corpus> {
    let fixture = fixture();
    let corpora = fixture["corpora"].as_object().unwrap();
    let read = |(name, corpus): (&String, &Value)| Corpus {
        name: name.clone(),
        hypotheses: strings(&corpus["hypotheses"]),
        references: corpus["references"].as_array().unwrap().iter().map(strings).collect(),
        scores: corpus.clone(),
    };
    corpora.iter().map(read).collect()
}

fn bleu_config(settings: &Value) -> BleuConfig {
    let mut config = BleuConfig::default();
    let value = settings["smooth_value"].as_f64();
    for (key, setting) in settings.as_object().unwrap() {
        config = match key.as_str() {
            "tokenize" => config.with_tokenizer(serde_json::from_value(setting.clone()).unwrap()),
            "lowercase" => config.with_lowercase(setting.as_bool().unwrap()),
            "effective_order" => config.with_effective_order(setting.as_bool().unwrap()),
            "max_ngram_order" => config.with_max_order(setting.as_u64().unwrap() as usize),
            "smooth_method" => config.with_smoothing(match setting.as_str().unwrap() {
                "none" => Smoothing::None,
                "floor" => Smoothing::Floor(value.unwrap_or(0.1)),
                "add-k" => Smoothing::AddK(value.unwrap_or(1.0)),
                other => panic!("{other}"),
            }),
            "smooth_value" => config,
            other => panic!("{other}"),
        };
    }
    config
}

#[test]
fn bleu_is_sacrebleus() {
    for Corpus { name, hypotheses, references, scores } in corpora() {
        for expected in scores["bleu"].as_array().unwrap() {
            let place = format!("{name}, {}", expected["settings"]);
            let bleu = bleu_config(&expected["settings"]).check().unwrap();
            let found = bleu.corpus(&hypotheses, &references).unwrap();
            assert_close(found.score, &expected["score"], &place);
            assert_close(found.brevity_penalty, &expected["brevity_penalty"], &place);
            let precisions = floats(&expected["precisions"]);
            assert_eq!(found.precisions.len(), precisions.len(), "{place}");
            for (found, expected) in found.precisions.iter().zip(precisions) {
                assert_close(*found, &expected.into(), &place);
            }
            let found_json = serde_json::to_value(&found).unwrap();
            for key in ["counts", "totals", "hypothesis_length", "reference_length"] {
                assert_eq!(found_json[key], expected[key], "{place}, {key}");
            }
            let signature = expected["signature"].as_str().unwrap();
            assert!(found.signature.starts_with(&format!("{signature}|version:collimate-eval-")));
            let segments = hypotheses.iter().zip(&references);
            for ((text, references), score) in segments.zip(floats(&expected["sentences"])) {
                let place = format!("{place}, {text:?} {references:?}");
                let found = bleu.sentence(text, references).unwrap();
                assert_close(found.score, &score.into(), &place);
            }
        }
    }
}

#[test]
fn chrf_is_sacrebleus() {
    for Corpus { name, hypotheses, references, scores } in corpora() {
        for expected in scores["chrf"].as_array().unwrap() {
            let place = format!("{name}, {}", expected["settings"]);
            let config: ChrfConfig = serde_json::from_value(expected["settings"].clone()).unwrap();
            let chrf = config.check().unwrap();
            let found = chrf.corpus(&hypotheses, &references).unwrap();
            assert_close(found.score, &expected["score"], &place);
            assert_eq!(found.name, expected["name"], "{place}");
            let signature = expected["signature"].as_str().unwrap();
            assert!(found.signature.starts_with(&format!("{signature}|version:collimate-eval-")));
            let segments = hypotheses.iter().zip(&references);
            for ((text, references), score) in segments.zip(floats(&expected["sentences"])) {
                let place = format!("{place}, {text:?} {references:?}");
                let found = chrf.sentence(text, references).unwrap();
                assert_close(found.score, &score.into(), &place);
            }
        }
    }
}

#[test]
fn words_are_sacrebleus() {
    let fixture = fixture();
    let texts = strings(&fixture["tokens"]["texts"]);
    for tokenizer in [BleuTokenizer::V13a, BleuTokenizer::International, BleuTokenizer::Chinese] {
        let expected = strings(&fixture["tokens"][tokenizer.name()]);
        assert_eq!(expected.len(), texts.len());
        for (text, expected) in texts.iter().zip(expected) {
            let found = tokenizer.tokenize(text).join(" ");
            assert_eq!(found, expected, "{} of {text:?}", tokenizer.name());
        }
    }
}

type Choice = fn(&RougeScores) -> RougeScore;

#[test]
fn rouge_is_rouge_scores() {
    let rouge = RougeConfig::default().check().unwrap();
    let names: [(&str, Choice); 4] = [
        ("rouge1", |scores| scores.rouge1),
        ("rouge2", |scores| scores.rouge2),
        ("rougeL", |scores| scores.rouge_l),
        ("rougeLsum", |scores| scores.rouge_lsum.unwrap()),
    ];
    for Corpus { name, hypotheses, references, scores } in corpora() {
        let expected = scores["rouge"].as_array().unwrap();
        let check = |found: &RougeScores, expected: &dyn Fn(&str, usize) -> f64, place: &str| {
            for (key, score) in names {
                let RougeScore { precision, recall, f1, .. } = score(found);
                for (at, found) in [precision, recall, f1].into_iter().enumerate() {
                    assert_close(found, &expected(key, at).into(), &format!("{place}, {key}"));
                }
            }
        };
        for ((text, references), expected) in hypotheses.iter().zip(&references).zip(expected) {
            let found = rouge.sentence(text, references).unwrap();
            check(&found, &|key, at| number(&expected[key][at]), &format!("{name}, {text:?}"));
        }
        let mean = |key: &str, at: usize| {
            let scores = expected.iter().map(|scores| number(&scores[key][at]));
            scores.sum::<f64>() / expected.len() as f64
        };
        check(&rouge.corpus(&hypotheses, &references).unwrap().mean, &mean, &name);
    }
}

#[test]
fn answers_are_scored_as_squad_defines() {
    let fixture = fixture();
    let cases = fixture["answers"].as_array().unwrap();
    for case in cases {
        let answer = case["answer"].as_str().unwrap();
        assert_eq!(normalize_answer(answer), case["normalized"], "{answer:?}");
        let found = score_answer(answer, &strings(&case["accepted"])).unwrap();
        assert_eq!(found.exact, case["exact"], "{case}");
        assert_close(found.f1, &case["f1"], &case.to_string());
    }
    let answers: Vec<&str> = cases.iter().map(|case| case["answer"].as_str().unwrap()).collect();
    let accepted: Vec<_> = cases.iter().map(|case| strings(&case["accepted"])).collect();
    let found = score_answers(&answers, &accepted).unwrap();
    let mean = cases.iter().map(|case| number(&case["f1"])).sum::<f64>() / cases.len() as f64;
    assert_close(found.f1, &mean.into(), "mean");
    assert!(found.literal.count < found.exact.count);
}

#[test]
fn what_has_no_partner_is_an_error() {
    let bleu = BleuConfig::default().check().unwrap();
    let none: [&str; 0] = [];
    let error = bleu.corpus(&["a", "b"], &[["a"]]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there are 2 hypotheses, but 1 lists of references: each needs its own"
    );
    let error = bleu.corpus(&["a", "b"], &[vec!["a"], vec![]]).unwrap_err();
    assert!(matches!(error, EvalError::NoReference { segment: 1 }), "{error}");
    let error = RougeConfig::default().check().unwrap().corpus(&none, &[none; 0]).unwrap_err();
    assert!(matches!(error, EvalError::NothingToScore { .. }), "{error}");
    assert!(ChrfConfig::default().check().unwrap().sentence("a", &none).is_err());
}

fn text() -> impl Strategy<Value = String> {
    let word =
        prop::sample::select(vec!["the", "a", "cat", "sat.", "3.5", "été", "猫", "—", "(x)", "\n"]);
    proptest::collection::vec(word, 0..30).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn scores_stay_in_their_range(hypothesis in text(), references in proptest::collection::vec(text(), 1..4)) {
        let percent = -1e-9..100.0 + 1e-9;
        let bleu = BleuConfig::default().with_effective_order(true).check().unwrap();
        prop_assert!(percent.contains(&bleu.sentence(&hypothesis, &references).unwrap().score));
        let chrf = ChrfConfig::default().with_word_order(2).check().unwrap();
        prop_assert!(percent.contains(&chrf.sentence(&hypothesis, &references).unwrap().score));
        let rouge = RougeConfig::default().check().unwrap();
        let scores = rouge.sentence(&hypothesis, &references).unwrap();
        for score in [scores.rouge1, scores.rouge2, scores.rouge_l, scores.rouge_lsum.unwrap()] {
            prop_assert!((0.0..=1.0).contains(&score.f1));
        }
        // Subsequences of whole texts are subsequences of lines, joined.
        prop_assert!(scores.rouge1.f1 + 1e-12 >= scores.rouge_lsum.unwrap().f1);
    }

    #[test]
    fn a_text_agrees_with_itself(text in text().prop_filter("words", |text| text.contains("cat"))) {
        let bleu = BleuConfig::default().with_effective_order(true).check().unwrap();
        prop_assert!((bleu.sentence(&text, &[&text]).unwrap().score - 100.0).abs() < 1e-9);
        let chrf = ChrfConfig::default().with_word_order(2).check().unwrap();
        prop_assert!((chrf.sentence(&text, &["other", &text]).unwrap().score - 100.0).abs() < 1e-9);
        let rouge = RougeConfig::default().check().unwrap();
        prop_assert_eq!(rouge.sentence(&text, &["other", &text]).unwrap().rouge_l.f1, 1.0);
        prop_assert!(score_answer(&text, &[&text]).unwrap().literal);
    }

    #[test]
    fn nothing_panics(hypothesis: String, references in proptest::collection::vec(any::<String>(), 1..3)) {
        for tokenizer in ["13a", "intl", "zh", "char", "none"] {
            let tokenizer = serde_json::from_value(tokenizer.into()).unwrap();
            let bleu = BleuConfig::default().with_tokenizer(tokenizer).check().unwrap();
            prop_assert!(bleu.sentence(&hypothesis, &references).is_ok());
        }
        let chrf = ChrfConfig::default().with_word_order(2).check().unwrap();
        prop_assert!(chrf.sentence(&hypothesis, &references).is_ok());
        prop_assert!(RougeConfig::default().check().unwrap().sentence(&hypothesis, &references).is_ok());
        prop_assert!(score_answer(&hypothesis, &references).is_ok());
    }
}
