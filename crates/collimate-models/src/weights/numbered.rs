/// The name of one of several files that make one whole: `model-00001-of-00004.safetensors`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Numbered<'a> {
    /// What stands before the numbers, without the hyphen.
    pub(super) stem: &'a str,
    /// From 1.
    pub(super) number: u32,
    pub(super) count: u32,
    /// Without the full stop.
    pub(super) extension: &'a str,
}

impl<'a> Numbered<'a> {
    /// Nothing for a name of another form, or numbers that make no sense.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        let (rest, extension) = name.rsplit_once('.')?;
        let (rest, count) = rest.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let [number, count] = [number, count].map(five_digits);
        let (number, count) = (number?, count?);
        let sound = (1..=count).contains(&number);
        sound.then_some(Self { stem, number, count, extension })
    }

    /// The name of another file of the same whole.
    pub(super) fn sibling(self, number: u32) -> String {
        let Self { stem, count, extension, .. } = self;
        format!("{stem}-{number:05}-of-{count:05}.{extension}")
    }
}

fn five_digits(digits: &str) -> Option<u32> {
    let sound = digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_written_alike() {
        let name = "model-00002-of-00010.safetensors";
        let numbered = Numbered::parse(name).expect("numbered");
        assert_eq!((numbered.stem, numbered.number, numbered.count), ("model", 2, 10));
        assert_eq!(numbered.sibling(2), name);
        assert_eq!(numbered.sibling(10), "model-00010-of-00010.safetensors");
    }

    #[test]
    fn other_names_have_no_number() {
        for name in [
            "model.safetensors",
            "model-1-of-2.safetensors",
            "model-00003-of-00002.safetensors",
            "model-00000-of-00002.safetensors",
            "model-+0001-of-00002.safetensors",
            "model-00001-of-00002",
            "00001-of-00002.bin",
        ] {
            assert_eq!(Numbered::parse(name), None, "{name}");
        }
    }
}
