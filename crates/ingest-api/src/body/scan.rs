//! Where a JSON value ends, found in pieces of any size.
//!
//! Only what tells the end is looked at: texts, escapes and brackets. Whether the value is good JSON is for its reader.

/// Bytes looked at together inside a text.
const LANES: usize = 8;

/// Why no end can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// A value cannot begin like this.
    #[error("a value is expected")]
    NoValue,
    /// A raw control character stands in a text.
    #[error("a control character in a text must be escaped")]
    ControlCharacter,
    /// `[` is closed by `}` or the other way round.
    #[error("brackets do not match")]
    Mismatch,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Nested,
    Text,
    Escape,
    Word,
}

/// Reads one value after the other; each must be read to its end before the next one begins.
#[derive(Debug, Default)]
pub struct Scanner {
    state: State,
    open: Brackets,
}

impl Scanner {
    /// Reads on. `Some(n)`: the value ends before `bytes[n]`. `None`: all of the bytes belong to it, and more do.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<usize>, ScanError> {
        let end = self.find_end(bytes)?;
        if end.is_some() {
            self.state = State::Start;
        }
        Ok(end)
    }

    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, ScanError> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Nested => match byte {
                    b'"' => self.state = State::Text,
                    b'{' | b'[' => self.open.push(byte == b'{'),
                    b'}' | b']' => {
                        if self.open.pop() != Some(byte == b'}') {
                            return Err(ScanError::Mismatch);
                        }
                        if self.open.is_empty() {
                            return Ok(Some(at + 1));
                        }
                    }
                    _ => {}
                },
                State::Text => {
                    let Some(length) = plain_length(&bytes[at..]) else {
                        return Ok(None);
                    };
                    at += length;
                    match bytes[at] {
                        b'"' if self.open.is_empty() => return Ok(Some(at + 1)),
                        b'"' => self.state = State::Nested,
                        b'\\' => self.state = State::Escape,
                        _ => return Err(ScanError::ControlCharacter),
                    }
                }
                State::Escape if byte < b' ' => return Err(ScanError::ControlCharacter),
                State::Escape => self.state = State::Text,
                State::Word if ends_word(byte) => return Ok(Some(at)),
                State::Word => {}
                State::Start => self.state = self.begin(byte)?,
            }
            at += 1;
        }
        Ok(None)
    }

    fn begin(&mut self, byte: u8) -> Result<State, ScanError> {
        match byte {
            b'"' => Ok(State::Text),
            b'{' | b'[' => {
                self.open.push(byte == b'{');
                Ok(State::Nested)
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Ok(State::Word),
            _ => Err(ScanError::NoValue),
        }
    }
}

const fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' | b'}')
}

/// How many bytes stand before the next quote, backslash or control character; `None` when there is none of them.
fn plain_length(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    const QUOTES: u64 = ONES * 0x22;
    const BACKSLASHES: u64 = ONES * 0x5c;
    const SPACES: u64 = ONES * 0x20;
    // The highest bit of a lane is set where it is zero. Wrong at most above a right one, so the first is exact.
    let zeros = |lanes: u64| lanes.wrapping_sub(ONES) & !lanes & HIGHS;
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<LANES>() {
        let lanes = u64::from_le_bytes(*chunk);
        let found = zeros(lanes ^ QUOTES)
            | zeros(lanes ^ BACKSLASHES)
            | (lanes.wrapping_sub(SPACES) & !lanes & HIGHS);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += LANES;
    }
    bytes[at..]
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))
        .map(|length| at + length)
}

/// The open brackets: one bit each, so that even a hundred thousand of them cost next to nothing.
#[derive(Debug, Default)]
struct Brackets {
    depth: usize,
    top: u64,
    below: Vec<u64>,
}

impl Brackets {
    const fn is_empty(&self) -> bool {
        self.depth == 0
    }

    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.below.push(self.top);
        }
        self.top = self.top << 1 | u64::from(is_object);
        self.depth += 1;
    }

    /// The bracket that was opened last: is it an object's?
    fn pop(&mut self) -> Option<bool> {
        self.depth = self.depth.checked_sub(1)?;
        let is_object = self.top & 1 == 1;
        self.top >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.top = self.below.pop().unwrap_or(0);
        }
        Some(is_object)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn end(text: &str) -> Result<Option<usize>, ScanError> {
        Scanner::default().read(text.as_bytes())
    }

    #[test]
    fn a_value_ends_where_its_brackets_or_quotes_do() {
        for (text, length) in [
            (r#"{"a":"}]\"\\","b":[{},[]]} ,"#, 26),
            (r#""a\\" ]"#, 5),
            ("[[[]]]]", 6),
            ("-12.5e7,", 7),
            ("null]", 4),
            ("true\n", 4),
        ] {
            assert_eq!(end(text), Ok(Some(length)), "{text}");
        }
        for (text, error) in [
            ("}", ScanError::NoValue),
            ("+1", ScanError::NoValue),
            ("NaN", ScanError::NoValue),
            ("[}", ScanError::Mismatch),
            ("{]", ScanError::Mismatch),
            ("\"a\nb\"", ScanError::ControlCharacter),
            ("[\"abcdefghijklm\u{1}nop\"]", ScanError::ControlCharacter),
            ("\"\\\n\"", ScanError::ControlCharacter),
        ] {
            assert_eq!(end(text), Err(error), "{text}");
        }
        for open in ["", "[", "\"abc", "{\"a\":\"\\", "12"] {
            assert_eq!(end(open), Ok(None), "{open}");
        }
    }

    #[test]
    fn any_depth_is_followed() {
        for depth in [63, 64, 65, 127, 128, 129, 100_000] {
            let text: String = "[{\"a\":".repeat(depth) + "1" + &"}]".repeat(depth);
            assert_eq!(end(&text), Ok(Some(text.len())));
            let wrong = "[{\"a\":".repeat(depth) + "1" + &"}}".repeat(depth);
            assert_eq!(end(&wrong), Err(ScanError::Mismatch));
        }
    }

    proptest! {
        #[test]
        fn a_text_ends_at_its_first_quote_escape_or_control_character(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let plain = bytes.iter().position(|byte| *byte == b'"' || *byte == b'\\' || *byte < 0x20);
            prop_assert_eq!(plain_length(&bytes), plain);
        }

        #[test]
        fn the_end_does_not_depend_on_the_pieces(text in r#"[\[\]{}",:\\a1 \n]{0,40}"#, cuts in proptest::collection::vec(0usize..40, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut scanner = Scanner::default();
            let mut in_pieces = Ok(None);
            for pair in cuts.windows(2) {
                in_pieces = scanner.read(&bytes[pair[0]..pair[1]]).map(|end| end.map(|end| pair[0] + end));
                if in_pieces != Ok(None) {
                    break;
                }
            }
            prop_assert_eq!(in_pieces, end(&text));
        }
    }
}
