//! `OData` query options.

use super::answer::GraphError;

/// The decoded options of one request, in the order they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

/// One item of `$expand`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expand {
    pub(crate) name: String,
    pub(crate) select: Option<Vec<String>>,
}

impl Query {
    pub(crate) fn parse(raw: &str) -> Self {
        let pairs = url::form_urlencoded::parse(raw.as_bytes())
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        Self { pairs }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn select(&self) -> Option<Vec<String>> {
        self.get("$select").map(names)
    }

    pub(crate) fn selects(&self, property: &str) -> bool {
        self.get("$select")
            .is_some_and(|list| list.split(',').any(|name| name.trim() == property))
    }

    pub(crate) fn top(&self) -> Result<Option<usize>, GraphError> {
        self.get("$top")
            .map(|text| {
                text.parse().map_err(|_| {
                    GraphError::bad_request(format!(
                        "Invalid value '{text}' for $top query option found."
                    ))
                })
            })
            .transpose()
    }

    pub(crate) fn expands(&self) -> Result<Vec<Expand>, GraphError> {
        let Some(text) = self.get("$expand") else {
            return Ok(Vec::new());
        };
        split_outside_parentheses(text, ',')
            .into_iter()
            .map(|item| parse_expand(item.trim()))
            .collect()
    }

    pub(crate) fn wants_count(&self) -> bool {
        self.get("$count") == Some("true")
    }

    /// The same options with another page token, ready for a URL.
    pub(crate) fn with_token(&self, token: &str) -> String {
        let kept = self
            .pairs
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("$skiptoken"));
        let mut options: Vec<String> = kept.map(encode_pair).collect();
        options.push(format!("$skiptoken={token}"));
        options.join("&")
    }

    /// The options as they are, ready for a URL.
    pub(crate) fn to_url(&self) -> String {
        let options: Vec<String> = self.pairs.iter().map(encode_pair).collect();
        options.join("&")
    }
}

/// The page token in a link.
pub(crate) fn skip_token(link: &str) -> Option<&str> {
    let (_, rest) = link.split_once("$skiptoken=")?;
    rest.split('&').next()
}

fn encode_pair((name, value): &(String, String)) -> String {
    format!("{}={}", encode(name), encode(value))
}

fn names(list: &str) -> Vec<String> {
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn split_outside_parentheses(text: &str, separator: char) -> Vec<&str> {
    let mut depth = 0_u32;
    let mut start = 0;
    let mut parts = Vec::new();
    for (place, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            other if other == separator && depth == 0 => {
                parts.push(&text[start..place]);
                start = place + separator.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_expand(item: &str) -> Result<Expand, GraphError> {
    let Some((name, rest)) = item.split_once('(') else {
        return Ok(Expand {
            name: item.to_owned(),
            select: None,
        });
    };
    let options = rest.strip_suffix(')').ok_or_else(|| {
        GraphError::bad_request("Parsing OData Select and Expand failed: unbalanced parentheses.")
    })?;
    let mut select = None;
    for option in split_outside_parentheses(options, ';') {
        let Some(("$select", list)) = option.split_once('=') else {
            return Err(GraphError::bad_request(format!(
                "Parsing OData Select and Expand failed: option '{option}' is not supported."
            )));
        };
        select = Some(names(list));
    }
    Ok(Expand {
        name: name.to_owned(),
        select,
    })
}

/// Percent-encodes what a query may not contain, and leaves `$(),';=` readable
/// as Graph does.
fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~$(),';:@/*!=".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 0xf)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expand_may_carry_a_select() {
        let query = Query::parse("$expand=manager($select=id,mail),owners");
        let expands = query.expands().expect("it is well formed");
        assert_eq!(expands[0].name, "manager");
        assert_eq!(
            expands[0].select,
            Some(vec!["id".to_owned(), "mail".to_owned()])
        );
        assert_eq!(
            expands[1],
            Expand {
                name: "owners".to_owned(),
                select: None
            }
        );
    }

    #[test]
    fn a_next_link_keeps_every_option_but_the_old_token() {
        let query = Query::parse("%24filter=groupId%20eq%20'a'&$top=5&$skiptoken=old");
        assert_eq!(
            query.with_token("new"),
            "$filter=groupId%20eq%20'a'&$top=5&$skiptoken=new"
        );
    }
}
