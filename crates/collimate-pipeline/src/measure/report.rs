//! A comparison as a report shows it.

use collimate_aqi::{Delta, Report as AqiReport};
use collimate_data::{PromptSet, SafetyLabel};
use collimate_eval::{
    Alignment, AlignmentComparison, Computed, HiddenStates, JudgeOutcome, JudgeReport, MeanChange,
    PairedChange, Pool, Proportion, RefusalChanges,
};
use collimate_report::{
    AqiComparison, Basis, Better, Control, ControlKind, Estimate, Measure, MeasureGroup, Model,
    Projection, Report, ReportError, Response, Safety, Side, Table,
};
use ndarray::Axis;

use super::{Comparison, MeasureConfig, Measured};

/// Answers that are shown of each kind of prompt.
const SHOWN: usize = 12;

impl Comparison {
    /// What a report shows of it, without settings and lineage.
    ///
    /// # Errors
    ///
    /// [`ReportError`]: the hidden states can't be drawn.
    pub fn report(
        &self,
        title: &str,
        names: [&str; 2],
        probes: &PromptSet,
        config: &MeasureConfig,
    ) -> Result<Report, ReportError> {
        let [before, after] = names.map(Model::new);
        let mut report = Report::new(title, before, after);
        if let Some(alignment) = &self.alignment {
            report.aqi = Some(aqi(alignment));
            report.projections = self.projection(probes, config)?.into_iter().collect();
        }
        let groups = [
            self.refusals_group(config),
            self.ratings_group(),
            self.texts_group(),
            self.speed_group(),
        ];
        report.groups = groups.into_iter().flatten().collect();
        report.tables = self.refusals_by_axiom().into_iter().collect();
        report.responses = self.answers(probes);
        let found = probes.report();
        report.notes.push(format!(
            "{} safe and {} unsafe prompts, {} groups of paraphrases or single ones, {} axioms.",
            found.all.safe,
            found.all.r#unsafe,
            found.groups,
            found.axioms.len()
        ));
        Ok(report)
    }

    fn projection(
        &self,
        probes: &PromptSet,
        config: &MeasureConfig,
    ) -> Result<Option<Projection>, ReportError> {
        let (Some(before), Some(after)) = (&self.before.states, &self.after.states) else {
            return Ok(None);
        };
        let prompts: Vec<(String, Safety)> = probes
            .prompts()
            .iter()
            .enumerate()
            .map(|(row, prompt)| {
                let safety = match prompt.safety.label {
                    SafetyLabel::Safe => Safety::Safe,
                    _ => Safety::Unsafe,
                };
                (format!("prompt {row}"), safety)
            })
            .collect();
        let last = |states: &HiddenStates| {
            let at = states.layers.len().saturating_sub(1);
            states.states.index_axis(Axis(1), at).to_owned()
        };
        let layer = before.layers.last().copied().unwrap_or(0);
        let (before, after) = (last(before), last(after));
        let pool = match config.states.pool {
            Pool::Mean => "mean of the tokens",
            _ => "last token",
        };
        let asked = if config.chat { ", as asked" } else { "" };
        let name = format!("layer {layer}, {pool}{asked}");
        Projection::new(name, before.view(), after.view(), &prompts, Basis::Separate).map(Some)
    }

    fn refusals_group(&self, config: &MeasureConfig) -> Option<MeasureGroup> {
        let changes = self.refusals.as_ref()?;
        let most = config.answers.unwrap_or_default();
        let note = format!(
            "By the words of the answers, of at most {most} tokens; p-values are McNemar's."
        );
        Some(MeasureGroup::new("Refusals", refusals(changes)).with_note(note))
    }

    fn refusals_by_axiom(&self) -> Option<Table> {
        let per_axiom = &self.refusals.as_ref()?.per_axiom;
        if per_axiom.is_empty() {
            return None;
        }
        let columns = ["axiom", "unsafe, before", "unsafe, after", "safe, before", "safe, after"];
        let shown = |of: &Proportion| format!("{} of {}", of.count, of.of);
        let row = |(axiom, changes): (&String, &RefusalChanges)| {
            let (refused, over) = (&changes.unsafe_prompts.refused, &changes.safe_prompts.refused);
            let numbers = [&refused.before, &refused.after, &over.before, &over.after].map(shown);
            std::iter::once(axiom.clone()).chain(numbers).collect::<Vec<String>>()
        };
        let table = Table::new("Refusals by axiom", columns);
        Some(per_axiom.iter().map(row).fold(table, Table::with_row))
    }

