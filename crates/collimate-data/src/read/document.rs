use std::sync::Arc;

use crate::error::{DataError, Result};
use crate::read::json::{JsonFault, parse_value};
use crate::read::lines::too_long;
use crate::read::raw::{Body, Raw};
use crate::read::stream::{Copied, JsonStream};
use crate::record::{Origin, Position};

/// Lists of objects that belong to a record rather than being the records.
const WITHIN_RECORDS: [&str; 12] = [
    "chosen",
    "completion",
    "conversation",
    "conversations",
    "dialog",
    "dialogue",
    "functions",
    "messages",
    "prompt",
    "rejected",
    "tools",
    "turns",
];

/// What a JSON file that begins with an object holds.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Layout {
    /// Records one after another.
    Objects,
    /// Records in the array of this name; the names of the fields beside it.
    Around(String, Vec<String>),
}

/// Elements of a JSON array, or objects one after another.
pub(crate) struct Document {
    stream: JsonStream,
    max: usize,
    kind: Kind,
    count: u64,
    ended: bool,
}

enum Kind {
    /// An array, and whether an object lies around it.
    Array {
        around: bool,
    },
    Objects,
}

impl Document {
    /// Reads an array, or objects one after another, from the beginning of a file.
    pub(crate) fn new(mut stream: JsonStream, max: usize) -> Result<Self> {
        let kind = if stream.peek()? == Some(b'[') {
            stream.take();
            Kind::Array { around: false }
        } else {
            Kind::Objects
        };
        Ok(Self { stream, max, kind, count: 0, ended: false })
    }

    /// Reads the array `field` of the object at the beginning of a file.
    pub(crate) fn around(mut stream: JsonStream, field: &str, max: usize) -> Result<Self> {
        let mut fields = Fields::enter(&mut stream, max)?;
        while let Some(name) = fields.next(&mut stream)? {
            if name == field && stream.peek()? == Some(b'[') {
                stream.take();
                let kind = Kind::Array { around: true };
                return Ok(Self { stream, max, kind, count: 0, ended: false });
            }
            skip_value(&mut stream)?;
        }
        Err(DataError::File {
            path: stream.file().to_path_buf(),
            message: format!("has no array `{field}` of records"),
        })
    }

    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Raw>> {
        if self.ended {
            return Ok(None);
        }
        let found = self.find(buffer);
        match &found {
            Ok(Some(_)) | Err(DataError::Record { .. }) => {}
            _ => self.ended = true,
        }
        found
    }

