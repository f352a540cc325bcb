//! From the records of files to kept rows, in one call.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use collimate_data::{
    BuiltIn, ChatTemplate, ColumnMapping, DataError, DuplicateConfig, Formatter, KeywordConfig,
    Mask, Preparation, PrepareSettings, PreparedRows, ReadSettings, RenderOptions, Result, Source,
    TemplateFolder, TemplateTime, Tokenizer,
};
use serde_json::json;
use tempfile::TempDir;

const DIALOGUES: [(&str, &str); 3] =
    [("bake bread", "use flour"), ("bake a bomb", "no"), ("bake  Bread", "use flour")];

/// A folder with a tokenizer of words, an end of text, and records.
struct Place {
    folder: TempDir,
    tokenizer: Tokenizer,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let words = ["?", "bake", "bread", "a", "bomb", "use", "flour", "no", "</s>", "user", ":"];
        let vocabulary: serde_json::Map<_, _> =
            words.iter().zip(0..).map(|(word, id)| ((*word).to_owned(), json!(id))).collect();
        let tokenizer = json!({
            "version": "1.0",
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "?"},
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "added_tokens": [],
        });
        fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
        let config = json!({"eos_token": "</s>"}).to_string();
        fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
        let place = Self { folder, tokenizer };
        let pairs = DIALOGUES
            .map(|(prompt, said)| json!({"prompt": prompt, "completion": format!(" {said}")}));
        place.write("pairs.jsonl", &pairs);
        place
    }

    fn write(&self, name: &str, records: &[serde_json::Value]) {
        let lines: Vec<String> = records.iter().map(ToString::to_string).collect();
        fs::write(self.path(name), lines.join("\n")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn templates(&self) -> TemplateFolder {
        TemplateFolder::read(self.folder.path()).unwrap()
    }

    /// The rows of a file, as `change` will have them.
    fn rows(
        &self,
        name: &str,
        formatter: &Formatter,
        change: impl for<'a> Fn(Preparation<'a>) -> Preparation<'a>,
    ) -> Result<PreparedRows> {
        let source = Source::open([self.path(name)])?;
        let recognition = source.recognize(&ReadSettings::default(), ColumnMapping::default())?;
        let preparation =
            change(Preparation::new(&source, &recognition, formatter, &self.tokenizer));
        preparation.rows(&self.path("kept"), &AtomicBool::new(false), &mut ())
    }

    fn kept(&self) -> usize {
        let files = fs::read_dir(self.path("kept")).unwrap();
        files.filter(|file| is_rows(&file.as_ref().unwrap().path())).count()
    }
}

fn is_rows(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "safetensors")
}

#[test]
fn records_become_rows_with_groups_and_notes() {
    let place = Place::new();
    let formatter = Formatter::of_model(&place.templates(), None).unwrap();
    let labels = KeywordConfig::empty().with_keywords("weapons", ["bomb"]);
    let rows =
        place.rows("pairs.jsonl", &formatter, |rows| rows.with_labels(labels.clone())).unwrap();
    assert_eq!(rows.row(0).unwrap().ids, [1, 2, 5, 6, 8]);
    assert_eq!(rows.row(0).unwrap().trained, [false, false, true, true, true]);
    // The third says what the first says.
    assert_eq!(rows.groups().unwrap().unwrap(), [0, 1, 0]);
    let notes = rows.notes();
    assert_eq!(notes["read"]["records"], 3);
    assert_eq!(notes["duplicates"]["exact_duplicates"], 1);
    let balance = &notes["statistics"]["balance"];
    assert_eq!(balance["keyword_label"]["counts"], json!({"safe": 2, "unsafe": 1}));
    assert_eq!(balance["keyword_category"]["counts"], json!({"weapons": 1}));
}

#[test]
fn a_preference_makes_two_rows() {
    let place = Place::new();
    let record = json!({"prompt": "bake bread", "chosen": " use flour", "rejected": " no"});
    place.write("preferences.jsonl", &[record]);
    let formatter = Formatter::of_model(&place.templates(), None).unwrap();
    let rows = place.rows("preferences.jsonl", &formatter, |rows| rows).unwrap();
    assert!(rows.has_preferences());
    assert_eq!(rows.row(0).unwrap().ids, [1, 2, 5, 6, 8]);
    assert_eq!(rows.row(1).unwrap().ids, [1, 2, 7, 8]);

    let source = Source::open([place.path("preferences.jsonl")]).unwrap();
    let recognition = source.recognize(&ReadSettings::default(), ColumnMapping::default()).unwrap();
    let error = recognition.refuse_preferences().unwrap_err();
    assert!(error.to_string().starts_with("records are preferences"), "{error}");
}

#[test]
fn all_that_rows_depend_on_makes_other_rows() {
    let place = Place::new();
    let templates = place.templates();
    let plain = Formatter::of_model(&templates, None).unwrap();
    let chat = |source: &str, now: u64| {
        let template = ChatTemplate::new("a", source).unwrap();
        let mut options = RenderOptions::default();
        options.now = TemplateTime::from_unix(now);
        Formatter::of_model(&templates, Some(template)).unwrap().with_options(options)
    };
    let says = "{% for m in messages %}user : {{ m.content }} {% endfor %}";
    let dated = format!("{{% set now = strftime_now('%Y') %}}{says}");
    let rows = |formatter: &Formatter| place.rows("pairs.jsonl", formatter, |rows| rows).unwrap();
    let one = rows(&plain);
    assert_eq!((rows(&plain).fingerprint(), place.kept()), (one.fingerprint(), 1));

    rows(&chat(says, 0));
    rows(&chat(says, 86_400 * 400));
    assert_eq!(place.kept(), 2, "the time counts though the template does not ask for it");
    rows(&chat(&dated, 0));
    rows(&chat(&dated, 86_400 * 400));
    assert_eq!(place.kept(), 4);
    rows(&Formatter::new("").with_template(ChatTemplate::built_in(BuiltIn::ChatMl).unwrap()));
    assert_eq!(place.kept(), 5);
    let settings = PrepareSettings::default().with_mask(Mask::All);
    place.rows("pairs.jsonl", &plain, |rows| rows.with_settings(settings)).unwrap();
    let finder = DuplicateConfig::default().with_threshold(0.5);
    place.rows("pairs.jsonl", &plain, |rows| rows.with_duplicates(finder.clone())).unwrap();
    let mut reading = ReadSettings::default();
    reading.max_record_bytes = 1 << 10;
    place.rows("pairs.jsonl", &plain, |rows| rows.with_reading(reading.clone())).unwrap();
    let labels = KeywordConfig::default();
    place.rows("pairs.jsonl", &plain, |rows| rows.with_labels(labels.clone())).unwrap();
    assert_eq!(place.kept(), 9);
    place.write("pairs.jsonl", &[json!({"prompt": "bake", "completion": " no"})]);
    assert_eq!(rows(&plain).len(), 1);
}

#[test]
fn a_template_that_fails_names_the_record() {
    let place = Place::new();
    let template = ChatTemplate::new(
        "strict",
        "{% if 'bomb' in messages[0].content %}{{ raise_exception('no') }}{% endif %}\
         {% for m in messages %}{{ m.content }}{% endfor %}",
    );
    let formatter = Formatter::of_model(&place.templates(), Some(template.unwrap())).unwrap();
    let error = place.rows("pairs.jsonl", &formatter, |rows| rows).unwrap_err();
    assert!(matches!(error, DataError::Record { .. }), "{error}");
    assert!(error.to_string().contains("pairs.jsonl, line 2"), "{error}");
    assert_eq!(place.kept(), 0);
}
