//! Tokens become a filter, an order, or a list of names.

use super::{
    MAX_FILTER_CHARS, QueryError,
    filter::{Comparison, Filter, Literal, Name, Operand, Place, Test, Value},
    lexer::{Lexer, Token},
};

/// How deep parentheses and negations may lie in each other.
const MAX_DEPTH: usize = 32;
/// Most tests in one filter.
const MAX_TESTS: usize = 100;
/// Most values in one list.
const MAX_VALUES: usize = 500;

const TEST: &str = "eq, ne, lt, le, gt, ge, in, startsWith, contains or exists";
const NAME: &str = "the name of a field";
const VALUE: &str = "a value: 'text', number, date, true, false or null";

fn comparison(word: &str) -> Option<Comparison> {
    Comparison::ALL
        .into_iter()
        .find(|known| known.word() == word)
}

/// Parses a filter.
pub fn filter(text: &str) -> Result<Filter, QueryError> {
    let mut parser = Parser {
        lexer: Lexer::new(text, MAX_FILTER_CHARS)?,
        tests: 0,
    };
    let filter = parser.any_of(0)?;
    if parser.lexer.token == Token::End {
        Ok(filter)
    } else {
        Err(parser.lexer.unexpected("and, or, or the end"))
    }
}

struct Parser {
    lexer: Lexer,
    tests: usize,
}

impl Parser {
    fn any_of(&mut self, depth: usize) -> Result<Filter, QueryError> {
        let first = self.all_of(depth)?;
        if !self.lexer.is_word("or") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.lexer.is_word("or") {
            self.lexer.advance()?;
            parts.push(self.all_of(depth)?);
        }
        Ok(Filter::Or(parts))
    }

    fn all_of(&mut self, depth: usize) -> Result<Filter, QueryError> {
        let first = self.one(depth)?;
        if !self.lexer.is_word("and") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.lexer.is_word("and") {
            self.lexer.advance()?;
            parts.push(self.one(depth)?);
        }
        Ok(Filter::And(parts))
    }

