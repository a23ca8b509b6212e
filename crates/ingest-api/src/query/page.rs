//! A page in SQL.
//!
//! The rows after a place in an order by several keys, nulls last, are the rows of a few ranges that do not overlap: those
//! equal in all sort keys with a row key beyond the place's, those equal in all but the last with a greater last one, those where
//! that one is null, and so on. Each range is a query that an index on the keys serves, whatever page it is; `or` would
//! make PostgreSQL read all rows before the place. Systems are gone through one by one for the same reason.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{
    Cursor, Filter, Format, Kind, Names, Order, QueryError, Selected,
    bind::{Bind, Binds},
    compile,
};

/// Which rows there are for the caller.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The systems that it may see.
    pub systems: Vec<i32>,
    /// Removed rows too?
    pub includes_removed: bool,
    /// As they were at this instant; now where none is said.
    pub as_of: Option<DateTime<Utc>>,
}

/// Which part of the rows in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Direction {
    /// After a place, or from the beginning.
    After(Option<Cursor>),
    /// Before a place, or the end. The nearest row comes first.
    Before(Option<Cursor>),
}

/// A page that is asked for.
pub struct Page<'a> {
    /// What names mean.
    pub names: &'a Names,
    /// Which rows there are.
    pub scope: &'a Scope,
    /// Which of them.
    pub filter: Option<&'a Filter>,
    /// In which order.
    pub order: &'a Order,
    /// Which columns.
    pub selected: &'a [Selected],
    /// How they will be written.
    pub format: Format,
    /// Which part.
    pub direction: Direction,
    /// At most so many.
    pub limit: u32,
}

/// `from` and the conditions that every statement has, without that on the system.
pub fn from_and_conditions(
    names: &Names,
    scope: &Scope,
    filter: Option<&Filter>,
    binds: &mut Binds,
) -> Result<(String, String), QueryError> {
    let source = names.source;
    let from = match (scope.as_of, &source.as_of) {
        (Some(at), Some(function)) => format!("{function}({}) t", binds.push(Bind::Time(at))),
        _ => format!("{} t", names.relation()),
    };
    let mut conditions = String::new();
    if source.keeps_removed && !scope.includes_removed && scope.as_of.is_none() {
        conditions.push_str(" and t.deleted_at is null");
    }
    if let Some(filter) = filter {
        // Writing to a string cannot fail.
        let _ = write!(
            conditions,
            " and {}",
            compile::condition(filter, names, binds)?
        );
    }
    Ok((from, conditions))
}

