use std::path::Path;

use collimate_pipeline::{Recipe, RecipeFormat};
use serde_json::Value;

use super::yaml;

const EXAMPLE: &str = include_str!("../../recipes/example.yaml");

/// The example with the marks taken away before fields.
fn uncommented(but: &[&str]) -> String {
    let line = |line: &str| {
        let rest = line.trim_start();
        let indent = line.len() - rest.len();
        let field = rest.strip_prefix("# ").filter(|field| {
            let name = field.split_once(": ").map_or("", |(name, _)| name);
            !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
        });
        match field {
            Some(field) if !but.iter().any(|name| field.starts_with(name)) => {
                format!("{}{field}\n", " ".repeat(indent))
            }
            _ => format!("{line}\n"),
        }
    };
    EXAMPLE.lines().map(line).collect()
}

#[test]
fn the_example_is_the_default() {
    let default = Recipe::default().check().unwrap();
    assert_eq!(&yaml(EXAMPLE), default.recipe());
    // Two that make sense only with others are said to, where they are given.
    let stated = uncommented(&["fit_share:", "threshold:"]);
    let stated = Recipe::parse(&stated, RecipeFormat::Yaml, Path::new("/r.yaml"), &[]).unwrap();
    let folder = default.recipe().output.folder.clone();
    let output = stated.recipe().output.clone().with_folder(folder);
    assert_eq!(&stated.recipe().clone().with_output(output), default.recipe());
    let others = "training: {patience: 3, threshold: 0.0}\n\
                  evaluation: {layers: fitted, fit_share: 0.5}\n";
    let others = yaml(others);
    assert_eq!(others.training.threshold, default.recipe().training.threshold);
    assert_eq!(others.evaluation.fit_share, default.recipe().evaluation.fit_share);
}

#[test]
fn the_example_has_every_field() {
    let all = serde_json::to_value(Recipe::default()).unwrap();
    let text = uncommented(&[]);
    let stated: Vec<&str> =
        text.lines().filter_map(|line| Some(line.trim_start().split_once(':')?.0)).collect();
    let mut count = 0;
    each_name(&all, &mut |name| {
        count += 1;
        assert!(stated.contains(&name), "{name}");
    });
    assert!(count > 80, "{count}");
}

fn each_name<'a>(value: &'a Value, found: &mut impl FnMut(&'a str)) {
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            found(name);
            each_name(value, found);
        }
    }
}
