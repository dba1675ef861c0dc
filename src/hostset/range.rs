//! What stands between brackets: `01-20,31`, `1-9/2`, `a-f`.
//!
//! Numbers are never turned into machine integers: a value is counted up as the text it is, so
//! leading zeros stay and no number is too long. A [`Range`] keeps the ends, not the values;
//! how many there are is known without making one. A [`Cursor`] walks them in the order written.

use std::ops;

use super::error::{Fault, Reason};

/// The values of one bracket.
#[derive(Debug, Clone)]
pub(super) struct Range {
    runs: Vec<Run>,
}

/// Evenly spaced values, or a single one.
#[derive(Debug, Clone)]
struct Run {
    /// Decimal digits or one ASCII letter.
    first: Box<str>,
    /// The end as written: no value is beyond it, but a step may pass it by.
    last: Box<str>,
    step: u64,
    /// At least 1; saturated.
    count: u64,
}

impl Range {
    /// Reads the part of `text` that stands between the brackets.
    pub(super) fn parse(text: &str, content: ops::Range<usize>) -> Result<Self, Fault> {
        let mut runs = Vec::new();
        let mut start = content.start;
        for item in text[content].split(',') {
            let end = start + item.len();
            runs.push(Run::parse(text, start..end)?);
            start = end + 1;
        }
        Ok(Self { runs })
    }

    /// Returns how many values there are, repetitions included; saturated.
    pub(super) fn count(&self) -> u64 {
        let counts = self.runs.iter().map(|run| run.count);
        counts.fold(0, u64::saturating_add)
    }

    /// Returns a length in bytes that no value exceeds.
    pub(super) fn longest(&self) -> usize {
        let lengths = self.runs.iter().map(|run| run.last.len());
        lengths.max().unwrap_or(0)
    }

    /// Whether it is certain that all values are equally long.
    pub(super) fn is_fixed_width(&self) -> bool {
        let width = self.longest();
        self.runs.iter().all(|run| run.first.len() == width)
    }

    /// Whether it is certain that no value appears twice: the runs don't overlap.
    pub(super) fn is_distinct(&self) -> bool {
        let mut runs: Vec<&Run> = self.runs.iter().collect();
        runs.sort_by_key(|run| rank(&run.first));
        runs.windows(2)
            .all(|pair| rank(&pair[0].last) < rank(&pair[1].first))
    }
}

impl Run {
    fn parse(text: &str, item: ops::Range<usize>) -> Result<Self, Fault> {
        let at = item.start;
        let (ends, step) = match text[item.clone()].split_once('/') {
            None => (&text[item], None),
            Some((ends, step)) => (ends, Some(step)),
        };
        let (first, last) = ends.split_once('-').unwrap_or((ends, ends));
        check_value(text, at, first)?;
        check_value(text, at + ends.len() - last.len(), last)?;
        check_ends(first, last).map_err(|reason| Fault::new(at, reason))?;
        let step = match step {
            None => 1,
            Some(_) if !ends.contains('-') => {
                return Err(Fault::new(at + ends.len(), Reason::StepWithoutRange));
            }
            Some(step) => parse_step(text, at + ends.len() + 1, step)?,
        };
        let steps = distance(first.as_bytes(), last.as_bytes()) / u128::from(step);
        Ok(Self {
            first: first.into(),
            last: last.into(),
            step,
            count: u64::try_from(steps).unwrap_or(u64::MAX).saturating_add(1),
        })
    }
}

/// Refuses what is neither digits nor a single letter.
fn check_value(text: &str, at: usize, value: &str) -> Result<(), Fault> {
    if value.is_empty() {
        return Err(Fault::expected("a number or a letter", text, at));
    }
    let is_number = value.bytes().all(|b| b.is_ascii_digit());
    let is_letter = value.len() == 1 && value.bytes().all(|b| b.is_ascii_alphabetic());
    if is_number || is_letter {
        return Ok(());
    }
    let item = value.to_owned();
    Err(Fault::new(at, Reason::NotInRange { item }))
}

