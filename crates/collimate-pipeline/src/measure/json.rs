//! A comparison as JSON.

use collimate_aqi::{AxiomReport, Delta, LayerReport, Outcome, Report};
use collimate_eval::{Alignment, Computed, LayerChange};
use serde_json::{Map, Value, json};

use super::{Comparison, Measured};

impl Comparison {
    /// All numbers: `before`, `after` and `delta`; what was not asked for is absent.
    #[must_use]
    pub fn json(&self, names: [&str; 2]) -> Value {
        let alignment = self.alignment.as_ref();
        let mut delta = Map::new();
        if let Some(alignment) = alignment {
            let change = &alignment.change;
            delta = headline(&change.headline);
            let per_axiom = change.per_axiom.iter().map(|(name, of)| (name.clone(), computed(of)));
            delta.insert("per_axiom".to_owned(), per_axiom.collect::<Map<_, _>>().into());
            let layer = |of: &LayerChange| {
                let mut value = computed(&of.delta);
                value["layer"] = of.layer.into();
                value["p_holm"] = of.p_holm.into();
                value
            };
            delta.insert("per_layer".to_owned(), change.per_layer.iter().map(layer).collect());
        }
        if let Some(refusals) = &self.refusals {
            delta.insert("refusals".to_owned(), json!(refusals));
        }
        if let Some(loss) = &self.loss {
            delta.insert("loss".to_owned(), json!(loss));
        }
        if let Some(rating) = self.rating {
            delta.insert("judge_score".to_owned(), json!(rating));
        }
        let [before, after] = names;
        json!({
            "before": model(before, &self.before, alignment.map(|of| &of.before)),
            "after": model(after, &self.after, alignment.map(|of| &of.after)),
            "delta": delta,
        })
    }
}

/// One model: the headline with its axioms, its layers, and all else.
fn model(name: &str, measured: &Measured, alignment: Option<&Alignment>) -> Map<String, Value> {
    let mut found = Map::new();
    let mut more = vec![("model", name.into())];
    if let Some(alignment) = alignment {
        found = scores(&alignment.headline);
        let axiom = |of: &AxiomReport| {
            let value = match &of.outcome {
                Outcome::Report(report) => scores(report).into(),
                Outcome::Skipped(why) => json!({"not_computed": why}),
                _ => Value::Null,
            };
            (of.axiom.clone(), value)
        };
        let per_axiom: Map<_, _> = alignment.headline.axioms.iter().map(axiom).collect();
        let layer = |of: &LayerReport| {
            let mut value = scores(&of.report);
            value.insert("layer".to_owned(), of.layer.into());
            Value::from(value)
        };
        more.push(("per_axiom", per_axiom.into()));
        let mut per_layer: Vec<Value> = alignment.per_layer.iter().map(layer).collect();
        let not_scored = alignment.not_scored.iter();
        per_layer
            .extend(not_scored.map(|(layer, why)| json!({"layer": layer, "not_computed": why})));
        per_layer.sort_by_key(|layer| layer["layer"].as_u64());
        more.push(("per_layer", per_layer.into()));
        more.push(("controls", json!(alignment.controls)));
        if let Some(fit) = &alignment.fit {
            more.push(("layer_weights", json!(fit.weights.values())));
        }
    }
    if let Some(held_out) = &measured.held_out {
        more.push(("perplexity", held_out.perplexity.into()));
        more.push(("held_out_loss", held_out.loss.into()));
        more.push(("held_out_tokens", held_out.tokens.into()));
        more.push(("token_accuracy", held_out.token_accuracy.into()));
    }
    if let Some(texts) = &measured.texts {
        more.push(("texts", json!(texts)));
    }
    if let Some(rates) = measured.refusals() {
        more.push(("refusal_rate", json!(rates.unsafe_prompts.refused.share)));
        more.push(("over_refusal_rate", json!(rates.safe_prompts.refused.share)));
        more.push(("refusals", json!(rates)));
    }
    if let Some(ratings) = &measured.ratings {
        more.push(("judge_score", json!(ratings.mean)));
        more.push(("judge", json!(ratings)));
    }
    if let Some(speed) = &measured.speed {
        more.push(("speed", json!(speed)));
        more.push(("peak_memory_bytes", measured.peak_memory.into()));
    }
    found.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    found
}

fn scores(report: &Report) -> Map<String, Value> {
    let value = json!({
        "aqi_s": report.aqi_s,
        "aqi_s_ci95": report.aqi_s_ci95,
        "chi": report.chi,
        "xbi": report.xbi,
        "p_value": report.p_value,
        "n_per_class": report.n_per_class,
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn computed(of: &Computed<Delta>) -> Value {
    match of {
        Computed::Is(delta) => headline(delta).into(),
        Computed::Not { not_computed } => json!({"not_computed": not_computed}),
        _ => Value::Null,
    }
}

/// The interval is that of the difference before it is clipped at zero.
fn headline(delta: &Delta) -> Map<String, Value> {
    let value = json!({
        "aqi_s": delta.delta_aqi_s,
        "unclipped": 100.0 * delta.delta,
        "ci95": [100.0 * delta.lower, 100.0 * delta.upper],
        "p_value": delta.p_value,
        "sign_flip_p_value": delta.sign_flip_p_value,
        "n": delta.paired_rows,
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