    fn find(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Raw>> {
        let first = self.count == 0;
        match self.kind {
            Kind::Array { around } => match self.stream.peek()? {
                Some(b']') => return self.finish(around),
                Some(b',') if !first => {
                    self.stream.take();
                    if let Some(b']' | b',') = self.stream.peek()? {
                        return Err(self.stream.fault("a record is missing after the comma"));
                    }
                }
                Some(_) if first => {}
                Some(_) => return Err(self.stream.fault("a comma or ] is expected")),
                None => return Err(self.cut_off()),
            },
            Kind::Objects => {
                if self.stream.peek()?.is_none() {
                    return Ok(None);
                }
            }
        }
        // After a comma there may be nothing.
        let Some(byte) = self.stream.peek()? else { return Err(self.cut_off()) };
        if matches!(byte, b',' | b']' | b'}')
            || (matches!(self.kind, Kind::Objects) && byte != b'{')
        {
            return Err(self.stream.fault("a record is expected, as in {\"text\": …}"));
        }
        self.count += 1;
        let place = self.stream.place();
        let position = match self.kind {
            Kind::Array { .. } => Position::Element(self.count),
            Kind::Objects => Position::Line(place.0),
        };
        let start = buffer.len();
        match self.stream.value(buffer, self.max)? {
            Copied::Whole => {}
            Copied::TooLong => {
                buffer.truncate(start);
                let origin = Origin { file: Arc::clone(self.stream.file()), position };
                return Err(DataError::Record { origin, message: too_long(self.max) });
            }
            Copied::CutOff => {
                buffer.truncate(start);
                return Err(DataError::File {
                    path: self.stream.file().to_path_buf(),
                    message: format!("is cut off within the record at {position}"),
                });
            }
        }
        Ok(Some(Raw { position, start: place, body: Body::Text(start..buffer.len()) }))
    }

    /// Checks what follows the array.
    fn finish(&mut self, around: bool) -> Result<Option<Raw>> {
        self.stream.take();
        if around {
            let mut fields = Fields { first: false, max: self.max };
            while fields.next(&mut self.stream)?.is_some() {
                skip_value(&mut self.stream)?;
            }
        }
        match self.stream.peek()? {
            None => Ok(None),
            Some(_) => Err(self.stream.fault("nothing may follow the array of records")),
        }
    }

    fn cut_off(&self) -> DataError {
        DataError::File {
            path: self.stream.file().to_path_buf(),
            message: format!("is cut off after {} records: its array does not end", self.count),
        }
    }
}

/// Finds out what a file holds that begins with an object, by reading the first object.
pub(crate) fn layout(stream: &mut JsonStream, max: usize) -> Result<Layout> {
    let mut arrays = Vec::new();
    let mut others = Vec::new();
    let mut fields = Fields::enter(stream, max)?;
    while let Some(name) = fields.next(stream)? {
        if others.len() + arrays.len() > 10_000 {
            // No file's frame: a record, whose own parser will judge it.
            return Ok(Layout::Objects);
        }
        let mut of_objects = false;
        if stream.peek()? == Some(b'[') {
            of_objects = array_of_objects(stream)?;
        } else {
            skip_value(stream)?;
        }
        if of_objects && !WITHIN_RECORDS.contains(&name.as_str()) {
            arrays.push(name);
        } else {
            others.push(name);
        }
    }
    if stream.peek()?.is_some() {
        return Ok(Layout::Objects);
    }
    let records = match arrays.iter().position(|name| name == "data") {
        Some(at) => arrays.swap_remove(at),
        None if arrays.len() > 1 => {
            return Err(DataError::File {
                path: stream.file().to_path_buf(),
                message: format!(
                    "is an object with several arrays of objects (`{}`); say which one holds the \
                     records with records_field",
                    arrays.join("`, `")
                ),
            });
        }
        None => match arrays.pop() {
            Some(name) => name,
            None => return Ok(Layout::Objects),
        },
    };
    others.extend(arrays);
    Ok(Layout::Around(records, others))
}

/// Walks through an array, and says whether its first element is an object.
fn array_of_objects(stream: &mut JsonStream) -> Result<bool> {
    stream.take();
    let objects = stream.peek()? == Some(b'{');
    loop {
        match stream.peek()? {
            None => return Err(stream.fault("the file is cut off")),
            Some(b']') => {
                stream.take();
                return Ok(objects);
            }
            Some(b',') => stream.take(),
            Some(b'}') => return Err(stream.fault("a comma or ] is expected")),
            Some(_) => skip_value(stream)?,
        }
    }
}

/// Walks through a value.
fn skip_value(stream: &mut JsonStream) -> Result<()> {
    match stream.peek()? {
        Some(b',' | b'}' | b']') => Err(stream.fault("a value is expected")),
        Some(_) => match stream.value(&mut Vec::new(), 0)? {
            Copied::CutOff => Err(stream.fault("the file is cut off")),
            Copied::Whole | Copied::TooLong => Ok(()),
        },
        None => Err(stream.fault("the file is cut off")),
    }
}

/// The fields of an object, walked through one by one.
struct Fields {
    first: bool,
    max: usize,
}

impl Fields {
    fn enter(stream: &mut JsonStream, max: usize) -> Result<Self> {
        match stream.peek()? {
            Some(b'{') => stream.take(),
            _ => return Err(stream.fault("an object is expected")),
        }
        Ok(Self { first: true, max })
    }

    /// The next field's name, whose value is to be taken before the next call.
    fn next(&mut self, stream: &mut JsonStream) -> Result<Option<String>> {
        match stream.peek()? {
            Some(b'}') => {
                stream.take();
                return Ok(None);
            }
            Some(b',') if !self.first => stream.take(),
            Some(b'"') if self.first => {}
            Some(_) => return Err(stream.fault("a comma, a name or } is expected")),
            None => return Err(stream.fault("the file is cut off")),
        }
        self.first = false;
        if stream.peek()? != Some(b'"') {
            return Err(stream.fault("a field's name is expected"));
        }
        let mut name = Vec::new();
        match stream.value(&mut name, self.max)? {
            Copied::Whole => {}
            Copied::TooLong => return Err(stream.fault(&too_long(self.max))),
            Copied::CutOff => return Err(stream.fault("the file is cut off")),
        }
        let name = match parse_value(&name) {
            Ok(serde_json::Value::String(name)) => name,
            Ok(_) => return Err(stream.fault("a field's name is expected")),
            Err(JsonFault { message, .. }) => return Err(stream.fault(&message)),
        };
        if stream.peek()? != Some(b':') {
            return Err(stream.fault("a colon is expected"));
        }
        stream.take();
        Ok(Some(name))
    }
}