    fn ratings_group(&self) -> Option<MeasureGroup> {
        let (before, after) = (self.before.ratings.as_ref()?, self.after.ratings.as_ref()?);
        let name = format!("G-Eval, {}", before.rubric.name);
        let mut measure = Measure::new(name).with_better(Better::Higher);
        let mean =
            |ratings: &JudgeReport| Some(Estimate::new(ratings.mean?).with_n(ratings.scored));
        (measure.before, measure.after) = (mean(before), mean(after));
        measure.change = self.rating.as_ref().map(mean_change);
        if measure.before.is_none() || measure.after.is_none() {
            let mut outcomes = [before, after].into_iter().flat_map(|ratings| &ratings.scores);
            measure.absent = outcomes.find_map(|outcome| match outcome {
                JudgeOutcome::Failed(why) => Some(why.clone()),
                _ => None,
            });
        }
        let note = format!(
            "Rated by {} from {} to {}; {} answers before and {} after could be rated.",
            before.judge, before.rubric.worst, before.rubric.best, before.scored, after.scored
        );
        Some(MeasureGroup::new("Judge", [measure]).with_note(note))
    }

    fn texts_group(&self) -> Option<MeasureGroup> {
        let of = |measured: &Measured| measured.held_out.clone();
        let (before, after) = (of(&self.before)?, of(&self.after)?);
        let mut measures = Vec::new();
        let mut loss = Measure::new("Loss of held-out rows")
            .with_unit("nats per token")
            .with_better(Better::Lower)
            .with_before(Estimate::new(before.loss).with_n(before.rows))
            .with_after(Estimate::new(after.loss).with_n(after.rows));
        match &self.loss {
            Some(Computed::Is(change)) => loss.change = Some(mean_change(change)),
            Some(Computed::Not { not_computed }) => loss.absent = Some(not_computed.clone()),
            _ => {}
        }
        measures.push(loss);
        measures.push(plain(
            "Perplexity of held-out rows",
            Better::Lower,
            before.perplexity,
            after.perplexity,
        ));
        measures.push(
            plain(
                "Token accuracy on held-out rows",
                Better::Higher,
                100.0 * before.token_accuracy,
                100.0 * after.token_accuracy,
            )
            .with_unit("%"),
        );
        if let (Some(before), Some(after)) = (self.before.texts, self.after.texts) {
            let pairs = [
                ("BLEU", before.bleu, after.bleu),
                ("chrF", before.chrf, after.chrf),
                ("ROUGE-L", before.rouge_l, after.rouge_l),
                ("Exact match", before.exact_match, after.exact_match),
                ("Token F1", before.token_f1, after.token_f1),
            ];
            measures.extend(
                pairs.map(|(name, before, after)| plain(name, Better::Higher, before, after)),
            );
        }
        Some(MeasureGroup::new("Held-out rows", measures))
    }

    fn speed_group(&self) -> Option<MeasureGroup> {
        let (before, after) = (self.before.speed?, self.after.speed?);
        let milliseconds =
            |name, before, after| plain(name, Better::Lower, before, after).with_unit("ms");
        let (was, is) = (before.latency_ms, after.latency_ms);
        let first = (before.first_token_ms.p50, after.first_token_ms.p50);
        let mut measures = vec![
            milliseconds("Latency, median", was.p50, is.p50),
            milliseconds("Latency, 90th percentile", was.p90, is.p90),
            milliseconds("Latency, 99th percentile", was.p99, is.p99),
            milliseconds("First token, median", first.0, first.1),
        ];
        let rate = (before.tokens_per_second, after.tokens_per_second);
        if let (Some(before), Some(after)) = rate {
            let rate = plain("Generation", Better::Higher, before, after);
            measures.push(rate.with_unit("tokens per second"));
        }
        if let (Some(before), Some(after)) = (self.before.peak_memory, self.after.peak_memory) {
            let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let (before, after) = (mebibytes(before), mebibytes(after));
            measures.push(plain("Peak memory", Better::Lower, before, after).with_unit("MiB"));
        }
        let note = format!(
            "{} answers of {} tokens each, one after the other.",
            before.answers, before.new_tokens
        );
        Some(MeasureGroup::new("Speed and memory", measures).with_note(note))
    }

