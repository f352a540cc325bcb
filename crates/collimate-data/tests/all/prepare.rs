//! Special tokens at the ends of rows, truncation, rows without loss, order and cancellation.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use collimate_data::{
    DataError, DataEvent, DropReason, Mask, OnNothingTrained, Origin, Position, PrepareReport,
    PrepareSettings, Rendered, Row, RowBuilder, Tokenizer, Truncation, prepare,
    prepare_preferences,
};
use serde_json::{Value, json};

fn load(name: &str) -> Tokenizer {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers");
    Tokenizer::from_folder(fixtures.join(name)).unwrap()
}

/// A token for each letter and for both ends of a text.
fn letters() -> Tokenizer {
    let token = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let letters = ('a'..='z').zip(2..).map(|(letter, id)| (letter.to_string(), json!(id)));
    let ends = [("<s>".to_owned(), json!(0)), ("</s>".to_owned(), json!(1))];
    let vocabulary: serde_json::Map<String, Value> = ends.into_iter().chain(letters).collect();
    let file = json!({
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "z"},
        "pre_tokenizer": {"type": "Whitespace"},
        "added_tokens": [token(0, "<s>"), token(1, "</s>")],
    });
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
    Tokenizer::from_folder(folder.path()).unwrap()
}

fn origin(line: u64) -> Origin {
    Origin { file: PathBuf::from("data.jsonl").into(), position: Position::Line(line) }
}

fn templated(text: &str, completion: usize) -> Rendered {
    let mut rendered = Rendered::default();
    rendered.text = text.to_owned();
    rendered.assistant = std::iter::once(completion..text.len()).collect();
    rendered.completion = completion;
    rendered.has_special_tokens = true;
    rendered
}

fn untemplated(text: &str, completion: usize) -> Rendered {
    let mut rendered = templated(text, completion);
    rendered.has_special_tokens = false;
    rendered
}

fn row(tokenizer: &Tokenizer, settings: PrepareSettings, rendered: &Rendered) -> Row {
    RowBuilder::new(tokenizer, settings).unwrap().row(rendered, &origin(1)).unwrap()
}

fn run(
    tokenizer: &Tokenizer,
    settings: PrepareSettings,
    rendered: Vec<Rendered>,
) -> Result<(Vec<Row>, PrepareReport), DataError> {
    let builder = RowBuilder::new(tokenizer, settings)?;
    let mut rows = Vec::new();
    let report = prepare(
        &builder,
        rendered.into_iter().zip(1..).map(Ok),
        |(rendered, line)| Ok((rendered, origin(line))),
        &AtomicBool::new(false),
        &mut (),
        |row, _| {
            rows.push(row);
            Ok(())
        },
    )?;
    Ok((rows, report))
}

#[test]
fn there_is_one_bos_whoever_writes_it() {
    let tokenizer = load("sentencepiece");
    let count = |rendered: &Rendered| {
        let row = row(&tokenizer, PrepareSettings::default(), rendered);
        assert_eq!(row.ids[0], 1);
        row.ids.iter().filter(|id| **id == 1).count()
    };
    // The template writes it.
    assert_eq!(count(&templated("<s>[INST] Hi [/INST] Hello</s>", 20)), 1);
    // The template does not, so the tokenizer adds it.
    assert_eq!(count(&untemplated("Hi: Hello</s>", 3)), 1);
    // The template writes it without saying so.
    let doubled = untemplated("<s>[INST] Hi [/INST] Hello</s>", 20);
    assert_eq!(count(&doubled), 1);
    let (_, report) = run(&tokenizer, PrepareSettings::default(), vec![doubled]).unwrap();
    assert_eq!(report.special_tokens_not_repeated, 1);
}

