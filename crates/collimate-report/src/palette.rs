//! Colours, after Okabe & Ito (2008), darkened for light pages and lightened for dark ones until
//! each stands out by at least 3 to 1, and text by 4.5 to 1. No two things differ by colour alone:
//! markers and dashes differ as well.

/// What a mark stands for; what colour it has depends on the page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ink {
    Paper,
    Text,
    Muted,
    Grid,
    Before,
    After,
    Safe,
    Unsafe,
}

impl Ink {
    /// Name of the class that draws lines with it, and of the one that fills with it.
    pub(crate) const fn classes(self) -> (&'static str, &'static str) {
        match self {
            Self::Paper => ("s-paper", "f-paper"),
            Self::Text => ("s-text", "f-text"),
            Self::Muted => ("s-muted", "f-muted"),
            Self::Grid => ("s-grid", "f-grid"),
            Self::Before => ("s-before", "f-before"),
            Self::After => ("s-after", "f-after"),
            Self::Safe => ("s-safe", "f-safe"),
            Self::Unsafe => ("s-unsafe", "f-unsafe"),
        }
    }

    /// The colour on a light page, `[red, green, blue]`.
    pub(crate) const fn light(self) -> [u8; 3] {
        match self {
            Self::Paper => [0xff, 0xff, 0xff],
            Self::Text => [0x1b, 0x1f, 0x24],
            Self::Muted => [0x57, 0x60, 0x6a],
            Self::Grid => [0xe1, 0xe4, 0xe8],
            Self::Before => [0x00, 0x72, 0xb2],
            Self::After => [0xc4, 0x4e, 0x00],
            Self::Safe => [0x00, 0x8a, 0x66],
            Self::Unsafe => [0xa8, 0x3d, 0x86],
        }
    }

    /// The same as it is written in SVG.
    pub(crate) fn light_hex(self) -> String {
        let [red, green, blue] = self.light();
        format!("#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("html/style.css");

    /// The colours of the page's style: light ones first, dark ones second.
    fn of_style(name: &str) -> [[u8; 3]; 2] {
        let pattern = format!("--{name}: #");
        let found: Vec<[u8; 3]> = PAGE
            .match_indices(&pattern)
            .map(|(at, _)| {
                let hex = &PAGE[at + pattern.len()..][..6];
                [0, 2, 4].map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
            })
            .collect();
        found.try_into().unwrap_or_else(|found| panic!("{name}: {found:?}"))
    }

    fn linear(rgb: [u8; 3]) -> [f64; 3] {
        rgb.map(|c| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        })
    }

    /// Contrast as WCAG 2 defines it.
    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let luminance = |rgb| {
            let [r, g, b] = linear(rgb);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// Distance in CIE L*a*b* as seen with one kind of colour blindness (Machado et al. 2009).
    fn distance(a: [u8; 3], b: [u8; 3], seen: [[f64; 3]; 3]) -> f64 {
        let times = |m: [[f64; 3]; 3], v: [f64; 3]| {
            m.map(|row| row.iter().zip(v).map(|(x, y)| x * y).sum::<f64>())
        };
        let lab = |rgb| {
            let xyz = times(
                [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]],
                times(seen, linear(rgb)).map(|c| c.clamp(0.0, 1.0)),
            );
            let f = |t: f64| if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
            let [x, y, z] = [f(xyz[0] / 0.9505), f(xyz[1]), f(xyz[2] / 1.089)];
            [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
        };
        lab(a).iter().zip(lab(b)).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn everything_stands_out_from_the_page() {
        let papers = of_style("paper");
        for (name, least) in [
            ("text", 7.0),
            ("muted", 4.5),
            ("before", 3.0),
            ("after", 3.0),
            ("safe", 3.0),
            ("unsafe", 3.0),
        ] {
            for (colour, paper) in of_style(name).into_iter().zip(papers) {
                let found = contrast(colour, paper);
                assert!(found >= least, "{name}: {found:.2} of {least}");
            }
        }
    }

    #[test]
    fn pairs_can_be_told_apart_by_everyone() {
        let normal = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let protanopia = [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ];
        let deuteranopia = [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ];
        let tritanopia = [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ];
        for (a, b) in [("before", "after"), ("safe", "unsafe")] {
            for (a, b) in of_style(a).into_iter().zip(of_style(b)) {
                for seen in [normal, protanopia, deuteranopia, tritanopia] {
                    let found = distance(a, b, seen);
                    assert!(found > 20.0, "{a:?} {b:?}: {found:.1}");
                }
            }
        }
    }

    #[test]
    fn pictures_and_pages_have_the_same_colours() {
        for (ink, name) in [
            (Ink::Paper, "paper"),
            (Ink::Text, "text"),
            (Ink::Muted, "muted"),
            (Ink::Grid, "grid"),
            (Ink::Before, "before"),
            (Ink::After, "after"),
            (Ink::Safe, "safe"),
            (Ink::Unsafe, "unsafe"),
        ] {
            assert_eq!(ink.light(), of_style(name)[0], "{name}");
            let (stroke, fill) = ink.classes();
            assert!(PAGE.contains(&format!(".{stroke} {{ stroke: var(--{name})")), "{stroke}");
            assert!(PAGE.contains(&format!(".{fill} {{ fill: var(--{name})")), "{fill}");
        }
    }
}
