//! A comparison as a database keeps it.

use collimate_aqi::{Outcome, Report};
use collimate_data::{PromptSet, SafetyLabel};
use collimate_eval::{Alignment, Computed, Pool, RefusalOutcome};
use collimate_track::{
    AqiScore, Database, EvaluationSummary, ExperimentId, Interval, ModelResponse, Phase, Result,
    Safety,
};
use serde_json::json;

use super::{Comparison, MeasureConfig, Measured};

impl Comparison {
    /// Records scores, responses and results in an experiment.
    ///
    /// # Errors
    ///
    /// What the database refuses.
    pub fn record(
        &self,
        database: &mut Database,
        experiment: ExperimentId,
        probes: &PromptSet,
        config: &MeasureConfig,
    ) -> Result<()> {
        let pooling = match config.states.pool {
            Pool::Mean => "mean",
            _ => "last",
        };
        for (phase, measured, alignment) in [
            (Phase::Before, &self.before, self.alignment.as_ref().map(|of| &of.before)),
            (Phase::After, &self.after, self.alignment.as_ref().map(|of| &of.after)),
        ] {
            if let Some(alignment) = alignment {
                database.record_scores(experiment, &scores(phase, alignment, pooling))?;
            }
            database.record_responses(experiment, &responses(phase, measured, probes))?;
            database.record_summaries(experiment, &summaries(phase, measured, alignment))?;
        }
        database.record_summaries(experiment, &self.changes())
    }

    fn changes(&self) -> Vec<EvaluationSummary> {
        let change = |name, value| EvaluationSummary::new(Phase::After, name, value);
        let mut found = Vec::new();
        if let Some(alignment) = &self.alignment {
            let delta = &alignment.change.headline;
            let interval = Interval::new(100.0 * delta.lower, 100.0 * delta.upper, delta.level);
            found.push(
                change("aqi_s_change", 100.0 * delta.delta)
                    .with_interval(interval)
                    .with_n(delta.paired_rows as u64)
                    .with_details(json!({"p_value": delta.p_value})),
            );
        }
        for (name, of) in [
            ("loss_change", self.loss.as_ref().and_then(Computed::value)),
            ("judge_score_change", self.rating.as_ref()),
        ] {
            let Some(of) = of else { continue };
            let interval = Interval::new(of.ci95[0], of.ci95[1], 0.95);
            found.push(
                change(name, of.difference)
                    .with_interval(interval)
                    .with_n(of.n as u64)
                    .with_details(json!({"p_value": of.p_value})),
            );
        }
        if let Some(refusals) = &self.refusals {
            for (name, change_of) in [
                ("refusal_rate_change", refusals.unsafe_prompts.refused),
                ("over_refusal_rate_change", refusals.safe_prompts.refused),
            ] {
                let Some(difference) = change_of.difference else { continue };
                let interval = Interval::new(change_of.ci95[0], change_of.ci95[1], 0.95);
                found.push(
                    change(name, difference)
                        .with_interval(interval)
                        .with_n(change_of.before.of)
                        .with_details(json!({"p_value": change_of.p_value})),
                );
            }
        }
        found
    }
}

fn scores(phase: Phase, alignment: &Alignment, pooling: &str) -> Vec<AqiScore> {
    let headline = score(phase, &alignment.headline);
    let layers = alignment
        .per_layer
        .iter()
        .filter_map(|layer| Some(score(phase, &layer.report)?.with_layer(layer.layer.to_string())));
    let axioms = alignment.headline.axioms.iter().filter_map(|axiom| match &axiom.outcome {
        Outcome::Report(report) => Some(score(phase, report)?.with_axiom(&axiom.axiom)),
        _ => None,
    });
    headline.into_iter().chain(layers).chain(axioms).map(|of| of.with_pooling(pooling)).collect()
}

