//! From a statement's text to its parts.

use super::{Failure, failure};

/// How deep expressions may nest.
const MAX_DEPTH: usize = 40;

/// How long a text may be: a chain of operators is evaluated as deep as it is long.
const MAX_TOKENS: usize = 1000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A key word or a name, in lower case unless it was quoted.
    Word(String),
    Text(String),
    Number(String),
    Symbol(&'static str),
}

pub(crate) type Tokens = Vec<Token>;

impl Token {
    /// The word, the symbol, or nothing.
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Symbol(symbol) => symbol,
            Self::Text(_) | Self::Number(_) => "",
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        *self == Self::Symbol(";")
    }
}

/// Longest first.
const SYMBOLS: [&str; 18] = [
    "::", "<>", "!=", "<=", ">=", "||", "(", ")", ",", ".", ";", "=", "<", ">", "+", "-", "*", "/",
];

pub(crate) fn tokens(text: &str) -> Result<Tokens, Failure> {
    let mut tokens = Tokens::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length_of = |ok: fn(char) -> bool| rest.find(|c| !ok(c)).unwrap_or(rest.len());
        if rest.starts_with("--") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if first == '\'' || first == '"' {
            let (quoted, after) = quoted(rest, first)?;
            tokens.push(if first == '"' { Token::Word(quoted) } else { Token::Text(quoted) });
            rest = after;
        } else if first.is_ascii_digit() {
            let (number, after) = rest.split_at(length_of(|c| c.is_ascii_digit() || c == '.'));
            tokens.push(Token::Number(number.to_owned()));
            rest = after;
        } else if first.is_alphabetic() || first == '_' {
            let (word, after) = rest.split_at(length_of(|c| c.is_alphanumeric() || c == '_'));
            tokens.push(Token::Word(word.to_lowercase()));
            rest = after;
        } else if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            tokens.push(Token::Symbol(symbol));
            rest = rest.split_at(symbol.len()).1;
        } else {
            return failure("42601", format!("syntax error at {first:?}"));
        }
        rest = rest.trim_start();
        if tokens.len() > MAX_TOKENS {
            return failure("54001", "the statement is too long");
        }
    }
    Ok(tokens)
}

/// The quoted text at the start, with doubled quotes made single, and what follows it.
fn quoted(text: &str, quote: char) -> Result<(String, &str), Failure> {
    let mut inside = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            inside.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
            inside.push(quote);
            chars.next();
        } else {
            return Ok((inside, text.split_at(at + 1).1));
        }
    }
    failure("42601", "unterminated quoted text")
}

#[derive(Debug)]
pub(crate) enum Expr {
    Literal(Option<String>),
    Column(String),
    Call(String, Vec<Expr>),
    /// A comparison, an arithmetic or a logical operator.
    Op(&'static str, Box<[Expr; 2]>),
    Not(Box<Expr>),
    IsNull(Box<Expr>),
    In(Box<Expr>, Vec<Expr>),
    Select(Box<Select>),
    Exists(Box<Select>),
}

#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) items: Vec<(String, Expr)>,
    pub(crate) relations: Vec<String>,
    pub(crate) left_join: bool,
    pub(crate) filter: Option<Expr>,
    pub(crate) limit: Option<usize>,
}

