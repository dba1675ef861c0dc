//! Host sets into short text.
//!
//! Names that differ only in their numbers have one shape. Within a [`Shape`] every name is a
//! row of numbers; rows that are equal but for one number are merged into one that has a set of
//! numbers there, until nothing merges. Numbers are put in order and compared, but always written
//! with the digits they came with.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

use super::parse::is_bare;
use crate::host::HostName;

/// Most numbers of a name that are looked at; digits after them are plain text.
const MAX_AXES: usize = 8;

/// Most digits of a number; those before them are plain text.
const MAX_DIGITS: usize = 18;

/// Stands for a number in the text of a shape: no name holds a control character.
const HOLE: char = '\0';

/// Returns terms for `names`, in natural order, joined by commas.
pub(super) fn fold<'a>(names: impl Iterator<Item = &'a HostName>) -> String {
    let mut shapes: HashMap<Box<str>, Shape> = HashMap::new();
    let mut terms = Vec::new();
    let mut text = String::new();
    let mut row = Vec::new();
    for name in names.map(HostName::as_str) {
        if !is_bare(name) {
            terms.push(Term::in_brackets(name));
            continue;
        }
        split(name, &mut text, &mut row);
        if let Some(shape) = shapes.get_mut(&*text) {
            shape.add(&row);
        } else {
            shapes.insert(text.as_str().into(), Shape::new(&row));
        }
    }
    for (text, shape) in shapes {
        shape.fold(&text, &mut terms);
    }
    terms.sort_by(|a, b| natural(&a.first, &b.first));
    let texts: Vec<String> = terms.into_iter().map(|term| term.text).collect();
    texts.join(",")
}

/// Splits `name` into the text of its shape and the numbers missing there.
fn split(name: &str, text: &mut String, row: &mut Vec<Number>) {
    text.clear();
    row.clear();
    let mut rest = name;
    while row.len() < MAX_AXES
        && let Some(start) = rest.find(|c: char| c.is_ascii_digit())
    {
        let digits = rest.bytes().skip(start).take_while(u8::is_ascii_digit);
        let end = start + digits.count();
        let number = start.max(end.saturating_sub(MAX_DIGITS));
        text.push_str(&rest[..number]);
        text.push(HOLE);
        row.push(Number::parse(&rest[number..end]));
        rest = &rest[end..];
    }
    text.push_str(rest);
}

/// One term of the result.
struct Term {
    /// The first name it stands for, which decides its place.
    first: String,
    text: String,
}

impl Term {
    /// A name that would mean something else if it stood as it is.
    fn in_brackets(name: &str) -> Self {
        Self {
            first: name.to_owned(),
            text: format!("[{name}]"),
        }
    }
}

/// Digits: `value`, padded with zeros to `width`. Sorted by width first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    width: u32,
    value: u64,
}

impl Number {
    /// Reads 1 to [`MAX_DIGITS`] digits.
    fn parse(digits: &str) -> Self {
        digits
            .bytes()
            .fold(Self { width: 0, value: 0 }, |n, b| Self {
                width: n.width + 1,
                value: n.value * 10 + u64::from(b - b'0'),
            })
    }

    /// Returns the last padded number of a width: 09, 099 …
    fn before_width(width: u32) -> Self {
        let value = 10_u64.pow(width - 1) - 1;
        Self { width, value }
    }

    fn is_padded(self) -> bool {
        self.width > 1 && self.value < 10_u64.pow(self.width - 1)
    }

    /// Whether it is 9, 99, 999 …
    fn is_all_nines(self) -> bool {
        self.value + 1 == 10_u64.pow(self.width)
    }

    /// Whether it is 10 after 9, 100 after 99 …
    fn is_next_width_after(self, other: Self) -> bool {
        self.width == other.width + 1 && other.is_all_nines() && self.value == other.value + 1
    }

    /// Whether it comes next after `other`, of equal width.
    fn follows(self, other: Self) -> bool {
        self.width == other.width && self.value == other.value + 1
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.value, width = self.width as usize)
    }
}

/// For each axis the id of a set of numbers; 0 in the places that are not used.
type Row = [u32; MAX_AXES];

/// Names that differ only in their numbers.
struct Shape {
    /// How many numbers each name has.
    axes: usize,
    /// The numbers, name after name.
    numbers: Vec<Number>,
    names: usize,
}

