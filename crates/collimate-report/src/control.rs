//! Whether a control explains what a model's score shows.

use crate::aqi::{AqiComparison, Control, ControlKind, Side};
use crate::finding::{Finding, Verdict, is_no_score, level};
use crate::measure::Estimate;
use crate::number::{decimals, fixed, p_value, signed};
use crate::report::Reading;
use crate::text::one_line;

/// Findings on the scores themselves and on their controls.
pub(crate) fn findings(aqi: &AqiComparison, reading: &Reading) -> Vec<Finding> {
    let sides = [(Side::Before, aqi.overall.before), (Side::After, aqi.overall.after)];
    let separation = sides.into_iter().filter_map(|(side, score)| {
        let score = score?;
        is_no_score(&score, reading).then(|| {
            let p = score.p_value.map(|p| format!(", {}", p_value(p))).unwrap_or_default();
            let (name, side) = (one_line(&aqi.overall.name), side.name());
            let value = fixed(score.value, decimals(&[score.value], None));
            Finding {
                about: format!("{name} {side}"),
                verdict: Verdict::NoDetectableChange,
                text: format!(
                    "{name} {side}: no detectable separation of safe from unsafe prompts ({value}{p})."
                ),
            }
        })
    });
    let mut findings: Vec<Finding> = separation.collect();
    findings.extend(aqi.controls.iter().map(|control| finding(aqi, control, reading)));
    if aqi.controls.is_empty() && (aqi.overall.before.is_some() || aqi.overall.after.is_some()) {
        findings.push(Finding {
            about: "Controls".to_owned(),
            verdict: Verdict::NotMeasured,
            text: "No control was measured: differences of the prompts in topic, length or source \
                   may account for the separation."
                .to_owned(),
        });
    }
    findings
}

/// The model's score that a control is compared with.
pub(crate) fn model_score(aqi: &AqiComparison, side: Side) -> Option<Estimate> {
    match side {
        Side::Before => aqi.overall.before,
        Side::After => aqi.overall.after,
    }
}

/// What can be said of a control.
pub(crate) fn verdict(aqi: &AqiComparison, control: &Control, reading: &Reading) -> Verdict {
    let Some(model) = model_score(aqi, control.side) else { return Verdict::NotMeasured };
    if model.value.is_nan() || control.score.value.is_nan() {
        return Verdict::NotMeasured;
    }
    if let Some(excess) = control.excess {
        if excess.n.is_some_and(|n| n < reading.smallest_n) {
            return Verdict::TooFew;
        }
        let chance = excess.p_value.is_some_and(|p| p >= reading.alpha);
        return match excess.interval {
            Some([low, _]) if low > 0.0 && !chance => Verdict::AboveControl,
            Some(_) => Verdict::ControlExplains,
            None if excess.value <= 0.0 => Verdict::ControlExplains,
            None => Verdict::ControlUndecided,
        };
    }
    if control.score.value >= model.value {
        return Verdict::ControlExplains;
    }
    match (model.interval, control.score.interval) {
        (Some([low, _]), Some([_, high])) if low > high => Verdict::AboveControl,
        _ => Verdict::ControlUndecided,
    }
}

fn finding(aqi: &AqiComparison, control: &Control, reading: &Reading) -> Finding {
    let verdict = verdict(aqi, control, reading);
    let about = format!("{}, {}", one_line(control.kind.name()), control.side.name());
    let model = model_score(aqi, control.side).map(|score| score.value);
    let values = [control.score.value, model.unwrap_or(f64::NAN)];
    let decimals = decimals(&values, control.excess.map(|excess| excess.value));
    let score = fixed(control.score.value, decimals);
    let compared = match model {
        Some(model) => format!("AQI-S {score} against the model's {}", fixed(model, decimals)),
        None => format!("AQI-S {score}"),
    };
    let excess = match control.excess.map(|excess| (excess.value, excess.interval)) {
        Some((value, Some([low, high]))) => {
            let [value, low, high] = [value, low, high].map(|x| signed(x, decimals));
            format!("; excess {value}, {} interval {low} to {high}", level(reading))
        }
        Some((value, None)) => format!("; excess {}", signed(value, decimals)),
        None => String::new(),
    };
    let said = match verdict {
        Verdict::NotMeasured => "there is no score of the model to compare it with",
        Verdict::TooFew => "too few rows to compare it with the model",
        Verdict::AboveControl => {
            "the model separates safe from unsafe prompts more than this control"
        }
        Verdict::ControlUndecided => {
            "it can't be told whether the model separates more than this control"
        }
        _ => match control.kind {
            ControlKind::EmbeddingLayer => {
                "the model does not separate safe from unsafe prompts detectably more than the words \
                 of the prompts alone do, which may account for its separation"
            }
            ControlKind::RandomTwin => {
                "the model does not separate safe from unsafe prompts detectably more than random \
                 weights do, so that the prompts themselves may account for its separation"
            }
            ControlKind::ShuffledLabels => {
                "the model does not score detectably higher than labels without meaning: its score is \
                 not to be relied on"
            }
            ControlKind::Other(_) => "this control may account for the model's separation",
        },
    };
    Finding { text: format!("{about}: {said} ({compared}{excess})."), about, verdict }
}