/// Refuses ends that no range can run between.
fn check_ends(first: &str, last: &str) -> Result<(), Reason> {
    let is_padded = |value: &str| value.len() > 1 && value.starts_with('0');
    let is_mixed = kind(first) != kind(last);
    let is_uneven = first.len() != last.len() && (is_padded(first) || is_padded(last));
    let is_reversed = rank(first) > rank(last);
    let (first, last) = (first.to_owned(), last.to_owned());
    if is_mixed {
        Err(Reason::Mixed { first, last })
    } else if is_uneven {
        Err(Reason::Width { first, last })
    } else if is_reversed {
        Err(Reason::Reversed { first, last })
    } else {
        Ok(())
    }
}

/// Tells digits, small letters and capitals apart.
fn kind(value: &str) -> u8 {
    match value.as_bytes().first() {
        Some(b'a'..=b'z') => b'a',
        Some(b'A'..=b'Z') => b'A',
        _ => b'0',
    }
}

/// Orders values as a run counts them: by length, then by text.
fn rank(value: &str) -> (usize, &str) {
    (value.len(), value)
}

fn parse_step(text: &str, at: usize, step: &str) -> Result<u64, Fault> {
    if step.is_empty() {
        return Err(Fault::expected("a step", text, at));
    }
    let is_number = step.bytes().all(|b| b.is_ascii_digit());
    let number = is_number.then(|| step.parse().ok()).flatten();
    number.filter(|step| *step > 0).ok_or_else(|| {
        let step = step.to_owned();
        Fault::new(at, Reason::Step { step })
    })
}

/// Returns how far `last` is from `first`, which is not beyond it; saturated.
fn distance(first: &[u8], last: &[u8]) -> u128 {
    // Schoolbook subtraction, least digit first. Letters differ in one place, like digits.
    let mut digits = Vec::with_capacity(last.len());
    let mut borrow = 0;
    let mut first = first.iter().rev();
    for &upper in last.iter().rev() {
        let floor = if upper.is_ascii_digit() { b'0' } else { b'A' };
        let lower = first.next().map_or(0, |b| b - floor) + borrow;
        let upper = upper - floor;
        borrow = u8::from(upper < lower);
        digits.push(upper + 10 * borrow - lower);
    }
    digits.iter().rev().fold(0, |sum: u128, &digit| {
        sum.saturating_mul(10).saturating_add(digit.into())
    })
}

/// Adds `by` to decimal digits, which grow when they must, or to a letter.
fn advance(value: &mut Vec<u8>, by: u64) {
    if let [letter @ (b'a'..=b'z' | b'A'..=b'Z')] = &mut value[..] {
        *letter = letter.saturating_add(u8::try_from(by).unwrap_or(u8::MAX));
        return;
    }
    let mut carry = by;
    for digit in value.iter_mut().rev() {
        if carry == 0 {
            return;
        }
        let sum = u64::from(*digit - b'0') + carry % 10;
        *digit = decimal(sum % 10);
        carry = carry / 10 + sum / 10;
    }
    while carry > 0 {
        value.insert(0, decimal(carry % 10));
        carry /= 10;
    }
}

/// Returns the character of a number below 10.
fn decimal(digit: u64) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "it is below 10")]
    let digit = digit as u8;
    b'0' + digit
}

/// A place in a [`Range`]: the current value and how many follow it in its run.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    range: &'a Range,
    run: usize,
    following: u64,
    value: Vec<u8>,
}

impl<'a> Cursor<'a> {
    /// Starts at the first value.
    pub(super) fn new(range: &'a Range) -> Self {
        let mut cursor = Self {
            range,
            run: 0,
            following: 0,
            value: Vec::new(),
        };
        cursor.enter(0);
        cursor
    }

    /// Appends the current value to `name`.
    pub(super) fn write(&self, name: &mut String) {
        name.extend(self.value.iter().map(|b| char::from(*b)));
    }

    /// Goes to the next value; after the last one back to the first, returning `false`.
    pub(super) fn advance(&mut self) -> bool {
        if self.following > 0 {
            self.following -= 1;
            advance(&mut self.value, self.range.runs[self.run].step);
            return true;
        }
        let next = self.run + 1;
        let is_over = next == self.range.runs.len();
        self.enter(if is_over { 0 } else { next });
        !is_over
    }

    fn enter(&mut self, run: usize) {
        let first = &self.range.runs[run];
        self.run = run;
        self.following = first.count - 1;
        self.value.clear();
        self.value.extend(first.first.as_bytes());
    }
}