/// None where a class is too small for one.
fn score(phase: Phase, report: &Report) -> Option<AqiScore> {
    let n = |class| report.n_per_class.get(class).copied().unwrap_or(0) as u64;
    let mut score = AqiScore::new(phase, report.aqi_s?, n("safe"), n("unsafe"));
    if let Some(chi) = report.chi {
        score = score.with_indices(chi, report.xbi);
    }
    if let Some([low, high]) = report.aqi_s_ci95 {
        score = score.with_interval(Interval::new(low, high, 0.95));
    }
    match report.p_value {
        Some(p_value) => Some(score.with_p_value(p_value)),
        None => Some(score),
    }
}

fn responses(phase: Phase, measured: &Measured, probes: &PromptSet) -> Vec<ModelResponse> {
    let answered = measured.responses.iter().zip(&measured.cases);
    let of_prompt = |(row, (prompt, (response, case))): (
        usize,
        (&collimate_data::Prompt, (&collimate_eval::Response, &collimate_eval::RefusalCase)),
    )| {
        let safety = match prompt.safety.label {
            SafetyLabel::Safe => Safety::Safe,
            _ => Safety::Unsafe,
        };
        let said = ModelResponse::new(phase, row.to_string(), &prompt.input, &response.text)
            .with_safety(safety)
            .with_refused(case.outcome == RefusalOutcome::Refused)
            .with_tokens(response.tokens as u64);
        let score = measured.ratings.as_ref().and_then(|ratings| ratings.scores.get(row)?.score());
        match score {
            Some(score) => said.with_judge_score(score.score),
            None => said,
        }
    };
    probes.prompts().iter().zip(answered).enumerate().map(of_prompt).collect()
}

fn summaries(
    phase: Phase,
    measured: &Measured,
    alignment: Option<&Alignment>,
) -> Vec<EvaluationSummary> {
    let summary = |name: &str, value| EvaluationSummary::new(phase, name, value);
    let mut found = Vec::new();
    if let Some(alignment) = alignment {
        found.push(summary("shuffled_aqi_s", alignment.controls.shuffled_aqi_s));
    }
    if let Some(held_out) = &measured.held_out {
        let rows = held_out.rows as u64;
        found.push(summary("loss", held_out.loss).with_n(rows));
        found.push(summary("perplexity", held_out.perplexity).with_n(rows));
        found.push(summary("token_accuracy", held_out.token_accuracy).with_n(held_out.tokens));
    }
    if let Some(texts) = &measured.texts {
        for (name, value) in [
            ("bleu", texts.bleu),
            ("chrf", texts.chrf),
            ("rouge_l", texts.rouge_l),
            ("exact_match", texts.exact_match),
            ("token_f1", texts.token_f1),
        ] {
            found.push(summary(name, value).with_n(texts.answers as u64));
        }
    }
    if let Some(rates) = measured.refusals() {
        for (name, rate) in [
            ("refusal_rate", rates.unsafe_prompts.refused),
            ("over_refusal_rate", rates.safe_prompts.refused),
        ] {
            let Some(share) = rate.share else { continue };
            let interval = Interval::new(rate.ci95[0], rate.ci95[1], 0.95);
            found.push(summary(name, share).with_interval(interval).with_n(rate.of));
        }
    }
    if let Some(ratings) = &measured.ratings
        && let Some(mean) = ratings.mean
    {
        let details = json!({"judge": ratings.judge, "rubric": ratings.rubric.name});
        let score = summary("judge_score", mean).with_n(ratings.scored as u64);
        found.push(score.with_details(details));
    }
    if let Some(speed) = &measured.speed {
        for (name, value) in [
            ("latency_ms_p50", Some(speed.latency_ms.p50)),
            ("latency_ms_p90", Some(speed.latency_ms.p90)),
            ("latency_ms_p99", Some(speed.latency_ms.p99)),
            ("tokens_per_second", speed.tokens_per_second),
        ] {
            let Some(value) = value else { continue };
            found.push(summary(name, value).with_n(speed.answers as u64));
        }
    }
    if let Some(bytes) = measured.peak_memory {
        found.push(summary("peak_memory_bytes", bytes as f64));
    }
    found
}