    fn one(&mut self, depth: usize) -> Result<Filter, QueryError> {
        let goes_deeper = self.lexer.is_word("not") || self.lexer.token == Token::Open;
        if goes_deeper && depth == MAX_DEPTH {
            let detail =
                format!("parentheses and negations lie more than {MAX_DEPTH} deep in each other");
            return Err(QueryError::new(self.lexer.position, detail));
        }
        if self.lexer.is_word("not") {
            self.lexer.advance()?;
            return Ok(Filter::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.lexer.token == Token::Open {
            self.lexer.advance()?;
            let inner = self.any_of(depth + 1)?;
            self.expect(&Token::Close, "and, or, or ')'")?;
            return Ok(inner);
        }
        self.tests += 1;
        if self.tests > MAX_TESTS {
            let detail = format!("a filter has at most {MAX_TESTS} tests");
            return Err(QueryError::new(self.lexer.position, detail));
        }
        let operand = self.operand()?;
        Ok(Filter::Test(operand, self.test()?))
    }

    fn expect(&mut self, token: &Token, expected: &str) -> Result<(), QueryError> {
        if self.lexer.token != *token {
            return Err(self.lexer.unexpected(expected));
        }
        self.lexer.advance().map(drop)
    }

    fn operand(&mut self) -> Result<Operand, QueryError> {
        let place = Place(self.lexer.position);
        if self.lexer.is_word("lower") {
            self.lexer.advance()?;
            self.expect(&Token::Open, "'('")?;
            let place = Place(self.lexer.position);
            let name = name(&mut self.lexer)?;
            self.expect(&Token::Close, "')'")?;
            return Ok(Operand {
                name,
                is_lowered: true,
                place,
            });
        }
        Ok(Operand {
            name: name(&mut self.lexer)?,
            is_lowered: false,
            place,
        })
    }

    fn test(&mut self) -> Result<Test, QueryError> {
        let Token::Word(word) = &self.lexer.token else {
            return Err(self.lexer.unexpected(TEST));
        };
        if let Some(comparison) = comparison(word) {
            self.lexer.advance()?;
            return Ok(Test::Compare(comparison, self.literal()?));
        }
        match word.as_str() {
            "exists" => {
                self.lexer.advance()?;
                Ok(Test::Exists)
            }
            "in" => {
                self.lexer.advance()?;
                Ok(Test::In(self.literals()?))
            }
            "startsWith" => {
                self.lexer.advance()?;
                Ok(Test::StartsWith(self.text()?))
            }
            "contains" => {
                self.lexer.advance()?;
                Ok(Test::Contains(self.text()?))
            }
            _ => Err(self.lexer.unexpected(TEST)),
        }
    }

    fn literals(&mut self) -> Result<Vec<Literal>, QueryError> {
        self.expect(&Token::Open, "'('")?;
        let mut literals = vec![self.literal()?];
        while self.lexer.token == Token::Comma {
            if literals.len() == MAX_VALUES {
                let detail = format!("a list has at most {MAX_VALUES} values");
                return Err(QueryError::new(self.lexer.position, detail));
            }
            self.lexer.advance()?;
            literals.push(self.literal()?);
        }
        self.expect(&Token::Close, "',' or ')'")?;
        Ok(literals)
    }

    fn literal(&mut self) -> Result<Literal, QueryError> {
        let place = Place(self.lexer.position);
        let value = match &self.lexer.token {
            Token::Text(text) => Value::Text(text.clone()),
            Token::Number(text) => Value::Number(text.clone()),
            Token::Time(time) => Value::Time(*time),
            Token::Word(word) => match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ => return Err(self.lexer.unexpected(VALUE)),
            },
            _ => return Err(self.lexer.unexpected(VALUE)),
        };
        self.lexer.advance()?;
        Ok(Literal { value, place })
    }

    fn text(&mut self) -> Result<String, QueryError> {
        if let Token::Text(text) = &self.lexer.token {
            let text = text.clone();
            self.lexer.advance()?;
            return Ok(text);
        }
        Err(self.lexer.unexpected("a text in single quotes"))
    }
}

/// `displayName`, `ext.shoe`, `extendedAttributes."a.b"`.
fn name(lexer: &mut Lexer) -> Result<Name, QueryError> {
    let Token::Word(word) = &lexer.token else {
        return Err(lexer.unexpected(NAME));
    };
    let word = word.clone();
    let is_of_attributes = word == "ext" || word == "extendedAttributes";
    lexer.advance()?;
    if !is_of_attributes || lexer.token != Token::Dot {
        return Ok(Name::Core(word));
    }
    lexer.advance()?;
    let (Token::Word(name) | Token::QuotedName(name)) = &lexer.token else {
        return Err(lexer.unexpected("the name of an attribute"));
    };
    let name = name.clone();
    lexer.advance()?;
    Ok(Name::Attribute(name))
}

/// A comma-separated list of at most so many names, each perhaps with a minus sign where that is allowed, with their places.
pub fn names(
    text: &str,
    max_chars: usize,
    max_names: usize,
    may_be_reversed: bool,
) -> Result<Vec<(Name, bool, usize)>, QueryError> {
    let mut lexer = Lexer::new(text, max_chars)?;
    let mut names: Vec<(Name, bool, usize)> = Vec::new();
    loop {
        let position = lexer.position;
        let is_reversed = may_be_reversed && lexer.token == Token::Minus;
        if is_reversed {
            lexer.advance()?;
        }
        let name = name(&mut lexer)?;
        if names.len() == max_names {
            let detail = format!("at most {max_names} names are taken");
            return Err(QueryError::new(position, detail));
        }
        if names.iter().any(|(known, ..)| *known == name) {
            return Err(QueryError::new(position, format!("{name} is named twice")));
        }
        names.push((name, is_reversed, position));
        match lexer.token {
            Token::Comma => lexer.advance()?,
            Token::End => return Ok(names),
            _ => return Err(lexer.unexpected("',' or the end")),
        };
    }
}
