use std::io::Write;

use super::support::{file, gzip, read, refusal, refusal_with, zstd};
use collimate_data::{OnError, ReadSettings, Source};

#[test]
fn wrong_lines_are_named_with_line_and_column() {
    for (text, expected) in [
        ("{\"a\": 1}\n{\"a\": \"\\ud800\"}\n", "line 2: column 14: "),
        ("{\"a\": 1}\n{\"a\": \"\\ud800\"}\n", "surrogate"),
        ("{\"a\": \"x\0y\"}", "line 1: column 9: a NUL byte"),
        ("{\"a\": 1, \"a\": 2}", "field `a` is given twice"),
        ("{\"a\": 1}{\"a\": 2}", "line 1: column 9: trailing characters"),
        ("{\"a\": 1}\n\n3\n", "line 3: column 1: a record is expected"),
        (
            "{\"a\": 1}\n[1]\n",
            "line 2: column 1: a record is expected, as in {\"text\": …}, but this is a list",
        ),
        ("{\"a\": 99999999999999999999}", "more than 64 bits"),
        ("{\"a\": NaN}", "NaN is no JSON"),
        ("{\"a\": \"b\"", "EOF"),
    ] {
        let message = refusal("x.jsonl", text);
        assert!(message.contains(expected), "{text:?}: {message}");
    }
    let message = refusal("x.jsonl", b"{\"a\": \"\xff\"}");
    assert!(message.contains("line 1: column 8: invalid unicode"), "{message}");
    let deep = format!("{{\"a\": {}", "[".repeat(10_000));
    assert!(refusal("x.jsonl", &deep).contains("nest more than 127 deep"));
    assert!(refusal("x.json", format!("[{deep}")).contains("cut off within the record"));
    let closed = format!("[{{\"a\": {}{}}}]", "[".repeat(10_000), "]".repeat(10_000));
    assert!(refusal("x.json", closed).contains("element 1: line 1, column"));
}

#[test]
fn wrong_documents_are_named_with_their_place() {
    for (text, expected) in [
        ("[{\"a\": 1},\n {\"a\": }]", "element 2: line 2, column 8: expected value"),
        ("[{\"a\": 1} {\"a\": 2}]", "line 1, column 11: a comma or ] is expected"),
        ("[{\"a\": 1},]", "a record is missing after the comma"),
        ("[,{\"a\": 1}]", "line 1, column 2: a record is expected"),
        ("[{\"a\": 1},", "cut off after 1 records"),
        ("[{\"a\": 1}", "cut off after 1 records"),
        ("[{\"a\": 1}, {\"b\": [", "cut off within the record at element 2"),
        ("[{\"a\": 1}] x", "nothing may follow"),
        ("[1, 2]", "element 1: line 1, column 2: a record is expected"),
        ("{\"a\": 1} [1]", "line 1, column 10: a record is expected"),
        ("{\"data\": [{\"a\": 1}], \"b\"}", "a colon is expected"),
        ("{\"data\": [{\"a\": 1}]", "cut off"),
        ("\"text\"", "line 1, column 1: an object is expected"),
        ("", "is empty"),
        ("  \n", "is empty"),
    ] {
        let message = refusal("x.json", text);
        assert!(message.contains(expected), "{text:?}: {message}");
    }
}

#[test]
fn wrong_tables_are_named_with_line_and_column() {
    for (text, expected) in [
        ("a,b\n1,2\n1,2,3\n", "line 3: column 1: the row has 3 cells where the header names 2"),
        ("a,b\n1\n", "the row has 1 cells where the header names 2"),
        ("a,b\n1,\"x\n\n2,3\n", "opened in the row that begins on line 2"),
        ("a,b\n1,\"x\"y\n", "line 2: column 6: text follows a closing quotation mark"),
        ("a,b\n\"l\nm\",\"x\"y\n", "line 3, column 7: text follows"),
        ("a,b\n1,x\0\n", "line 2: column 4: a NUL byte"),
        ("a,b\n1,x\ry\n", "line 2: column 4: a carriage return"),
        ("a,b,a\n1,2,3\n", "names the column `a` twice"),
        ("a,\"b\n", "not closed"),
        ("", "is empty"),
        ("\n\n", "is empty"),
    ] {
        let message = refusal("x.csv", text);
        assert!(message.contains(expected), "{text:?}: {message}");
    }
    let message = refusal("x.csv", b"a,b\n1,\xff\n");
    assert!(message.contains("line 2: column 3: the text is not UTF-8"), "{message}");
}

