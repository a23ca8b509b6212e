//! Text for terminals.

use std::io::{ErrorKind, Write as _};

use unicode_width::UnicodeWidthStr as _;

/// Writes to the standard output. A reader that has seen enough (`| head`) is no error.
pub fn show(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// An aligned table with a rule under its head; the last column is not padded.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.width());
        cells.chain([head[column].width()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| {
                format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width())))
            })
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    let mut text = line(head.to_vec());
    text.push_str(&line(rule.iter().map(String::as_str).collect()));
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

/// A number with thousands separated, such as `1,234,567`.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Text from a source, fit for a terminal: no control characters, not longer than `width`.
pub fn clean(text: &str, width: usize) -> String {
    let plain = text
        .chars()
        .filter(|c| !c.is_control() && !is_direction_mark(*c));
    let mut shown: String = plain.clone().take(width).collect();
    if plain.count() > width {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// Marks that turn the direction of the text around them.
const fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_in_threes() {
        assert_eq!(
            [0, 7, 999, 1000, 1_234_567].map(number),
            ["0", "7", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn columns_line_up_whatever_the_script() {
        let rows = [
            vec!["翔 佐藤".to_owned(), "x".to_owned()],
            vec!["Ada".to_owned(), "y".to_owned()],
        ];
        assert_eq!(
            table(&["Name", "T"], &rows),
            "Name     T\n───────  ─\n翔 佐藤  x\nAda      y\n"
        );
    }

    #[test]
    fn text_from_a_source_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\n\u{202E}c", 20), "a[31mbc");
        assert_eq!(clean("abcdef", 4), "abc…");
    }
}