impl Page<'_> {
    /// The statement: the selected columns, the sort values, the key, the system.
    pub fn sql(&self) -> Result<(String, Binds), QueryError> {
        let mut binds = Binds::default();
        let systems = binds.push(Bind::Systems(self.scope.systems.clone()));
        let (from, conditions) =
            from_and_conditions(self.names, self.scope, self.filter, &mut binds)?;
        let sorted: Vec<String> = self
            .order
            .keys
            .iter()
            .map(|key| key.sql(self.names, &mut binds))
            .collect();
        let columns = self.columns(&sorted, &mut binds);
        let ranges = self.ranges(&sorted, &mut binds);
        let limit = binds.push(Bind::Int(i64::from(self.limit)));
        let ranges: Vec<String> = ranges
            .iter()
            .map(|range| {
                format!(
                    "(select {columns} from {from} where t.system_id = s.system_id{conditions}{} order by {} limit {limit})",
                    range.condition, range.order_by
                )
            })
            .collect();
        let sql = format!(
            "select r.* from unnest({systems}) s(system_id) cross join lateral ({}) r order by {} limit {limit}",
            ranges.join(" union all "),
            self.outer_order()
        );
        Ok((sql, binds))
    }

    const fn is_reversed(&self) -> bool {
        matches!(self.direction, Direction::Before(_))
    }

    /// The key goes the way of the last sort key: one index serves both directions, however many rows are equal in it.
    fn key_is_descending(&self) -> bool {
        let last = self.order.keys.last();
        last.is_some_and(|key| key.is_descending) != self.is_reversed()
    }

    fn columns(&self, sorted: &[String], binds: &mut Binds) -> String {
        let mut columns = String::new();
        for (number, selected) in self.selected.iter().enumerate() {
            let sql = self.names.selected(selected, self.format, binds);
            let _ = write!(columns, "{sql} as c{number}, ");
        }
        for (number, (sql, key)) in sorted.iter().zip(&self.order.keys).enumerate() {
            // Sorted as numbers, handed over as text: a cursor keeps every digit.
            let _ = write!(columns, "{sql} as o{number}, ");
            if key.kind == Kind::Number {
                let _ = write!(columns, "{sql}::text as n{number}, ");
            }
        }
        for (number, key) in self.key().iter().enumerate() {
            let _ = write!(columns, "{key} as k{number}, ");
        }
        columns + "t.system_id as s0"
    }

    /// The columns of the key, texts by code points.
    fn key(&self) -> Vec<String> {
        let key = self.names.source.key.iter();
        key.map(|(sql, kind)| match kind {
            Kind::Text => format!("(t.{sql} collate \"C\")"),
            _ => format!("t.{sql}"),
        })
        .collect()
    }

    fn outer_order(&self) -> String {
        let mut order = String::new();
        for number in 0..self.order.keys.len() {
            let _ = write!(order, "o{number} {}, ", self.towards(number));
        }
        let direction = if self.key_is_descending() {
            "desc"
        } else {
            "asc"
        };
        for number in 0..self.names.source.key.len() {
            let _ = write!(order, "k{number} {direction}, ");
        }
        order + "s0 " + direction
    }

    fn is_descending(&self, number: usize) -> bool {
        self.order.keys[number].is_descending != self.is_reversed()
    }

    /// Direction and place of nulls for a sort key.
    fn towards(&self, number: usize) -> &'static str {
        match (self.is_descending(number), self.is_reversed()) {
            (false, false) => "asc nulls last",
            (false, true) => "asc nulls first",
            (true, false) => "desc nulls last",
            (true, true) => "desc nulls first",
        }
    }

    /// The order within a range in which the first `fixed` sort keys are the same, and the next one, where `is_range`,
    /// is never null: then an index gives its order in both directions.
    fn order_within(&self, sorted: &[String], fixed: usize, is_range: bool) -> String {
        let mut order = String::new();
        for (number, sql) in sorted.iter().enumerate().skip(fixed) {
            let towards = match (number == fixed && is_range, self.is_descending(number)) {
                (true, false) => "asc",
                (true, true) => "desc",
                (false, _) => self.towards(number),
            };
            let _ = write!(order, "{sql} {towards}, ");
        }
        let direction = if self.key_is_descending() {
            "desc"
        } else {
            "asc"
        };
        let key: Vec<String> = self
            .key()
            .iter()
            .map(|sql| format!("{sql} {direction}"))
            .collect();
        order + &key.join(", ")
    }

    fn ranges(&self, sorted: &[String], binds: &mut Binds) -> Vec<Range> {
        let place = match &self.direction {
            Direction::After(place) | Direction::Before(place) => place,
        };
        match place {
            Some(place) => self.ranges_beyond(place, sorted, binds),
            None => self.all_ranges(sorted),
        }
    }

    fn all_ranges(&self, sorted: &[String]) -> Vec<Range> {
        let Some((first, key)) = sorted.first().zip(self.order.keys.first()) else {
            return vec![Range::new(
                String::new(),
                self.order_within(sorted, 0, false),
            )];
        };
        if !key.is_nullable {
            return vec![Range::new(
                String::new(),
                self.order_within(sorted, 0, true),
            )];
        }
        vec![
            Range::new(
                format!(" and {first} is not null"),
                self.order_within(sorted, 0, true),
            ),
            Range::new(
                format!(" and {first} is null"),
                self.order_within(sorted, 1, false),
            ),
        ]
    }

    fn ranges_beyond(&self, place: &Cursor, sorted: &[String], binds: &mut Binds) -> Vec<Range> {
        let mut ranges = Vec::new();
        let mut same = String::new();
        for (number, (sql, key)) in sorted.iter().zip(&self.order.keys).enumerate() {
            let value = place.values[number].clone().map(|value| match key.kind {
                Kind::Number => format!("{}::text::numeric", binds.push(value)),
                _ => binds.push(value),
            });
            let mut add = |condition: String, fixed: usize, is_range: bool| {
                let order_by = self.order_within(sorted, fixed, is_range);
                ranges.push(Range::new(format!("{same}{condition}"), order_by));
            };
            match &value {
                Some(value) => {
                    let than = if self.is_descending(number) { '<' } else { '>' };
                    add(format!(" and {sql} {than} {value}"), number, true);
                    if key.is_nullable && !self.is_reversed() {
                        add(format!(" and {sql} is null"), number + 1, false);
                    }
                }
                // Nulls are last: beyond them there is something in reverse only.
                None if self.is_reversed() => add(format!(" and {sql} is not null"), number, true),
                None => {}
            }
            let _ = match &value {
                Some(value) => write!(same, " and {sql} = {value}"),
                None => write!(same, " and {sql} is null"),
            };
        }
        let values: Vec<String> = place
            .key
            .iter()
            .map(|value| binds.push(value.clone()))
            .collect();
        let (key, values) = (self.key().join(", "), values.join(", "));
        let system = binds.push(Bind::Int(i64::from(place.system_id)));
        let (than, beyond) = if self.key_is_descending() {
            ("<=", "<")
        } else {
            (">=", ">")
        };
        // The same key may be there in another system.
        let condition = format!(
            "{same} and ({key}) {than} ({values}) and (({key}) <> ({values}) or t.system_id {beyond} {system})"
        );
        ranges.push(Range::new(
            condition,
            self.order_within(sorted, sorted.len(), false),
        ));
        ranges
    }
}

/// Rows between two places, in their order.
struct Range {
    condition: String,
    order_by: String,
}

impl Range {
    const fn new(condition: String, order_by: String) -> Self {
        Self {
            condition,
            order_by,
        }
    }
}