    /// Answers to some prompts of each label.
    fn answers(&self, probes: &PromptSet) -> Vec<Response> {
        let pairs = self.before.responses.iter().zip(&self.after.responses);
        let mut shown = [0; 2];
        let mut found = Vec::new();
        for (prompt, (before, after)) in probes.prompts().iter().zip(pairs) {
            let label = prompt.safety.label;
            let shown = &mut shown[usize::from(label == SafetyLabel::Safe)];
            if *shown == SHOWN {
                continue;
            }
            *shown += 1;
            let kind = match &prompt.axiom {
                Some(axiom) => format!("{}, {axiom}", label.name()),
                None => label.name().to_owned(),
            };
            found.push(
                Response::new(&prompt.input)
                    .with_kind(kind)
                    .with_before(&before.text)
                    .with_after(&after.text),
            );
        }
        found
    }
}

fn aqi(alignment: &AlignmentComparison) -> AqiComparison {
    let (before, after) = (&alignment.before, &alignment.after);
    let change = &alignment.change;
    let mut found =
        AqiComparison::from_reports(&before.headline, &after.headline, Some(&change.headline));
    for axiom in &mut found.axioms {
        set(axiom, change.per_axiom.get(&axiom.name));
    }
    let of = |alignment: &Alignment, layer: usize| -> Option<AqiReport> {
        let of_layer = alignment.per_layer.iter().find(|of| of.layer == layer);
        of_layer.map(|of| of.report.clone())
    };
    for layer in &change.per_layer {
        let number = layer.layer;
        let (before, after) = (of(before, number), of(after, number));
        let name = format!("layer {number}");
        let mut measure = Measure::of_aqi(name, before.as_ref(), after.as_ref(), None);
        set(&mut measure, Some(&layer.delta));
        found.layers.insert(number, measure);
    }
    let sides = [(Side::Before, before), (Side::After, after)];
    found.controls = sides.into_iter().flat_map(|(side, of)| controls(side, of)).collect();
    found
}

fn set(measure: &mut Measure, change: Option<&Computed<Delta>>) {
    match change {
        Some(Computed::Is(delta)) => measure.change = Some(Estimate::of_delta(delta)),
        Some(Computed::Not { not_computed }) => measure.absent = Some(not_computed.clone()),
        _ => {}
    }
}

fn mean_change(change: &MeanChange) -> Estimate {
    let [low, high] = change.ci95;
    Estimate::new(change.difference)
        .with_interval(low, high)
        .with_p_value(change.p_value)
        .with_n(change.n)
}

fn plain(name: &str, better: Better, before: f64, after: f64) -> Measure {
    Measure::new(name)
        .with_better(better)
        .with_before(Estimate::new(before))
        .with_after(Estimate::new(after))
}

fn controls(side: Side, alignment: &Alignment) -> Vec<Control> {
    let controls = &alignment.controls;
    let excess = [
        (ControlKind::EmbeddingLayer, &controls.excess_over_embedding),
        (ControlKind::RandomTwin, &controls.excess_over_random_twin),
    ];
    let mut found: Vec<Control> = excess
        .into_iter()
        .filter_map(|(kind, excess)| {
            let excess = excess.as_ref()?.value()?;
            // What the model exceeds stands before.
            let score = Estimate::new(100.0 * excess.before.max(0.0)).with_n(excess.paired_rows);
            Some(Control::new(kind, side, score).with_excess(Estimate::of_delta(excess)))
        })
        .collect();
    let shuffled = Estimate::new(controls.shuffled_aqi_s);
    found.push(Control::new(ControlKind::ShuffledLabels, side, shuffled));
    found
}

fn refusals(changes: &RefusalChanges) -> Vec<Measure> {
    let share = |proportion: &Proportion| {
        let [low, high] = proportion.ci95.map(|end| 100.0 * end);
        let share = proportion.share?;
        let n = usize::try_from(proportion.of).unwrap_or(usize::MAX);
        Some(Estimate::new(100.0 * share).with_interval(low, high).with_n(n))
    };
    let measure = |name, better, change: &PairedChange| {
        let difference = change.difference?;
        let n = usize::try_from(change.before.of).unwrap_or(usize::MAX);
        let [low, high] = change.ci95;
        let estimate = Estimate::new(100.0 * difference)
            .with_interval(100.0 * low, 100.0 * high)
            .with_p_value(change.p_value)
            .with_n(n);
        Some(
            Measure::new(name)
                .with_unit("%")
                .with_better(better)
                .with_before(share(&change.before)?)
                .with_after(share(&change.after)?)
                .with_change(estimate),
        )
    };
    let (refused, over) = (&changes.unsafe_prompts.refused, &changes.safe_prompts.refused);
    let refused = measure("Refusals of unsafe prompts", Better::Higher, refused);
    let over = measure("Refusals of safe prompts", Better::Lower, over);
    [refused, over].into_iter().flatten().collect()
}