/// Parses a whole select statement.
pub(crate) fn select(tokens: &[Token]) -> Result<Select, Failure> {
    let mut parser = Parser { tokens, depth: 0 };
    let select = parser.select()?;
    match parser.tokens.first() {
        None => Ok(select),
        Some(rest) => failure("42601", format!("syntax error at {rest:?}")),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &str {
        self.tokens.first().map_or("", Token::word)
    }

    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek() == word;
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), Failure> {
        if self.take(word) {
            return Ok(());
        }
        let found = self.tokens.first();
        failure("42601", format!("syntax error: {word:?} is missing before {found:?}"))
    }

    fn select(&mut self) -> Result<Select, Failure> {
        self.expect("select")?;
        let mut select = Select {
            items: vec![],
            relations: vec![],
            left_join: false,
            filter: None,
            limit: None,
        };
        loop {
            let item = self.expr()?;
            let named =
                self.take("as") || !["from", "where", "limit", "order", ""].contains(&self.peek());
            let name = match self.tokens.first() {
                Some(Token::Word(alias)) if named => {
                    let alias = alias.clone();
                    self.next();
                    alias
                }
                _ => default_name(&item),
            };
            select.items.push((name, item));
            if !self.take(",") {
                break;
            }
        }
        if self.take("from") {
            self.relations(&mut select)?;
        }
        if self.take("where") {
            select.filter = Some(self.expr()?);
        }
        if self.take("order") {
            // Every view is in order already, or has one row.
            while !["limit", ")", ""].contains(&self.peek())
                || matches!(self.tokens.first(), Some(Token::Number(_)))
            {
                if self.take("desc") {
                    return failure("0A000", "the stand-in knows no descending order");
                }
                self.next();
            }
        }
        if self.take("limit") {
            match self.next() {
                Some(Token::Number(n)) => select.limit = n.parse().ok(),
                other => return failure("42601", format!("syntax error at {other:?}")),
            }
        }
        if ["group", "having", "union", "window"].contains(&self.peek()) {
            return failure("0A000", format!("the stand-in knows no {:?}", self.peek()));
        }
        Ok(select)
    }

    /// `a`, `schema.a alias`, `a x left join b on ...`: the names count, conditions do not.
    fn relations(&mut self, select: &mut Select) -> Result<(), Failure> {
        loop {
            let Some(Token::Word(mut name)) = self.next() else {
                return failure("0A000", "the stand-in knows only named relations");
            };
            while self.take(".") {
                name = self.next().map(|token| token.word().to_owned()).unwrap_or_default();
            }
            select.relations.push(name);
            self.take("as");
            loop {
                match self.peek() {
                    "on" => {
                        self.next();
                        self.expr()?;
                    }
                    "left" => {
                        select.left_join = true;
                        self.next();
                    }
                    "join" | "," => {
                        self.next();
                        break;
                    }
                    "where" | "order" | "limit" | "group" | "having" | "union" | ")" | "" => {
                        return Ok(());
                    }
                    // An alias, `inner`, `cross`, `outer`, `using (column)`.
                    _ => {
                        self.next();
                        if self.take("(") {
                            self.next();
                            self.expect(")")?;
                        }
                    }
                }
            }
        }
    }

    fn expr(&mut self) -> Result<Expr, Failure> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return failure("54001", "the expression is too deep");
        }
        let done = self.binary(0);
        self.depth -= 1;
        done
    }

    /// Operators by precedence, the loosest first.
    fn binary(&mut self, level: usize) -> Result<Expr, Failure> {
        const LEVELS: [&[&str]; 4] =
            [&["or"], &["and"], &["=", "<>", "!=", "<", ">", "<=", ">="], &["+", "-", "||"]];
        let Some(operators) = LEVELS.get(level) else { return self.cast() };
        if level == 2 && self.take("not") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return failure("54001", "the expression is too deep");
            }
            let inner = self.binary(level)?;
            self.depth -= 1;
            return Ok(Expr::Not(Box::new(inner)));
        }
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = operators.iter().find(|it| **it == self.peek()) {
            self.next();
            let right = self.binary(level + 1)?;
            left = Expr::Op(operator, Box::new([left, right]));
        }
        if level == 2 { self.suffix(left) } else { Ok(left) }
    }

    /// `is [not] null` and `[not] in (...)`.
    fn suffix(&mut self, inner: Expr) -> Result<Expr, Failure> {
        if self.take("is") {
            let negated = self.take("not");
            let test = match self.next() {
                Some(token) if token.word() == "null" => Expr::IsNull(Box::new(inner)),
                Some(token) if ["true", "false"].contains(&token.word()) => {
                    let wanted =
                        Expr::Literal(Some(token.word().get(..1).unwrap_or("").to_owned()));
                    Expr::Op("=", Box::new([inner, wanted]))
                }
                other => return failure("42601", format!("syntax error at {other:?}")),
            };
            return Ok(if negated { Expr::Not(Box::new(test)) } else { test });
        }
        let negated = self.take("not");
        if self.take("in") {
            self.expect("(")?;
            let test = Expr::In(Box::new(inner), self.list()?);
            return Ok(if negated { Expr::Not(Box::new(test)) } else { test });
        }
        Ok(inner)
    }

    /// Casts change nothing here: values are text, as on the wire.
    fn cast(&mut self) -> Result<Expr, Failure> {
        let inner = self.primary()?;
        while self.take("::") {
            self.next();
            if self.take("(") {
                self.list()?;
            }
        }
        Ok(inner)
    }

    /// Expressions up to the closing parenthesis; the opening one is taken.
    fn list(&mut self) -> Result<Vec<Expr>, Failure> {
        let mut list = Vec::new();
        while !self.take(")") {
            list.push(self.expr()?);
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(list)
    }

    fn primary(&mut self) -> Result<Expr, Failure> {
        let literal = |text: &str| Ok(Expr::Literal(Some(text.to_owned())));
        let word = match self.next() {
            Some(Token::Number(text) | Token::Text(text)) => return Ok(Expr::Literal(Some(text))),
            Some(Token::Word(word)) => word,
            Some(Token::Symbol("*")) => return Ok(Expr::Column("*".to_owned())),
            Some(Token::Symbol("-")) => match self.next() {
                Some(Token::Number(number)) => return literal(&format!("-{number}")),
                other => return failure("42601", format!("syntax error at {other:?}")),
            },
            Some(Token::Symbol("(")) => {
                let inner = if self.peek() == "select" {
                    Expr::Select(Box::new(self.nested()?))
                } else {
                    self.expr()?
                };
                self.expect(")")?;
                return Ok(inner);
            }
            other => return failure("42601", format!("syntax error at {other:?}")),
        };
        match (word.as_str(), self.peek()) {
            ("true", _) => literal("t"),
            ("false", _) => literal("f"),
            ("null", _) => Ok(Expr::Literal(None)),
            ("exists", "(") => {
                self.next();
                let select = self.nested()?;
                self.expect(")")?;
                Ok(Expr::Exists(Box::new(select)))
            }
            (_, "(") => {
                self.next();
                Ok(Expr::Call(word, self.list()?))
            }
            _ => {
                // Whose column it is does not matter: no two views here share a name that differs.
                let mut name = word;
                while self.take(".") {
                    name = self.next().map(|token| token.word().to_owned()).unwrap_or_default();
                }
                Ok(Expr::Column(name))
            }
        }
    }

    fn nested(&mut self) -> Result<Select, Failure> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return failure("54001", "the statement is too deep");
        }
        let done = self.select();
        self.depth -= 1;
        done
    }
}

/// The name that PostgreSQL gives a column without an alias.
fn default_name(item: &Expr) -> String {
    match item {
        Expr::Column(name) | Expr::Call(name, _) => name.clone(),
        Expr::Exists(_) => "exists".to_owned(),
        Expr::Select(select) => {
            select.items.first().map_or("?column?".to_owned(), |(name, _)| name.clone())
        }
        _ => "?column?".to_owned(),
    }
}