impl Shape {
    fn new(row: &[Number]) -> Self {
        Self {
            axes: row.len(),
            numbers: row.to_vec(),
            names: 1,
        }
    }

    fn add(&mut self, row: &[Number]) {
        self.numbers.extend(row);
        self.names += 1;
    }

    /// Appends the shortest terms that this finds.
    fn fold(&self, text: &str, terms: &mut Vec<Term>) {
        let mut axes: Vec<Axis> = (0..self.axes).map(|axis| self.axis(axis)).collect();
        let rows: Vec<Row> = (0..self.names).map(|name| self.row(name, &axes)).collect();
        let forth: Vec<usize> = (0..self.axes).collect();
        let back: Vec<usize> = (0..self.axes).rev().collect();
        // Which axis comes first can matter: an L-shaped set has two ways to be cut.
        let mut folded = merge(text, rows.clone(), &back, &mut axes);
        if folded.len() > 1 && self.axes > 1 {
            let other = merge(text, rows, &forth, &mut axes);
            if length(&other) < length(&folded) {
                folded = other;
            }
        }
        terms.append(&mut folded);
    }

    /// Collects the numbers that names have in one place.
    fn axis(&self, axis: usize) -> Axis {
        let column = self.numbers.iter().skip(axis).step_by(self.axes);
        let mut numbers: Vec<Number> = column.copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        Axis::new(numbers)
    }

    fn row(&self, name: usize, axes: &[Axis]) -> Row {
        let mut row = Row::default();
        let numbers = &self.numbers[name * self.axes..][..self.axes];
        for ((place, number), axis) in row.iter_mut().zip(numbers).zip(axes) {
            *place = id(axis.numbers.partition_point(|n| n < number));
        }
        row
    }
}

/// The numbers in one place of a shape, and the sets of them made so far.
struct Axis {
    /// Distinct, sorted.
    numbers: Vec<Number>,
    /// Indices into `numbers`, each set sorted. The first are sets of one number each.
    sets: Vec<Box<[u32]>>,
    ids: HashMap<Box<[u32]>, u32>,
}

impl Axis {
    fn new(numbers: Vec<Number>) -> Self {
        Self {
            sets: (0..numbers.len()).map(|n| [id(n)].into()).collect(),
            numbers,
            ids: HashMap::new(),
        }
    }

    /// Returns the id of the union of disjoint sets.
    fn union(&mut self, sets: impl Iterator<Item = u32>) -> u32 {
        let members = sets.flat_map(|set| self.sets[set as usize].iter().copied());
        let mut members: Vec<u32> = members.collect();
        members.sort_unstable();
        let next = id(self.sets.len());
        let members: Box<[u32]> = members.into();
        *self.ids.entry(members).or_insert_with_key(|members| {
            self.sets.push(members.clone());
            next
        })
    }

    fn first(&self, set: u32) -> Number {
        self.numbers[self.sets[set as usize][0] as usize]
    }

    /// Returns a number, or several as a bracket.
    fn text(&self, set: u32) -> String {
        let members = self.sets[set as usize].iter();
        let runs = runs(members.map(|n| self.numbers[*n as usize]));
        let texts: Vec<String> = runs.iter().map(run_text).collect();
        match (&runs[..], &texts[..]) {
            ([(first, last)], [only]) if first == last => only.clone(),
            _ => format!("[{}]", texts.join(",")),
        }
    }
}

fn id(index: usize) -> u32 {
    u32::try_from(index).expect("a set of 2^32 names doesn't fit into memory")
}

/// Merges rows that differ on one axis alone, axis by axis in `order`, until none do.
fn merge(shape: &str, mut rows: Vec<Row>, order: &[usize], axes: &mut [Axis]) -> Vec<Term> {
    loop {
        let before = rows.len();
        for &axis in order {
            rows = merge_axis(rows, axis, &mut axes[axis]);
        }
        if rows.len() == before {
            return rows.iter().map(|row| term(shape, row, axes)).collect();
        }
    }
}

fn merge_axis(mut rows: Vec<Row>, axis: usize, sets: &mut Axis) -> Vec<Row> {
    let others = |row: &Row| {
        let mut row = *row;
        row[axis] = 0;
        row
    };
    rows.sort_unstable_by_key(|row| (others(row), row[axis]));
    let alike = rows.chunk_by(|a, b| others(a) == others(b));
    let merged = alike.map(|alike| {
        let mut row = alike[0];
        if alike.len() > 1 {
            row[axis] = sets.union(alike.iter().map(|row| row[axis]));
        }
        row
    });
    merged.collect()
}

