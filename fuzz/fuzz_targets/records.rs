//! Bytes from anywhere, read as records of every format: the first byte says which. Whatever they
//! are, reading ends, one by one and in batches alike, and what was read can be recognized and
//! converted, or is refused.

#![no_main]

use std::cell::RefCell;
use std::io::Write;

use collimate_data::{Format, OnError, ReadSettings, Recognizer, Record, Source};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static FILE: RefCell<tempfile::NamedTempFile> =
        RefCell::new(tempfile::NamedTempFile::new().expect("a temporary file"));
}

fuzz_target!(init: {
    // Parquet's decoder panics at some damage, which is caught where it is called. A panic of this
    // file is not caught by anyone, and ends the run as before.
    std::panic::set_hook(Box::new(|panic| {
        if panic.location().is_some_and(|place| place.file().contains("fuzz_targets")) {
            eprintln!("{panic}");
        }
    }));
}, |bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let format = match choice & 7 {
        0 => Format::JsonLines,
        1 => Format::Json,
        2 => Format::Csv,
        3 => Format::Tsv,
        _ => Format::Parquet,
    };
    let policy = if choice & 8 == 0 { OnError::Stop } else { OnError::Skip };
    let settings = ReadSettings::default()
        .with_format(format)
        .with_on_error(policy)
        .with_max_record_bytes(256);
    FILE.with_borrow_mut(|file| {
        let opened = file.as_file_mut();
        opened.set_len(0).expect("emptied");
        std::io::Seek::rewind(opened).expect("rewound");
        opened.write_all(bytes).expect("written");

        let source = Source::open([file.path()]).expect("a regular file");
        let mut records = source.records(&settings).expect("valid settings");
        let read: Vec<Result<Record, String>> =
            (&mut records).map(|record| record.map_err(|error| error.to_string())).collect();
        // Compressed bytes aside, no record is made of nothing.
        assert!(records.report().records <= records.report().bytes * 2000);

        let mut batches = source.records(&settings).expect("valid settings");
        let mut batched = Vec::new();
        while let Some(batch) = batches.next_batch(5) {
            batched.extend(batch.into_iter().map(|record| record.map_err(|e| e.to_string())));
        }
        assert_eq!(read, batched);
        // After an error a batch has seen more of the file.
        if read.iter().all(Result::is_ok) {
            assert_eq!(records.report(), batches.report());
        }

        let read: Vec<Record> = read.into_iter().flatten().collect();
        if let Ok(recognition) = Recognizer::default().recognize(&read) {
            for record in &read {
                let _ = recognition.example(record);
            }
        }
    });
});
