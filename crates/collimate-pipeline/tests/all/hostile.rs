use std::fs::{self, File};

use collimate_pipeline::{Recipe, RecipeError, RecipeFormat};

use super::fields::{JSON, TOML, YAML};
use super::{parsed, refused, yaml};

#[test]
fn deep_nesting_is_refused() {
    for depth in [100, 100_000] {
        let list = format!("models: {}{}\n", "[".repeat(depth), "]".repeat(depth));
        assert!(matches!(parsed(RecipeFormat::Yaml, &list), Err(RecipeError::Syntax { .. })));
        let json = format!("{{\"models\": {}", "[".repeat(depth.max(200)));
        assert!(matches!(parsed(RecipeFormat::Json, &json), Err(RecipeError::Syntax { .. })));
        let toml = format!("models = {}{}\n", "[".repeat(depth), "]".repeat(depth));
        assert!(matches!(parsed(RecipeFormat::Toml, &toml), Err(RecipeError::Syntax { .. })));
        let keys = format!("{} = 1\n", vec!["a"; depth].join("."));
        assert!(matches!(parsed(RecipeFormat::Toml, &keys), Err(RecipeError::Syntax { .. })));
    }
    let block: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(matches!(parsed(RecipeFormat::Yaml, &block), Err(RecipeError::Syntax { .. })));
}

#[test]
fn aliases_don_t_multiply() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..12 {
        let before = vec![format!("*a{}", at - 1); 10].join(", ");
        bomb.push_str(&format!("a{at}: &a{at} [{before}]\n"));
    }
    assert!(matches!(parsed(RecipeFormat::Yaml, &bomb), Err(RecipeError::Syntax { .. })));
    // One that is used once is fine.
    let recipe = yaml("data: {paths: &where /a.jsonl}\nevaluation: {probes: *where}\n");
    assert_eq!(recipe.evaluation.probes.as_deref(), Some("/a.jsonl"));
}

#[test]
fn a_large_file_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.yaml");
    // A hole, so that the disk needs no room; reading it would.
    File::create(&path).unwrap().set_len(100 << 20).unwrap();
    let error = Recipe::read(&path, &[]).unwrap_err();
    assert!(matches!(error, RecipeError::TooLarge { limit: 1_048_576, .. }), "{error}");
}

#[test]
fn a_file_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| Recipe::read(folder.path().join(name), &[]).unwrap_err();
    assert!(matches!(read("absent.yaml"), RecipeError::Read { .. }));
    assert!(matches!(read("recipe.txt"), RecipeError::Format { .. }));
    fs::write(folder.path().join("latin.yaml"), b"seed: 1\noutput: {name: \xe9}\n").unwrap();
    let message = read("latin.yaml").to_string();
    assert!(message.ends_with("latin.yaml:2: it is not UTF-8"), "{message}");
}

#[test]
fn keys_that_stand_twice_are_refused() {
    assert_eq!(refused("seed: 1\ndata: {}\nseed: 2\n"), "r.yaml:3: `seed` stands twice");
    let message = parsed(RecipeFormat::Toml, "seed = 1\nseed = 2\n").unwrap_err().to_string();
    assert!(message.starts_with("r.toml:2: "), "{message}");
    let message =
        parsed(RecipeFormat::Json, "{\"seed\": 1,\n\"seed\": 2}").unwrap_err().to_string();
    assert!(message.starts_with("r.json:2: `seed` stands twice"), "{message}");
}

#[test]
fn numbers_are_finite() {
    for value in [".nan", ".inf", "-.inf", "1e999"] {
        let message = refused(&format!("seed: 1\ntraining: {{epochs: {value}}}\n"));
        assert_eq!(message, format!("r.yaml:2: `{value}` is not finite"));
    }
    for value in ["nan", "inf", "1e999"] {
        let error = parsed(RecipeFormat::Toml, &format!("[training]\nepochs = {value}\n"));
        let message = error.unwrap_err().to_string();
        assert_eq!(message, "r.toml:2: a number is not finite");
    }
    assert!(parsed(RecipeFormat::Json, "{\"seed\": 1e999}").is_err());
    assert!(parsed(RecipeFormat::Toml, "seed = 99999999999999999999").is_err());
    assert!(refused("seed: 99999999999999999999\n").starts_with("r.yaml:1: "));
    assert!(refused("method: {rank: 4294967296}\n").starts_with("r.yaml:1: `method.rank`"));
}

#[test]
fn marks_and_ends_of_lines_are_those_of_any_editor() {
    assert_eq!(yaml("\u{feff}seed: 3\r\ntraining:\r\n  epochs: 1\r\n").seed, 3);
    let toml = parsed(RecipeFormat::Toml, "\u{feff}seed = 3\r\n[training]\r\nepochs = 1\r\n");
    assert_eq!(toml.unwrap().recipe().training.epochs, 1.0);
    let json = parsed(RecipeFormat::Json, "\u{feff}{\r\n\t\"seed\": 3\r\n}\r\n");
    assert_eq!(json.unwrap().recipe().seed, 3);
    let message = refused("\u{feff}seed: 3\r\ntraining:\r\n  epoch: 1\r\n");
    assert!(message.starts_with("r.yaml:3: "), "{message}");
    let json = parsed(RecipeFormat::Json, "{\r\n\"sed\": 3}").unwrap_err().to_string();
    assert!(json.starts_with("r.json:2: "), "{json}");
    // YAML has no tabs before what is indented.
    assert!(refused("training:\n\tepochs: 1\n").starts_with("r.yaml:2: "));
}

#[test]
fn what_is_not_of_its_format_is_named_with_its_line() {
    assert!(refused("seed: 1\ndata: [a\n").starts_with("r.yaml:"));
    assert!(refused("seed: !secret 1\n").starts_with("r.yaml:1: "));
    assert_eq!(
        refused("seed: 1\n---\nseed: 2\n"),
        "r.yaml:2: it has more values, documents, depth or aliases than any recipe"
    );
    let message = parsed(RecipeFormat::Toml, "seed = 1\ndata = [\n").unwrap_err().to_string();
    assert!(message.starts_with("r.toml:2: ") || message.starts_with("r.toml:3: "), "{message}");
    let message = parsed(RecipeFormat::Toml, "seed = 1979-05-27\n").unwrap_err().to_string();
    assert_eq!(message, "r.toml:1: a date is no value here");
    let message = parsed(RecipeFormat::Json, "{\n\"seed\": 1,\n}").unwrap_err().to_string();
    assert!(message.starts_with("r.json:3: "), "{message}");
    assert!(parsed(RecipeFormat::Json, "{} {}").is_err());
    assert!(parsed(RecipeFormat::Json, "").is_err());
}

#[test]
fn what_is_cut_or_garbled_is_an_error_or_a_recipe() {
    for (format, text) in
        [(RecipeFormat::Yaml, YAML), (RecipeFormat::Toml, TOML), (RecipeFormat::Json, JSON)]
    {
        let mut refusals = 0;
        for at in 0..text.len() {
            refusals += usize::from(parsed(format, &text[..at]).is_err());
            for garbage in ["", "[", "{", "}", ":", "\"", "-", "9", ".", "\n", "\u{0}", "é"] {
                let garbled = format!("{}{garbage}{}", &text[..at], &text[at + 1..]);
                refusals += usize::from(parsed(format, &garbled).is_err());
            }
        }
        assert!(refusals > text.len(), "{refusals}");
    }
}