/// Returns the length in bytes of the terms, with commas.
fn length(terms: &[Term]) -> usize {
    terms.iter().map(|term| term.text.len() + 1).sum()
}

/// Fills the holes of a shape.
fn term(shape: &str, row: &Row, axes: &[Axis]) -> Term {
    let mut literals = shape.split(HOLE);
    let mut text = literals.next().unwrap_or_default().to_owned();
    let mut first = text.clone();
    for ((literal, set), axis) in literals.zip(row).zip(axes) {
        first.push_str(&axis.first(*set).to_string());
        first.push_str(literal);
        text.push_str(&axis.text(*set));
        text.push_str(literal);
    }
    Term { first, text }
}

fn run_text((first, last): &Run) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

/// A first and a last number with all between them.
type Run = (Number, Number);

/// Joins sorted numbers into as few runs as there can be.
///
/// An unpadded run goes on into the next width, `8-12`. A number such as 10 that could follow
/// both 9 and 09 goes with 9: then 99 and 100 can follow as well.
fn runs(numbers: impl Iterator<Item = Number>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut current = 0;
    let mut up_to_nines = None;
    for number in numbers {
        let is_next = |run: &usize| number.is_next_width_after(runs[*run].1);
        if let Some(run) = up_to_nines.filter(is_next) {
            current = run;
            runs[run].1 = number;
        } else if runs.get(current).is_some_and(|run| number.follows(run.1)) {
            runs[current].1 = number;
        } else {
            current = runs.len();
            runs.push((number, number));
        }
        if number.is_all_nines() && !runs[current].0.is_padded() {
            up_to_nines = Some(current);
        }
    }
    for run in 0..runs.len() {
        give_back(&mut runs, run);
    }
    runs
}

/// Gives what `run` has of its last width to the padded run that could have had it: `[6-9,02-21]`
/// is shorter than `[6-21,02-09]`.
fn give_back(runs: &mut [Run], run: usize) {
    let (first, last) = runs[run];
    if first.width == last.width {
        return;
    }
    let before = Number::before_width(last.width);
    if let Some(padded) = runs.iter_mut().find(|run| run.1 == before) {
        padded.1 = last;
        runs[run].1 = Number {
            width: last.width - 1,
            ..before
        };
    }
}