#[test]
fn there_is_one_end_whoever_writes_it() {
    // This tokenizer puts a token at both ends.
    let tokenizer = load("byte_level_trimmed");
    let ends = |rendered: &Rendered| {
        let row = row(&tokenizer, PrepareSettings::default(), rendered);
        assert_eq!((row.ids.first(), row.ids.last()), (Some(&0), Some(&1)));
        assert_eq!(row.trained.last(), Some(&true));
        row.ids.iter().filter(|id| **id < 2).count()
    };
    assert_eq!(ends(&untemplated("Hi: Hello", 3)), 2);
    assert_eq!(ends(&untemplated("Hi: Hello</s>", 3)), 2);
    assert_eq!(ends(&untemplated("<s>Hi: Hello</s>", 6)), 2);
    assert_eq!(ends(&templated("<s>Hi: Hello</s>", 6)), 2);
    // One end is written out, the other is added.
    assert_eq!(ends(&untemplated("<s>Hi: Hello", 6)), 2);
    for mask in [Mask::Assistant, Mask::LastTurn, Mask::All] {
        let settings = PrepareSettings::default().with_mask(mask);
        let row = row(&tokenizer, settings, &untemplated("Hi: Hello", 3));
        assert_eq!(row.trained.last(), Some(&true), "{mask:?}");
    }
}

#[test]
fn padding_that_is_also_the_end_of_text_carries_loss_in_the_text() {
    let tokenizer = load("byte_level_trimmed");
    let special = tokenizer.special_tokens();
    assert_eq!(special.pad, special.eos);
    let row = row(&tokenizer, PrepareSettings::default(), &templated("<s>Q: A</s>", 5));
    assert_eq!(row.trained.last(), Some(&true));
}

#[test]
fn a_long_row_meets_the_chosen_policy() {
    let tokenizer = letters();
    let text = "<s>a b c d e</s>";
    let rendered = templated(text, 7);
    let whole = row(&tokenizer, PrepareSettings::default(), &rendered);
    assert_eq!((whole.len(), whole.trained_tokens()), (7, 4));
    let settings = |truncation| {
        PrepareSettings::default().with_max_length(Some(5)).with_truncation(truncation)
    };
    let run = |truncation| run(&tokenizer, settings(truncation), vec![rendered.clone(); 2]);

    let error = run(Truncation::Error).unwrap_err().to_string();
    assert_eq!(
        error,
        "data.jsonl, line 1: the row has 7 tokens, max_length allows 5; raise it, or choose to drop \
         or to truncate such rows"
    );

    let (rows, report) = run(Truncation::Drop).unwrap();
    assert!(rows.is_empty());
    assert_eq!((report.records, report.rows, report.dropped_records()), (2, 0, 2));
    assert_eq!(
        report.dropped[&DropReason::TooLong].first,
        ["data.jsonl, line 1", "data.jsonl, line 2"]
    );

    let (rows, report) = run(Truncation::KeepStart).unwrap();
    assert_eq!(rows[1].ids, whole.ids[..5]);
    assert_eq!(rows[1].trained, whole.trained[..5]);
    assert_eq!((report.truncated_rows, report.tokens_cut, report.trained_tokens_cut), (2, 4, 4));
    assert_eq!((report.tokens, report.trained_tokens, report.longest_row), (10, 4, 5));

    let (rows, report) = run(Truncation::KeepEnd).unwrap();
    assert_eq!(rows[0].ids, whole.ids[2..]);
    // What carried loss comes first now, and is not predicted any more.
    assert_eq!(rows[0].trained, [false, true, true, true, true]);
    assert_eq!((report.truncated_rows, report.tokens_cut, report.trained_tokens_cut), (2, 4, 0));

    let settings = settings(Truncation::KeepEnd).with_max_length(Some(4));
    let row = row(&tokenizer, settings, &rendered);
    assert_eq!(row.trained, [false, true, true, true]);

    // A row that just fits is not cut.
    let settings = settings.with_max_length(Some(7));
    let builder = RowBuilder::new(&tokenizer, settings).unwrap();
    assert_eq!(builder.row(&rendered, &origin(1)).unwrap(), whole);
}

