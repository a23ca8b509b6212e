//! Escapes in strings.

use super::{Doubt, cursor::Raw};

/// Appends what a string means.
pub fn unescape(raw: Raw<'_>, out: &mut String) -> Result<(), Doubt> {
    let mut rest = raw.text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let (meant, length) = escaped(escape.as_bytes())?;
        out.push(meant);
        rest = &escape[length..];
    }
    out.push_str(rest);
    Ok(())
}

/// Appends a string as `serde_json` would write it, without quotes.
#[inline]
pub fn write_canonical(raw: Raw<'_>, out: &mut Vec<u8>) -> Result<(), Doubt> {
    let mut rest = raw.text;
    if raw.has_escapes {
        while let Some((plain, escape)) = rest.split_once('\\') {
            out.extend_from_slice(plain.as_bytes());
            let (meant, length) = escaped(escape.as_bytes())?;
            write_escaped(meant, out);
            rest = &escape[length..];
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(())
}

/// The character that an escape means, and how many bytes it takes behind its backslash. NUL and halves of surrogate
/// pairs, which are to be replaced and counted, are in doubt.
fn escaped(escape: &[u8]) -> Result<(char, usize), Doubt> {
    let meant = match escape.first() {
        Some(b'u') => return unit_escaped(escape),
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        _ => return Err(Doubt),
    };
    Ok((meant, 1))
}

fn unit_escaped(escape: &[u8]) -> Result<(char, usize), Doubt> {
    let first = unit(&escape[1..])?;
    if !(0xD800..0xDC00).contains(&first) {
        // A low surrogate is no character.
        return match char::from_u32(first) {
            None | Some('\0') => Err(Doubt),
            Some(meant) => Ok((meant, 5)),
        };
    }
    let second = escape[5..].strip_prefix(b"\\u").ok_or(Doubt)?;
    let low = unit(second)?;
    if !(0xDC00..0xE000).contains(&low) {
        return Err(Doubt);
    }
    let meant = 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00);
    char::from_u32(meant).map(|meant| (meant, 11)).ok_or(Doubt)
}

/// The number that four hexadecimal digits make.
fn unit(digits: &[u8]) -> Result<u32, Doubt> {
    let digits = digits.get(..4).ok_or(Doubt)?;
    digits.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16).ok_or(Doubt)?;
        Ok(unit * 16 + digit)
    })
}

fn write_escaped(meant: char, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match meant {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\0'..'\u{20}' => {
            let code = meant as usize;
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[code / 16], HEX[code % 16]]);
            return;
        }
        _ => {
            out.extend_from_slice(meant.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both(text: &str) -> Result<(String, String), Doubt> {
        let raw = Raw {
            text,
            has_escapes: true,
        };
        let (mut meant, mut canonical) = (String::new(), Vec::new());
        unescape(raw, &mut meant)?;
        write_canonical(raw, &mut canonical)?;
        Ok((meant, String::from_utf8(canonical).expect("UTF-8")))
    }

    #[test]
    fn escapes_mean_what_json_says() {
        let (meant, canonical) =
            both(r#"J\u00FCrgen \"J\/K\" \ud83d\ude00\u001F\t\u0009\\"#).expect("common escapes");
        assert_eq!(meant, "Jürgen \"J/K\" \u{1F600}\u{1f}\t\t\\");
        assert_eq!(canonical, "Jürgen \\\"J/K\\\" \u{1F600}\\u001f\\t\\t\\\\");
    }

    #[test]
    fn what_would_be_replaced_or_refused_is_in_doubt() {
        for odd in [
            r"\u0000",
            r"\ud800",
            r"\ude00",
            r"\ud800\u0041",
            r"\ud800x",
            r"\x",
            r"\u12",
            r"\u+123",
            r"\u00éé",
            r"\é",
            "\\",
        ] {
            assert_eq!(both(odd), Err(Doubt), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn a_string_reads_and_is_written_as_serde_json_does(meant in "[^\0]{0,12}", units in any::<bool>()) {
            let json = if units {
                let units: Vec<String> = meant.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
                format!("\"{}\"", units.concat())
            } else {
                serde_json::to_string(&meant).expect("serialises")
            };
            let written = serde_json::to_string(&meant).expect("serialises");
            let (read, canonical) = both(&json[1..json.len() - 1]).expect("no doubt");
            prop_assert_eq!(read, meant);
            prop_assert_eq!(canonical, &written[1..written.len() - 1]);
        }
    }
}