/// Compares as people sort: numbers by value, then by width.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !(a.is_empty() && b.is_empty()) {
        let (text_a, number_a, rest_a) = piece(a);
        let (text_b, number_b, rest_b) = piece(b);
        let order = text_a
            .cmp(text_b)
            .then_with(|| by_value(number_a, number_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

/// Splits off what comes before the first digit, and the digits.
fn piece(name: &str) -> (&str, &str, &str) {
    let is_digit = |c: char| c.is_ascii_digit();
    let (text, rest) = name.split_at(name.find(is_digit).unwrap_or(name.len()));
    let end = rest.find(|c| !is_digit(c)).unwrap_or(rest.len());
    (text, &rest[..end], &rest[end..])
}

fn by_value(a: &str, b: &str) -> Ordering {
    let key = |digits: &'_ str| digits.trim_start_matches('0').len();
    let (value_a, value_b) = (&a[a.len() - key(a)..], &b[b.len() - key(b)..]);
    (value_a.len(), value_a, a.len()).cmp(&(value_b.len(), value_b, b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(names: &str) -> String {
        let names: Vec<HostName> = names
            .split_whitespace()
            .map(|name| HostName::parse(name).unwrap())
            .collect();
        fold(names.iter())
    }

    /// Names `1..=last` of a shape.
    fn series(last: u32, name: impl Fn(u32) -> String) -> String {
        (1..=last).map(|n| name(n) + " ").collect()
    }

    #[test]
    fn numbers_become_runs() {
        assert_eq!(folded(""), "");
        assert_eq!(folded("web1"), "web1");
        assert_eq!(folded(&series(20, |n| format!("web{n}"))), "web[1-20]");
        assert_eq!(folded(&series(20, |n| format!("web{n:02}"))), "web[01-20]");
        assert_eq!(
            folded(&series(120, |n| format!("web{n:03}"))),
            "web[001-120]"
        );
        assert_eq!(folded("n5 n1 n3 n2"), "n[1-3,5]");
        assert_eq!(folded("n0 n1"), "n[0-1]");
        assert_eq!(folded("1 2"), "[1-2]");
        assert_eq!(folded("10.0.0.9 10.0.0.10"), "10.0.0.[9-10]");
        assert_eq!(folded("2001:db8::9 2001:db8::10"), "2001:db8::[9-10]");
    }

    #[test]
    fn zeros_are_never_lost() {
        assert_eq!(folded("n1 n01 n001"), "n[1,01,001]");
        assert_eq!(folded("n00 n0 n000"), "n[0,00,000]");
        assert_eq!(folded("n8 n9 n10 n08 n09"), "n[8-9,08-10]");
        assert_eq!(folded("n9 n10 n11 n09"), "n[9,09-11]");
        assert_eq!(folded("n08 n09 n10 n11"), "n[08-11]");
        assert_eq!(folded("n098 n099 n100"), "n[098-100]");
        assert_eq!(folded("n99 n100"), "n[99-100]");
        assert_eq!(folded("n099 n99 n100"), "n[99,099-100]");
        assert_eq!(folded("n8 n9 n10 n11 n012"), "n[8-11,012]");
        let short = series(100, |n| format!("n{n:02}"));
        assert_eq!(folded(&short), "n[01-99,100]");
        let padded = series(9, |n| format!("n{n:02}"));
        let both = series(150, |n| format!("n{n}")) + &padded;
        assert_eq!(folded(&both), "n[1-150,01-09]");
        let gap = series(50, |n| format!("n{n}")) + "n100 n101";
        assert_eq!(folded(&gap), "n[1-50,100-101]");
    }

    #[test]
    fn long_numbers_are_folded_by_their_end() {
        assert_eq!(
            folded("n18446744073709551615 n18446744073709551616"),
            "n18[446744073709551615-446744073709551616]"
        );
        assert_eq!(
            folded("n99999999999999999999999999999 n100000000000000000000000000000"),
            "n99999999999999999999999999999,n100000000000000000000000000000"
        );
    }

    #[test]
    fn products_are_folded_in_every_place() {
        let racks = |racks: &[u32], nodes: u32| -> String {
            let names = racks
                .iter()
                .flat_map(|rack| (1..=nodes).map(move |node| format!("rack{rack}-node{node} ")));
            names.collect()
        };
        assert_eq!(folded(&racks(&[1, 2], 4)), "rack[1-2]-node[1-4]");
        assert_eq!(folded(&racks(&[1, 3], 4)), "rack[1,3]-node[1-4]");
        let uneven = racks(&[1, 2], 4) + &racks(&[3], 2);
        assert_eq!(folded(&uneven), "rack[1-2]-node[1-4],rack3-node[1-2]");
        let columns = "r1-n1 r2-n1 r3-n1 r1-n2";
        assert_eq!(folded(columns), "r[1-3]-n1,r1-n2");
        let cube = series(27, |n| format!("a{}b{}c{}", n % 3, n / 3 % 3, n / 9 % 3));
        assert_eq!(folded(&cube), "a[0-2]b[0-2]c[0-2]");
    }

    #[test]
    fn what_can_not_be_folded_stays() {
        assert_eq!(folded("web db"), "db,web");
        assert_eq!(folded("a1x a2y"), "a1x,a2y");
        assert_eq!(folded("a:1 a:2 x:y:z"), "[a:1],[a:2],[x:y:z]");
        assert_eq!(
            folded("1a1a1a1a1a1a1a1a1 1a1a1a1a1a1a1a1a2")
                .matches(',')
                .count(),
            1
        );
    }

    #[test]
    fn terms_come_in_natural_order() {
        assert_eq!(
            folded("web10x web2x db a10b a9c a009d"),
            "a9c,a009d,a10b,db,web[2,10]x"
        );
        assert_eq!(natural("a1", "a01"), Ordering::Less);
        assert_eq!(natural("a2", "a10"), Ordering::Less);
        assert_eq!(natural("a", "a1"), Ordering::Less);
        assert_eq!(natural("a1b2", "a1b2"), Ordering::Equal);
        assert_eq!(
            natural("a99999999999999999999999", "a100000000000000000000000"),
            Ordering::Less
        );
    }
}
