//! The table of the report: a line for each collection.

use std::fmt::Write as _;

use contract::{CollectionReport, CollectionStatus, Cost};

use super::ending_word;

/// Characters that a line may have, as long as names and numbers allow it.
const MAX_WIDTH: usize = 120;
const BETWEEN: usize = 2;

/// What a column says of a collection that was read.
struct Column {
    heading: &'static str,
    cell: fn(&CollectionReport) -> String,
    /// Is it there whatever it says? Others are there when they say something, and as many as there is room for: the
    /// smaller number first.
    rank: Option<u8>,
}

const fn always(heading: &'static str, cell: fn(&CollectionReport) -> String) -> Column {
    Column {
        heading,
        cell,
        rank: None,
    }
}

const fn if_it_fits(
    rank: u8,
    heading: &'static str,
    cell: fn(&CollectionReport) -> String,
) -> Column {
    Column {
        heading,
        cell,
        rank: Some(rank),
    }
}

/// The columns after name and status.
const COLUMNS: [Column; 11] = [
    always("read", |line| line.read.to_string()),
    always("new", |line| line.inserted.to_string()),
    always("changed", |line| line.updated.to_string()),
    always("same", |line| line.unchanged.to_string()),
    always("removed", |line| line.deleted.to_string()),
    if_it_fits(0, "refused", |line| number(line.rejected)),
    if_it_fits(1, "held", |line| {
        number(line.held.as_ref().map_or(0, |held| held.would_delete))
    }),
    if_it_fits(4, "requests", |line| number(line.cost.requests)),
    if_it_fits(5, "units", |line| number(line.cost.resource_units)),
    if_it_fits(2, "waited", |line| seconds(line.cost)),
    if_it_fits(3, "recovered", |line| number(line.cost.recovered.total())),
];

/// A number that says nothing when it is 0.
fn number(count: u64) -> String {
    if count == 0 {
        String::new()
    } else {
        count.to_string()
    }
}

/// How long it waited; what is shorter than a tenth of a second is not worth saying.
fn seconds(cost: Cost) -> String {
    match cost.waited_ms {
        0..100 => String::new(),
        ms @ 100..100_000 => format!("{:.1} s", ms as f64 / 1000.0),
        ms => format!("{} s", ms / 1000),
    }
}

/// A column with its heading and a cell for each line.
struct Filled {
    cells: Vec<String>,
    rank: Option<u8>,
    is_number: bool,
}

impl Filled {
    fn of(column: &Column, lines: &[CollectionReport]) -> Self {
        let cell = |line: &CollectionReport| match line.status {
            CollectionStatus::Skipped => String::new(),
            _ => (column.cell)(line),
        };
        let heading = std::iter::once(column.heading.to_owned());
        Self {
            cells: heading.chain(lines.iter().map(cell)).collect(),
            rank: column.rank,
            is_number: true,
        }
    }

    fn of_words(
        heading: &str,
        lines: &[CollectionReport],
        word: fn(&CollectionReport) -> String,
    ) -> Self {
        let heading = std::iter::once(heading.to_owned());
        Self {
            cells: heading.chain(lines.iter().map(word)).collect(),
            rank: None,
            is_number: false,
        }
    }

    fn width(&self) -> usize {
        let widths = self.cells.iter().map(|cell| cell.chars().count());
        widths.max().unwrap_or(0)
    }

    fn says_something(&self) -> bool {
        self.cells.iter().skip(1).any(|cell| !cell.is_empty())
    }
}

/// Takes away what says nothing, and then what there is no room for.
fn fit(mut columns: Vec<Filled>) -> Vec<Filled> {
    columns.retain(|column| column.rank.is_none() || column.says_something());
    loop {
        let width: usize = columns.iter().map(|one| one.width() + BETWEEN).sum();
        let last = columns
            .iter()
            .enumerate()
            .filter_map(|(place, column)| Some((column.rank?, place)))
            .max();
        match last {
            Some((_, place)) if width > MAX_WIDTH + BETWEEN => {
                columns.remove(place);
            }
            _ => return columns,
        }
    }
}

/// An aligned table.
pub(super) fn table(lines: &[CollectionReport]) -> String {
    let mut columns = vec![
        Filled::of_words("collection", lines, |line| line.collection.clone()),
        Filled::of_words("status", lines, |line| ending_word(line).to_owned()),
    ];
    columns.extend(COLUMNS.iter().map(|column| Filled::of(column, lines)));
    let columns = fit(columns);
    let mut text = String::new();
    for row in 0..=lines.len() {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| {
                let (cell, width) = (&column.cells[row], column.width());
                if column.is_number {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        let _ = writeln!(text, "{}", cells.join(&" ".repeat(BETWEEN)).trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use contract::Recovered;

    use super::{
        super::tests::{collection, held},
        *,
    };

    fn headings(lines: &[CollectionReport]) -> Vec<String> {
        let table = table(lines);
        let first = table.lines().next().unwrap_or_default();
        first.split_whitespace().map(str::to_owned).collect()
    }

    /// A line of a large tenant that says something in every column.
    fn full(name: &str) -> CollectionReport {
        let mut line = collection(name, CollectionStatus::Unavailable, 1_234_567);
        line.rejected = 1;
        line.held = Some(held());
        line.cost = Cost {
            requests: 12_345,
            resource_units: 24_690,
            waited_ms: 123_456,
            recovered: Recovered {
                throttled: 12,
                ..Recovered::default()
            },
            ..Cost::default()
        };
        line
    }

    #[test]
    fn columns_are_aligned_whatever_the_names_and_numbers() {
        let mut long = full(&"ş".repeat(40));
        long.read = u64::MAX;
        let short = collection("users", CollectionStatus::Complete, 7);
        let text = table(&[long, short]);
        let place = |line: &str| line.chars().count();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(place(lines[0]), place(lines[1]), "{text}");
        let end_of =
            |line: &str, word: &str| line.find(word).map(|at| place(&line[..at]) + place(word));
        assert_eq!(end_of(lines[0], "read"), end_of(lines[2], " 7"), "{text}");
    }

    #[test]
    fn a_column_that_says_nothing_is_left_out() {
        let mut line = collection("users", CollectionStatus::Complete, 7);
        line.cost = Cost::default();
        let plain = [
            "collection",
            "status",
            "read",
            "new",
            "changed",
            "same",
            "removed",
        ];
        assert_eq!(headings(&[line.clone()]), plain);
        line.cost.recovered.paging_loop = 1;
        assert_eq!(headings(&[line])[7..], ["recovered"]);
    }

    #[test]
    fn a_table_fits_a_hundred_and_twenty_columns_and_keeps_what_matters_most() {
        let longest = "conditional access policies";
        let text = table(&[full(longest)]);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(MAX_WIDTH), "{text}");
        for heading in ["refused", "held", "waited"] {
            assert!(text.contains(heading), "{heading} in {text}");
        }
        let mut undisturbed = full(longest);
        (undisturbed.rejected, undisturbed.held) = (0, None);
        undisturbed.status = CollectionStatus::Complete;
        let text = table(&[undisturbed]);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(MAX_WIDTH), "{text}");
        for heading in ["requests", "units", "waited", "recovered"] {
            assert!(text.contains(heading), "{heading} in {text}");
        }
    }

    #[test]
    fn what_was_skipped_has_no_numbers() {
        let text = table(&[collection("users", CollectionStatus::Skipped, 0)]);
        assert_eq!(text.lines().nth(1), Some("users       skipped"), "{text}");
    }
}
