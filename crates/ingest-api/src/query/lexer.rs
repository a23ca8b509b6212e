//! Characters become tokens.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::QueryError;

/// Most characters of a number.
const MAX_NUMBER_CHARS: usize = 64;
/// Largest exponent of a number.
const MAX_EXPONENT: u32 = 300;

/// A piece of the text.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A name or a keyword.
    Word(String),
    /// A name in double quotes.
    QuotedName(String),
    /// A text in single quotes.
    Text(String),
    /// A number, as written.
    Number(String),
    /// An instant.
    Time(DateTime<Utc>),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// `.`
    Dot,
    /// `-` before a name.
    Minus,
    /// Nothing more.
    End,
}

impl Token {
    /// How error texts call it.
    pub fn describe(&self) -> String {
        match self {
            Self::Word(word) => format!("'{word:.40}'"),
            Self::QuotedName(_) => "a name in double quotes".into(),
            Self::Text(_) => "a text".into(),
            Self::Number(_) => "a number".into(),
            Self::Time(_) => "a date".into(),
            Self::Open => "'('".into(),
            Self::Close => "')'".into(),
            Self::Comma => "','".into(),
            Self::Dot => "'.'".into(),
            Self::Minus => "'-'".into(),
            Self::End => "the end".into(),
        }
    }
}

/// Reads tokens, one ahead.
pub struct Lexer {
    chars: Vec<char>,
    next: usize,
    /// Where the current token begins.
    pub position: usize,
    /// The current token.
    pub token: Token,
}

impl Lexer {
    /// Reads the first token of a text of at most so many characters.
    pub fn new(text: &str, max_chars: usize) -> Result<Self, QueryError> {
        let chars: Vec<char> = text.chars().take(max_chars + 1).collect();
        if chars.len() > max_chars {
            let detail = format!("the text is longer than {max_chars} characters");
            return Err(QueryError::new(max_chars, detail));
        }
        if let Some(position) = chars.iter().position(|char| *char == '\0') {
            return Err(QueryError::new(
                position,
                "a NUL character cannot be asked for",
            ));
        }
        let mut lexer = Self {
            chars,
            next: 0,
            position: 0,
            token: Token::End,
        };
        lexer.advance()?;
        Ok(lexer)
    }

    /// Refuses the current token.
    pub fn unexpected(&self, expected: &str) -> QueryError {
        let found = self.token.describe();
        QueryError::new(self.position, format!("expected {expected}, found {found}"))
    }

    /// Is the current token this word?
    pub fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(found) if found == word)
    }

    /// Goes on, and returns the token that was current.
    pub fn advance(&mut self) -> Result<Token, QueryError> {
        while self
            .peek()
            .is_some_and(|char| matches!(char, ' ' | '\t' | '\r' | '\n'))
        {
            self.next += 1;
        }
        self.position = self.next;
        let token = self.read()?;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.next).copied()
    }

    fn read(&mut self) -> Result<Token, QueryError> {
        let Some(first) = self.peek() else {
            return Ok(Token::End);
        };
        let after = self.chars.get(self.next + 1).copied();
        let simple = match first {
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '.' => Token::Dot,
            '\'' => return self.quoted('\'').map(Token::Text),
            '"' => {
                let name = self.quoted('"')?;
                if name.is_empty() {
                    return Err(QueryError::new(
                        self.position,
                        "a name has at least one character",
                    ));
                }
                return Ok(Token::QuotedName(name));
            }
            '-' if !after.is_some_and(|char| char.is_ascii_digit()) => Token::Minus,
            '-' | '0'..='9' => return self.number_or_time(),
            _ if first.is_ascii_alphabetic() || first == '_' => {
                return Ok(Token::Word(
                    self.run(|char| char.is_ascii_alphanumeric() || char == '_'),
                ));
            }
            _ => {
                let detail = format!(
                    "{first:?} begins nothing here; texts are written 'so', names with odd characters \"so\""
                );
                return Err(QueryError::new(self.position, detail));
            }
        };
        self.next += 1;
        Ok(simple)
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let start = self.next;
        while self.peek().is_some_and(&belongs) {
            self.next += 1;
        }
        self.chars[start..self.next].iter().collect()
    }

    /// What stands between quotes; a doubled quote stands for itself.
    fn quoted(&mut self, quote: char) -> Result<String, QueryError> {
        self.next += 1;
        let mut text = String::new();
        while let Some(char) = self.peek() {
            self.next += 1;
            if char != quote {
                text.push(char);
            } else if self.peek() == Some(quote) {
                self.next += 1;
                text.push(quote);
            } else {
                return Ok(text);
            }
        }
        Err(QueryError::new(
            self.chars.len(),
            format!(
                "expected {quote}, which ends what begins at character {}",
                self.position
            ),
        ))
    }

    fn number_or_time(&mut self) -> Result<Token, QueryError> {
        let text =
            self.run(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | ':' | '+' | '-'));
        if let Some(time) = time(&text) {
            return Ok(Token::Time(time));
        }
        if is_number(&text) {
            return Ok(Token::Number(text));
        }
        Err(QueryError::new(
            self.position,
            "neither a number (42, -1.5, 2e6; at most 64 characters) nor a date (2026-01-31, 2026-01-31T08:00:00Z)",
        ))
    }
}

/// An instant with its offset, or a day (its first moment in UTC), of the years 1 to 9999.
pub fn time(text: &str) -> Option<DateTime<Utc>> {
    use chrono::Datelike as _;
    let time = match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(day) if text.len() == 10 => day.and_time(NaiveTime::MIN).and_utc(),
        _ => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
    };
    // The register keeps microseconds, and knows no leap seconds.
    let time = DateTime::from_timestamp_micros(time.timestamp_micros())?;
    (1..=9999).contains(&time.year()).then_some(time)
}

/// Is it a number that PostgreSQL's `numeric` takes?
pub fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let is_exponent = |text: &str| {
        let size = text.strip_prefix(['+', '-']).unwrap_or(text);
        digits(size) && size.parse().is_ok_and(|size: u32| size <= MAX_EXPONENT)
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    text.len() <= MAX_NUMBER_CHARS
        && digits(whole)
        && fraction.is_none_or(digits)
        && exponent.is_none_or(is_exponent)
}