#[test]
fn other_encodings_and_formats_are_named() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (name, bytes, expected) in [
        ("x.csv", utf16("\u{feff}a,b\n"), "UTF-16"),
        ("x.jsonl", utf16("{\"a\": 1}"), "UTF-16"),
        ("x.json", b"\xff\xfe\0\0[\0\0\0".to_vec(), "UTF-32"),
        ("x.jsonl", b"[{\"a\": 1}]".to_vec(), "Rename it to .json"),
        ("x.jsonl", b"PAR1....".to_vec(), "begins as a Parquet file"),
        ("x.parquet", b"{\"a\": 1}".to_vec(), "is no Parquet file"),
        ("x.parquet", Vec::new(), "is no Parquet file"),
        ("x.jsonl.gz", b"{\"a\": 1}".to_vec(), "is no gzip file"),
        ("x.jsonl.zst", gzip(b"{\"a\": 1}"), "is no zstd file"),
        ("x.jsonl", b"\xfd7zXZ\0\0\0".to_vec(), "compressed with xz"),
        ("x.csv", b"PK\x03\x04....".to_vec(), "compressed with zip"),
        ("x.txt", b"hello".to_vec(), "has no known ending"),
        ("x.txt", Vec::new(), "is empty"),
    ] {
        let message = refusal(name, bytes);
        assert!(message.contains(expected), "{name}: {message}");
    }
}

#[test]
fn compressed_files_that_are_cut_off_or_damaged_are_named() {
    let text = "{\"a\": \"some words\"}\n".repeat(50_000).into_bytes();
    for (name, whole) in [("x.jsonl.gz", gzip(&text)), ("x.jsonl.zst", zstd(&text))] {
        for cut in [1, 3, 9] {
            let message = refusal(name, &whole[..whole.len() - cut]);
            assert!(message.contains("cut off"), "{name} {cut}: {message}");
        }
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        damaged[middle + 1] ^= 0x55;
        let message = refusal(name, &damaged);
        assert!(!message.is_empty());
        // What is left out is never a damaged file.
        let settings = ReadSettings::default().with_on_error(OnError::Skip);
        refusal_with(name, &whole[..whole.len() - 1], &settings);
        let message = refusal(name, [whole.as_slice(), b"more"].concat());
        assert!(message.contains("can't be unpacked") || message.contains("cut off"), "{message}");
    }
}

/// Far more text than memory that may be used.
#[test]
fn a_record_without_end_is_not_read_into_memory() {
    let settings = ReadSettings::default().with_max_record_bytes(1 << 20);
    for (name, start, expected) in [
        ("x.jsonl.zst", "{\"a\": \"", "line 1: the record is longer than 1048576 bytes"),
        ("x.json.zst", "[{\"a\": \"", "cut off within the record"),
        ("x.csv.zst", "a,b\n", "longer than"),
        ("x.csv.zst", "a,b\n\"", "opened in the row that begins on line 2"),
    ] {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.write_all(start.as_bytes()).unwrap();
        for _ in 0..64 {
            encoder.write_all(&[b'x'; 1 << 20]).unwrap();
        }
        let message = refusal_with(name, encoder.finish().unwrap(), &settings);
        assert!(message.contains(expected), "{name}: {message}");
    }
}

#[test]
fn only_regular_files_are_opened() {
    let missing = Source::open(["no/such/file.jsonl"]).unwrap_err().to_string();
    assert!(missing.contains("no/such/file.jsonl"), "{missing}");
    #[cfg(unix)]
    {
        let message = Source::open(["/dev/zero"]).unwrap_err().to_string();
        assert!(message.contains("not a regular file"), "{message}");
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("x.jsonl");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let message = Source::open([&pipe]).unwrap_err().to_string();
        assert!(message.contains("not a regular file"), "{message}");
        // Nor when it takes a file's place later.
        let file = file("y.jsonl", "{\"a\": 1}");
        let source = Source::open([&file.path]).unwrap();
        std::fs::rename(&pipe, &file.path).unwrap();
        let mut records = source.records(&ReadSettings::default()).unwrap();
        let message = records.next().unwrap().unwrap_err().to_string();
        assert!(message.contains("not a regular file"), "{message}");
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let file = file("x.jsonl", "{}");
    assert!(read(&file.path).is_ok());
    let source = Source::open([&file.path]).unwrap();
    assert!(source.records(&ReadSettings::default().with_max_record_bytes(3)).is_err());
}
