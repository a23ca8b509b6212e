//! Reading JSON text from left to right, without making values of it.

use super::Doubt;

/// A place in the text of a record.
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// A string as it stands between its quotes.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// Free of control characters and quotes, but for those in escapes.
    pub text: &'a str,
    /// Are there backslashes in it?
    pub has_escapes: bool,
}

/// A number as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number<'a> {
    /// At most 18 digits, written as everybody writes them: certainly 64 bits, and no other way to write it.
    Integer(&'a str),
    /// Anything else that is made of the characters of numbers.
    Other(&'a str),
}

impl<'a> Cursor<'a> {
    /// At the beginning.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte here.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes behind white space.
    #[inline]
    pub fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Goes behind this byte, if it is here.
    #[inline]
    pub fn eat(&mut self, byte: u8) -> bool {
        let is_here = self.peek() == Some(byte);
        self.at += usize::from(is_here);
        is_here
    }

    /// Goes behind this byte, which must be here.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Result<(), Doubt> {
        if self.eat(byte) { Ok(()) } else { Err(Doubt) }
    }

    /// Goes behind this word, which must be here.
    #[inline]
    pub fn expect_word(&mut self, word: &str) -> Result<(), Doubt> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        Err(Doubt)
    }

    /// Is this the end of the text?
    pub fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Reads the name of an object's member and the colon behind it.
    #[inline]
    pub fn name(&mut self) -> Result<Raw<'a>, Doubt> {
        let name = self.string()?;
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(name)
    }

    /// Goes behind the comma (answers true) or the end (false) of an object or array.
    #[inline]
    pub fn has_next(&mut self, end: u8) -> Result<bool, Doubt> {
        self.skip_space();
        if self.eat(b',') {
            self.skip_space();
            return Ok(true);
        }
        self.expect(end).map(|()| false)
    }

    /// Reads a string with its quotes. What an escape means is not looked at.
    #[inline]
    pub fn string(&mut self) -> Result<Raw<'a>, Doubt> {
        self.expect(b'"')?;
        let start = self.at;
        let mut has_escapes = false;
        loop {
            self.at += plain_length(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') if self.at + 1 < self.text.len() => {
                    has_escapes = true;
                    self.at += 2;
                }
                _ => return Err(Doubt),
            }
        }
        // A backslash before a character of several bytes ends in the midst of it.
        let text = self.text.get(start..self.at).ok_or(Doubt)?;
        self.at += 1;
        Ok(Raw { text, has_escapes })
    }

    /// Reads a number.
    pub fn number(&mut self) -> Result<Number<'a>, Doubt> {
        let rest = &self.text.as_bytes()[self.at..];
        let sign = usize::from(rest.first() == Some(&b'-'));
        let digits = rest[sign..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let mut length = sign + digits;
        let is_plain = match rest.get(sign) {
            Some(b'0') => sign == 0 && digits == 1,
            _ => (1..=18).contains(&digits),
        };
        let is_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
        let is_longer = rest.get(length).is_some_and(is_number);
        if is_longer {
            length += rest[length..]
                .iter()
                .take_while(|byte| is_number(byte))
                .count();
        }
        let text = &self.text[self.at..self.at + length];
        self.at += length;
        match (text.is_empty(), is_plain && !is_longer) {
            (true, _) => Err(Doubt),
            (_, true) => Ok(Number::Integer(text)),
            (_, false) => Ok(Number::Other(text)),
        }
    }
}

/// How many bytes come before the first quote, backslash or control character (or the end). Eight bytes at a time.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    // The lowest bit that is set is the first byte below the bound; higher ones may be its echo.
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGHS;
    let mut rest = bytes;
    while let Some((chunk, behind)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let found = below(word, 0x20)
            | below(word ^ (ONES * u64::from(b'"')), 1)
            | below(word ^ (ONES * u64::from(b'\\')), 1);
        if found != 0 {
            return bytes.len() - rest.len() + found.trailing_zeros() as usize / 8;
        }
        rest = behind;
    }
    let tail = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
        .unwrap_or(rest.len());
    bytes.len() - rest.len() + tail
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_common_spelling_of_an_integer_is_one() {
        let read = |text| Cursor::new(text).number();
        for plain in ["0", "7", "-7", "123456789012345678"] {
            assert_eq!(read(plain), Ok(Number::Integer(plain)));
        }
        for other in ["-0", "-", "01", "1.0", "1e2", "1-", "1234567890123456789"] {
            assert_eq!(read(other), Ok(Number::Other(other)));
        }
        assert_eq!(read("x"), Err(Doubt));
    }

    proptest! {
        #[test]
        fn a_string_ends_at_its_first_special_byte(bytes in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\'), 8 => b'a'..=b'z'], 0..40)) {
            let expected = bytes.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\').unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), expected);
        }
    }
}