#[test]
fn a_row_without_loss_meets_the_chosen_policy() {
    let tokenizer = letters();
    let nothing = templated("<s>only a prompt", 16);
    let cut = templated("<s>a long prompt and</s>", 20);
    let settings =
        PrepareSettings::default().with_max_length(Some(5)).with_truncation(Truncation::KeepStart);
    for (rendered, words) in [(&nothing, "no completion"), (&cut, "was cut off")] {
        let error = run(&tokenizer, settings, vec![rendered.clone()]).unwrap_err();
        assert!(matches!(error, DataError::NothingTrained { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let settings = settings.with_on_nothing_trained(OnNothingTrained::Drop);
    let empty = templated("", 0);
    let (rows, report) = run(&tokenizer, settings, vec![nothing, cut.clone(), empty, cut]).unwrap();
    assert!(rows.is_empty());
    assert_eq!(report.dropped[&DropReason::NothingTrained].records, 2);
    assert_eq!(report.dropped[&DropReason::NothingTrainedIsLeft].records, 2);
    assert_eq!(report.dropped[&DropReason::NothingTrainedIsLeft].first[0], "data.jsonl, line 2");
    assert_eq!(report.truncated_rows, 0);
}

#[test]
fn a_mask_that_finds_nothing_is_an_error() {
    let tokenizer = load("byte_level_trimmed");
    let mut rendered = templated("<s>Q: A</s>", 5);
    rendered.assistant.clear();
    for mask in [Mask::Assistant, Mask::LastTurn] {
        let settings = PrepareSettings::default().with_mask(mask);
        let builder = RowBuilder::new(&tokenizer, settings).unwrap();
        let error = builder.row(&rendered, &origin(9)).unwrap_err();
        assert!(matches!(error, DataError::NothingTrained { .. }), "{error}");
    }
}

#[test]
#[allow(clippy::single_range_in_vec_init, reason = "a list of spans")]
fn spans_outside_of_the_text_are_errors() {
    let tokenizer = load("byte_level");
    let builder = RowBuilder::new(&tokenizer, PrepareSettings::default()).unwrap();
    let good = templated("né ok", 3);
    assert!(builder.row(&good, &origin(1)).is_ok());
    for (completion, spans) in
        [(7, vec![]), (2, vec![]), (3, vec![0..7]), (3, vec![2..4]), (3, vec![3..5, 4..6])]
    {
        let mut rendered = good.clone();
        rendered.completion = completion;
        rendered.assistant.clone_from(&spans);
        let error = builder.row(&rendered, &origin(1)).unwrap_err();
        assert!(matches!(error, DataError::Record { .. }), "{completion} {spans:?}: {error}");
    }
}

#[test]
fn preferences_are_cut_alike() {
    let tokenizer = letters();
    let chosen = templated("<s>p q r s t</s>", 8);
    let rejected = templated("<s>p q r u v w x</s>", 8);
    let run = |max, truncation, on_nothing| {
        let settings = PrepareSettings::default()
            .with_max_length(Some(max))
            .with_truncation(truncation)
            .with_on_nothing_trained(on_nothing);
        let builder = RowBuilder::new(&tokenizer, settings)?;
        let mut rows = Vec::new();
        let report = prepare_preferences(
            &builder,
            std::iter::once(Ok(())),
            |()| Ok((chosen.clone(), rejected.clone(), origin(1))),
            &AtomicBool::new(false),
            &mut (),
            |row, _| {
                rows.push(row);
                Ok(())
            },
        )?;
        Ok::<_, DataError>((rows, report))
    };
    let (rows, report) = run(99, Truncation::Error, OnNothingTrained::Error).unwrap();
    let whole = rows[0].clone();
    assert_eq!((whole.prompt_len, whole.chosen.len(), whole.rejected.len()), (4, 7, 9));
    assert_eq!((report.records, report.rows, report.tokens), (1, 2, 16));

    let (rows, report) = run(6, Truncation::KeepStart, OnNothingTrained::Error).unwrap();
    assert_eq!(rows[0].prompt_len, 4);
    assert_eq!(rows[0].chosen.ids, whole.chosen.ids[..6]);
    assert_eq!(rows[0].rejected.ids, whole.rejected.ids[..6]);
    assert_eq!((report.truncated_rows, report.tokens_cut), (2, 4));

    let (rows, _) = run(7, Truncation::KeepEnd, OnNothingTrained::Error).unwrap();
    assert_eq!(rows[0].prompt_len, 2);
    assert_eq!(rows[0].chosen.ids, whole.chosen.ids[2..]);
    assert_eq!(rows[0].rejected.ids, whole.rejected.ids[2..]);
    assert_eq!(rows[0].chosen.trained, [false, false, true, true, true]);

    let error = run(4, Truncation::KeepStart, OnNothingTrained::Error).unwrap_err();
    assert!(matches!(error, DataError::NothingTrained { .. }), "{error}");
    let (rows, report) = run(4, Truncation::KeepStart, OnNothingTrained::Drop).unwrap();
    assert!(rows.is_empty());
    assert_eq!(report.dropped[&DropReason::NothingTrainedIsLeft].records, 1);
    let (_, report) = run(8, Truncation::Drop, OnNothingTrained::Drop).unwrap();
    assert_eq!(report.dropped[&DropReason::TooLong].records, 1);
}

#[test]
fn order_and_rows_do_not_depend_on_threads_or_batches() {
    let tokenizer = load("sentencepiece");
    let builder = RowBuilder::new(&tokenizer, PrepareSettings::default()).unwrap();
    let text = |line: u64| Rendered::from_text(&format!("row number {line}"), "</s>");
    let expected: Vec<Row> =
        (0..5000).map(|line| builder.row(&text(line), &origin(1)).unwrap()).collect();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let rows = pool.install(|| {
            let mut rows = Vec::new();
            let mut events = Vec::new();
            let report = prepare(
                &builder,
                (0..5000).map(Ok),
                |line| Ok((text(line), origin(line + 1))),
                &AtomicBool::new(false),
                &mut |event: &DataEvent| events.push(event.clone()),
                |row, origin| {
                    assert_eq!(origin.position, Position::Line(rows.len() as u64 + 1));
                    rows.push(row);
                    Ok(())
                },
            );
            let report = report.unwrap();
            assert_eq!(report.rows, 5000);
            let last = DataEvent::Rows { rows: report.rows, tokens: report.tokens };
            assert_eq!(events.last(), Some(&last));
            assert!(events.len() > 1);
            rows
        });
        assert!(rows == expected, "{threads} threads");
    }
}

#[test]
fn the_first_error_in_order_is_returned() {
    let tokenizer = load("sentencepiece");
    let builder = RowBuilder::new(&tokenizer, PrepareSettings::default()).unwrap();
    let failing = |reading: u64, rendering: u64| {
        let mut rows = 0;
        let error = |line| DataError::Record { origin: origin(line), message: "wrong".to_owned() };
        let result = prepare(
            &builder,
            (1..5000).map(|line| if line == reading { Err(error(line)) } else { Ok(line) }),
            |line| match line >= rendering {
                true => Err(error(line)),
                false => Ok((Rendered::from_text("text", "</s>"), origin(line))),
            },
            &AtomicBool::new(false),
            &mut (),
            |_, _| {
                rows += 1;
                Ok(())
            },
        );
        (result.unwrap_err().to_string(), rows)
    };
    assert_eq!(failing(3000, 9999), ("data.jsonl, line 3000: wrong".to_owned(), 2999));
    assert_eq!(failing(3000, 2900).0, "data.jsonl, line 2900: wrong");
    assert_eq!(failing(2000, 2010), ("data.jsonl, line 2000: wrong".to_owned(), 1999));
    assert_eq!(failing(1, 1), ("data.jsonl, line 1: wrong".to_owned(), 0));
}

#[test]
fn an_error_of_the_sink_ends_the_work() {
    let tokenizer = load("sentencepiece");
    let builder = RowBuilder::new(&tokenizer, PrepareSettings::default()).unwrap();
    let result = prepare(
        &builder,
        (1..).map(Ok),
        |line| Ok((Rendered::from_text("text", "</s>"), origin(line))),
        &AtomicBool::new(false),
        &mut (),
        |_, _| Err(DataError::Cancelled),
    );
    assert!(matches!(result, Err(DataError::Cancelled)));
}

#[test]
fn cancelling_ends_an_endless_source() {
    let tokenizer = load("sentencepiece");
    let builder = RowBuilder::new(&tokenizer, PrepareSettings::default()).unwrap();
    let cancelled = AtomicBool::new(false);
    let result = prepare(
        &builder,
        (1..).map(Ok),
        |line| Ok((Rendered::from_text("text", "</s>"), origin(line))),
        &cancelled,
        &mut |_: &DataEvent| cancelled.store(true, Ordering::Relaxed),
        |_, _| Ok(()),
    );
    assert!(matches!(result, Err(DataError::Cancelled)));
}
