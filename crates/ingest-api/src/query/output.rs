//! Rows as JSON and as CSV.

use std::io::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{Kind, Names, Selected};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a row. A field without a value is left out.
    Json,
    /// RFC 4180: a first line with names, commas, CR LF, quotes where needed. A field without a value is empty. A text that
    /// a spreadsheet would run as a formula gets an apostrophe in front.
    Csv,
}

/// Writes rows.
#[derive(Debug, Clone)]
pub struct Writer {
    format: Format,
    columns: Vec<Column>,
    /// Does the answer hold the whole of the extended attributes?
    has_all_attributes: bool,
}

#[derive(Debug, Clone)]
struct Column {
    /// Its name, as the format writes it.
    label: String,
    kind: Kind,
    is_attribute: bool,
}

impl Writer {
    /// Writes the selected columns.
    pub fn new(names: &Names, selected: &[Selected], format: Format) -> Self {
        let columns: Vec<Column> = selected
            .iter()
            .map(|selected| match selected {
                Selected::Core(place) => {
                    let field = &names.source.fields[*place];
                    Column {
                        label: field.wire.to_owned(),
                        kind: field.kind,
                        is_attribute: false,
                    }
                }
                Selected::Attribute(name) => Column {
                    label: match format {
                        Format::Json => name.clone(),
                        Format::Csv => format!("ext.{name}"),
                    },
                    kind: Kind::Json,
                    is_attribute: true,
                },
            })
            .collect();
        let has_all_attributes = columns
            .iter()
            .any(|column| column.kind == Kind::Json && !column.is_attribute);
        Self {
            format,
            columns,
            has_all_attributes,
        }
    }

    /// How many columns a row begins with.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// What comes before the first row.
    pub fn header(&self) -> Vec<u8> {
        let mut line = Vec::new();
        if self.format == Format::Csv {
            for (number, column) in self.columns.iter().enumerate() {
                if number > 0 {
                    line.push(b',');
                }
                write_cell(&mut line, &column.label);
            }
            line.extend(b"\r\n");
        }
        line
    }

    /// Writes a row, without what separates it from the next one.
    pub fn write(&self, row: &PgRow, out: &mut Vec<u8>) -> Result<(), sqlx::Error> {
        match self.format {
            Format::Json => self.write_json(row, out),
            Format::Csv => self.write_csv(row, out),
        }
    }

    fn write_json(&self, row: &PgRow, out: &mut Vec<u8>) -> Result<(), sqlx::Error> {
        let start = out.len();
        for (number, column) in self.columns.iter().enumerate() {
            if column.is_attribute {
                continue;
            }
            let before = out.len();
            out.push(if before == start { b'{' } else { b',' });
            write_string(out, &column.label);
            out.push(b':');
            if !write_value(row, number, column.kind, out)? {
                out.truncate(before);
            }
        }
        self.write_attributes(row, start, out)?;
        if out.len() == start {
            out.push(b'{');
        }
        out.push(b'}');
        Ok(())
    }

    /// Single attributes, together as `extendedAttributes`.
    fn write_attributes(
        &self,
        row: &PgRow,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), sqlx::Error> {
        if self.has_all_attributes || !self.columns.iter().any(|column| column.is_attribute) {
            return Ok(());
        }
        out.push(if out.len() == start { b'{' } else { b',' });
        out.extend(b"\"extendedAttributes\":{");
        let mut is_first = true;
        for (number, column) in self.columns.iter().enumerate() {
            if !column.is_attribute {
                continue;
            }
            let before = out.len();
            if !is_first {
                out.push(b',');
            }
            write_string(out, &column.label);
            out.push(b':');
            if write_value(row, number, Kind::Json, out)? {
                is_first = false;
            } else {
                out.truncate(before);
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn write_csv(&self, row: &PgRow, out: &mut Vec<u8>) -> Result<(), sqlx::Error> {
        for (number, column) in self.columns.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            match column.kind {
                Kind::Text | Kind::Json | Kind::Number => {
                    if let Some(text) = row.try_get::<Option<&str>, _>(number)? {
                        write_cell(out, text);
                    }
                }
                // No quote, comma or line end can be in these.
                Kind::Uuid | Kind::Time | Kind::Bool | Kind::Int => {
                    write_plain(row, number, column.kind, out)?;
                }
            }
        }
        Ok(())
    }
}

/// Writes a value as JSON; answers whether there was one.
fn write_value(
    row: &PgRow,
    number: usize,
    kind: Kind,
    out: &mut Vec<u8>,
) -> Result<bool, sqlx::Error> {
    match kind {
        Kind::Text => {
            let text: Option<&str> = row.try_get(number)?;
            Ok(text.map(|text| write_string(out, text)).is_some())
        }
        // It is JSON already.
        Kind::Json | Kind::Number => {
            let text: Option<&str> = row.try_get(number)?;
            Ok(text.map(|text| out.extend(text.as_bytes())).is_some())
        }
        Kind::Bool | Kind::Int => write_plain(row, number, kind, out),
        Kind::Uuid | Kind::Time => {
            let before = out.len();
            out.push(b'"');
            if write_plain(row, number, kind, out)? {
                out.push(b'"');
                return Ok(true);
            }
            out.truncate(before);
            Ok(false)
        }
    }
}

/// Writes a value that needs no quotes of its own; answers whether there was one.
fn write_plain(
    row: &PgRow,
    number: usize,
    kind: Kind,
    out: &mut Vec<u8>,
) -> Result<bool, sqlx::Error> {
    let text = match kind {
        Kind::Bool => {
            let value: Option<bool> = row.try_get(number)?;
            value.map(|value| out.extend(if value { "true" } else { "false" }.as_bytes()))
        }
        Kind::Int => {
            let value: Option<i64> = row.try_get(number)?;
            // Writing to memory cannot fail.
            value.map(|value| drop(write!(out, "{value}")))
        }
        Kind::Uuid => {
            let value: Option<Uuid> = row.try_get(number)?;
            value.map(|id| {
                let mut text = Uuid::encode_buffer();
                out.extend(id.hyphenated().encode_lower(&mut text).as_bytes());
            })
        }
        _ => {
            let value: Option<DateTime<Utc>> = row.try_get(number)?;
            value.map(|time| {
                out.extend(time.to_rfc3339_opts(SecondsFormat::AutoSi, true).as_bytes());
            })
        }
    };
    Ok(text.is_some())
}

/// Writes a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    // A string always has a JSON form, and memory takes it.
    let _ = serde_json::to_writer(out, text);
}

/// Writes a text as a cell. Spreadsheets run a cell as a formula that begins with one of these characters, and what the
/// register holds was written by others.
pub fn write_cell(out: &mut Vec<u8>, text: &str) {
    let is_formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let needs_quotes = text.contains(['"', ',', '\r', '\n', ';', '\t'])
        || text.starts_with(' ')
        || text.ends_with(' ');
    if needs_quotes {
        out.push(b'"');
    }
    if is_formula {
        out.push(b'\'');
    }
    if needs_quotes {
        out.extend(text.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> String {
        let mut out = Vec::new();
        write_cell(&mut out, text);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_cell_is_quoted_where_needed_and_is_never_a_formula() {
        for (text, expected) in [
            ("", ""),
            ("Ada", "Ada"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=1+1", "'=1+1"),
            ("=cmd|' /C calc'!A0,x", "\"'=cmd|' /C calc'!A0,x\""),
            ("+31 20 1", "'+31 20 1"),
            ("-2", "'-2"),
            ("@sum", "'@sum"),
            ("\t=1", "\"'\t=1\""),
            ("＝1", "'＝1"),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
