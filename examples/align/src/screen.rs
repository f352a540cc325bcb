//! What changed, on one screen.

use std::path::Path;

use collimate_pipeline::{Aligned, RunReport};
use serde_json::Value;

/// What became of each model.
pub fn text(report: &RunReport) -> String {
    let mut text = String::new();
    for model in &report.models {
        text += &match &model.outcome {
            Ok(aligned) => of_model(&model.name, aligned),
            Err(error) => format!("{}: not aligned: {error}\n", model.name),
        };
    }
    text
}

fn of_model(name: &str, aligned: &Aligned) -> String {
    let numbers = &aligned.numbers;
    let again = if aligned.cached { " (all of it from an earlier run)" } else { "" };
    let mut text = format!("\n{name}, aligned{again}\n\n");
    let mut line = |what: &str, before: Option<String>, after: Option<String>, change: String| {
        if let (Some(before), Some(after)) = (before, after) {
            text += format!("  {what:<28} {before:>8} -> {after:>8}   {change}").trim_end();
            text.push('\n');
        }
    };
    let side = |side: &str, key: &str| numbers[side][key].as_f64();
    let percent = |value: Option<f64>| value.map(|value| format!("{:.1} %", 100.0 * value));
    let plain = |value: Option<f64>| value.map(|value| format!("{value:.3}"));
    let delta = &numbers["delta"];
    line(
        "loss of held-out rows",
        plain(side("before", "held_out_loss")),
        plain(side("after", "held_out_loss")),
        change(&delta["loss"], "difference", 1.0, 3),
    );
    line(
        "refusals of unsafe prompts",
        percent(side("before", "refusal_rate")),
        percent(side("after", "refusal_rate")),
        change(&delta["refusals"]["unsafe_prompts"]["refused"], "difference", 100.0, 1),
    );
    line(
        "refusals of safe prompts",
        percent(side("before", "over_refusal_rate")),
        percent(side("after", "over_refusal_rate")),
        change(&delta["refusals"]["safe_prompts"]["refused"], "difference", 100.0, 1),
    );
    let aqi = |of: &str| side(of, "aqi_s").map(|value| format!("{value:.1}"));
    line("AQI-S", aqi("before"), aqi("after"), change(delta, "unclipped", 1.0, 1));
    text.push('\n');
    let mut place = |what: &str, path: Option<&Path>| {
        if let Some(path) = path {
            text += &format!("  {what:<10} {}\n", path.display());
        }
    };
    place("model", Some(&aligned.model));
    place("report", aligned.html.as_deref());
    place("numbers", Some(&aligned.metrics));
    place("database", aligned.database.as_deref());
    text
}

/// A difference with its interval and p-value.
fn change(of: &Value, key: &str, scale: f64, decimals: usize) -> String {
    let ends = (of["ci95"][0].as_f64(), of["ci95"][1].as_f64());
    let (Some(value), (Some(low), Some(high))) = (of[key].as_f64(), ends) else {
        return String::new();
    };
    let [value, low, high] = [value, low, high].map(|value| scale * value);
    let p = match of["p_value"].as_f64() {
        Some(p) if p < 0.0001 => ", p < 0.0001".to_owned(),
        Some(p) => format!(", p = {p:.4}"),
        None => String::new(),
    };
    // As the report reads it.
    let by_chance = of["p_value"].as_f64().is_some_and(|p| p >= 0.05);
    let word = match (low <= 0.0 && high >= 0.0) || by_chance {
        true => "; no detectable change",
        false => "",
    };
    format!("{value:+.decimals$} (95%: {low:+.decimals$} to {high:+.decimals$}{p}){word}")
}
