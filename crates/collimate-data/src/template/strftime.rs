//! `strftime` of a time that the caller gives.

use std::fmt::Write as _;

/// A moment without a time zone, for templates that write the date.
///
/// ```
/// use collimate_data::TemplateTime;
///
/// let time = TemplateTime::new(2024, 7, 26).unwrap().with_clock(9, 30, 0).unwrap();
/// assert_eq!(time.strftime("%d %b %Y, %H:%M"), "26 Jul 2024, 09:30");
/// assert!(TemplateTime::new(2023, 2, 29).is_none());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TemplateTime {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const LENGTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl TemplateTime {
    /// Midnight of a day, years 1 to 9999; nothing where there is no such day.
    pub fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        let valid = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=month_length(year, month)).contains(&day);
        valid.then_some(Self { year, month, day, hour: 0, minute: 0, second: 0 })
    }

    /// The same day at a time; nothing where there is no such time.
    pub fn with_clock(self, hour: u32, minute: u32, second: u32) -> Option<Self> {
        (hour < 24 && minute < 60 && second < 60).then_some(Self { hour, minute, second, ..self })
    }

    /// The moment, in UTC, so many seconds after 1970; nothing after the year 9999.
    pub fn from_unix(seconds: u64) -> Option<Self> {
        let (mut days, clock) = (seconds / 86_400, u32::try_from(seconds % 86_400).ok()?);
        let mut year = 1970;
        while year <= 9999 && days >= u64::from(year_length(year)) {
            days -= u64::from(year_length(year));
            year += 1;
        }
        let mut month = 1;
        while days >= u64::from(month_length(year, month)) && month < 12 {
            days -= u64::from(month_length(year, month));
            month += 1;
        }
        let day = u32::try_from(days).ok()? + 1;
        Self::new(year, month, day)?.with_clock(clock / 3600, clock / 60 % 60, clock % 60)
    }

    /// Day of the week, Sunday being 0.
    fn weekday(self) -> u32 {
        let before = self.year - 1;
        let days = before * 365 + before / 4 - before / 100 + before / 400 + self.day_of_year();
        days % 7
    }

    /// Day of the year, from 1.
    fn day_of_year(self) -> u32 {
        (1..self.month).map(|month| month_length(self.year, month)).sum::<u32>() + self.day
    }

    /// The ISO 8601 year and week.
    fn iso_week(self) -> (u32, u32) {
        let weekday = (self.weekday() + 6) % 7;
        let week = (self.day_of_year() + 9 - weekday) / 7;
        if week == 0 {
            let year = self.year.saturating_sub(1).max(1);
            let last = Self { year, month: 12, day: 31, ..self };
            return (self.year - 1, last.iso_week().1);
        }
        let left = year_length(self.year) - self.day_of_year();
        if week == 53 && left < 3 - weekday.min(3) { (self.year + 1, 1) } else { (self.year, week) }
    }

    /// The moment as C's `strftime` writes it in the C locale; what it doesn't know stays.
    pub fn strftime(&self, format: &str) -> String {
        let mut out = String::with_capacity(format.len() + 16);
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let begun = rest.clone();
            let mut flag = None;
            let mut directive = rest.next();
            while let Some(given @ ('-' | '_' | '0' | '^' | '#')) = directive {
                flag = Some(given);
                directive = rest.next();
            }
            if matches!(directive, Some('E' | 'O')) {
                directive = rest.next();
            }
            if directive.is_none_or(|directive| self.directive(&mut out, directive, flag).is_none())
            {
                out.push('%');
                rest = begun;
            }
        }
        out
    }

    fn directive(self, out: &mut String, directive: char, flag: Option<char>) -> Option<()> {
        let hour = if self.hour.is_multiple_of(12) { 12 } else { self.hour % 12 };
        let number = |out: &mut String, value: u32, width: usize, pad: char| {
            let pad = match flag {
                Some('-') => None,
                Some('_') => Some(' '),
                Some('0') => Some('0'),
                _ => Some(pad),
            };
            let _ = match pad {
                None => write!(out, "{value}"),
                Some('0') => write!(out, "{value:0width$}"),
                Some(_) => write!(out, "{value:width$}"),
            };
        };
        let name = |out: &mut String, text: &str| match flag {
            Some('^' | '#') => out.push_str(&text.to_uppercase()),
            _ => out.push_str(text),
        };
        let day = DAYS.get(self.weekday() as usize).copied().unwrap_or_default();
        let month = MONTHS.get(self.month as usize - 1).copied().unwrap_or_default();
        let weekday = self.weekday();
        match directive {
            'a' => name(out, day.get(..3)?),
            'A' => name(out, day),
            'b' | 'h' => name(out, month.get(..3)?),
            'B' => name(out, month),
            'c' => out.push_str(&self.strftime("%a %b %e %H:%M:%S %Y")),
            'C' => number(out, self.year / 100, 2, '0'),
            'd' => number(out, self.day, 2, '0'),
            'D' | 'x' => out.push_str(&self.strftime("%m/%d/%y")),
            'e' => number(out, self.day, 2, ' '),
            'f' => out.push_str("000000"),
            'F' => out.push_str(&self.strftime("%Y-%m-%d")),
            'g' => number(out, self.iso_week().0 % 100, 2, '0'),
            'G' => number(out, self.iso_week().0, 4, '0'),
            'H' => number(out, self.hour, 2, '0'),
            'I' => number(out, hour, 2, '0'),
            'j' => number(out, self.day_of_year(), 3, '0'),
            'k' => number(out, self.hour, 2, ' '),
            'l' => number(out, hour, 2, ' '),
            'm' => number(out, self.month, 2, '0'),
            'M' => number(out, self.minute, 2, '0'),
            'n' => out.push('\n'),
            'p' if flag == Some('#') => out.push_str(if self.hour < 12 { "am" } else { "pm" }),
            'p' => out.push_str(if self.hour < 12 { "AM" } else { "PM" }),
            'P' => out.push_str(if self.hour < 12 { "am" } else { "pm" }),
            'r' => out.push_str(&self.strftime("%I:%M:%S %p")),
            'R' => out.push_str(&self.strftime("%H:%M")),
            'S' => number(out, self.second, 2, '0'),
            't' => out.push('\t'),
            'T' | 'X' => out.push_str(&self.strftime("%H:%M:%S")),
            'u' => number(out, if weekday == 0 { 7 } else { weekday }, 1, '0'),
            'U' => number(out, (self.day_of_year() + 6 - weekday) / 7, 2, '0'),
            'V' => number(out, self.iso_week().1, 2, '0'),
            'w' => number(out, weekday, 1, '0'),
            'W' => number(out, (self.day_of_year() + 6 - (weekday + 6) % 7) / 7, 2, '0'),
            'y' => number(out, self.year % 100, 2, '0'),
            'Y' => number(out, self.year, if flag.is_some() { 4 } else { 1 }, '0'),
            'z' | 'Z' => {}
            '%' => out.push('%'),
            _ => return None,
        }
        Some(())
    }
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn year_length(year: u32) -> u32 {
    365 + u32::from(is_leap(year))
}

fn month_length(year: u32, month: u32) -> u32 {
    let length = LENGTHS.get(month as usize - 1).copied().unwrap_or_default();
    length + u32::from(month == 2 && is_leap(year))
}
