//! Text into HTML.

/// Text that is safe in an element and in a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Escaped text, with what stands between backticks as code. That is all of Markdown that descriptions use.
pub fn prose(text: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some((before, code, after)) = next_code(rest) {
        html.extend([&escape(before), "<code>", &escape(code), "</code>"]);
        rest = after;
    }
    html + &escape(rest)
}

/// What stands before, between and after the next two backticks.
fn next_code(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (code, after) = rest.split_once('`')?;
    Some((before, code, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_shows_code_and_leaves_a_lone_backtick_alone() {
        assert_eq!(
            prose("a `b<c>` d `e` f"),
            "a <code>b&lt;c&gt;</code> d <code>e</code> f"
        );
        assert_eq!(prose("a ` b"), "a ` b");
        assert_eq!(prose("`a` ` b"), "<code>a</code> ` b");
        assert_eq!(prose(""), "");
    }
}
