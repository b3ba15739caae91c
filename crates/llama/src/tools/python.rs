//! Calls in Python's syntax: a list of calls with keyword arguments, whose values are literals.

use super::ToolCall;
use serde_json::{Map, Value};

/// Lists and dictionaries within each other; more is refused, so that no text overflows the stack.
const DEPTH_MAX: usize = 32;

/// The calls that `text` is.
pub(super) fn calls(text: &str) -> Option<Vec<ToolCall>> {
    let mut reader = Reader { rest: text };
    reader.token('[')?;
    let calls = reader.list(']', |reader| reader.call())?;
    reader.skip_space();
    reader.rest.is_empty().then_some(calls)
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn token(&mut self, token: char) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    /// Items with commas between them, and one after the last if they like, up to `close`.
    fn list<T>(
        &mut self,
        close: char,
        mut item: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut items = Vec::new();
        loop {
            if self.token(close).is_some() {
                return Some(items);
            }
            items.push(item(self)?);
            if self.token(',').is_none() {
                self.token(close)?;
                return Some(items);
            }
        }
    }

    fn name(&mut self) -> Option<&'t str> {
        self.skip_space();
        let ends = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        let begins = name.chars().next()?;
        self.rest = rest;
        (begins.is_alphabetic() || begins == '_').then_some(name)
    }

    fn call(&mut self) -> Option<ToolCall> {
        let name = self.name()?.to_owned();
        self.token('(')?;
        let arguments = self.list(')', |reader| {
            let key = reader.name()?.to_owned();
            reader.token('=')?;
            Some((key, reader.value(0)?))
        })?;
        Some(ToolCall {
            name,
            arguments: arguments.into_iter().collect(),
        })
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.skip_space();
        match self.rest.chars().next()? {
            quote @ ('"' | '\'') => self.text(quote).map(Value::from),
            '[' | '(' => {
                let close = if self.rest.starts_with('[') { ']' } else { ')' };
                self.rest = &self.rest[1..];
                let items = self.list(close, |reader| reader.value(depth + 1))?;
                Some(Value::from(items))
            }
            '{' => {
                self.rest = &self.rest[1..];
                let fields = self.list('}', |reader| {
                    let key = reader.value(depth + 1)?.as_str()?.to_owned();
                    reader.token(':')?;
                    Some((key, reader.value(depth + 1)?))
                })?;
                Some(Value::from(fields.into_iter().collect::<Map<_, _>>()))
            }
            c if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => self.number(),
            _ => match self.name()? {
                "True" | "true" => Some(Value::from(true)),
                "False" | "false" => Some(Value::from(false)),
                "None" | "null" => Some(Value::Null),
                _ => None,
            },
        }
    }

    fn number(&mut self) -> Option<Value> {
        let part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E' | '_');
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        let digits = digits.replace('_', "");
        match digits.parse::<i64>() {
            Ok(number) => Some(Value::from(number)),
            Err(_) => digits
                .parse::<f64>()
                .ok()
                .filter(|x| x.is_finite())
                .map(Value::from),
        }
    }

    fn text(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut characters = self.rest[1..].char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                c if c == quote => {
                    self.rest = &self.rest[1 + at + c.len_utf8()..];
                    return Some(text);
                }
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'u' => {
                        let digits: String = characters.by_ref().take(4).map(|(_, c)| c).collect();
                        let code = u32::from_str_radix(&digits, 16).ok()?;
                        text.push(char::from_u32(code)?);
                    }
                    c @ ('\\' | '\'' | '"') => text.push(c),
                    other => text.extend(['\\', other]),
                },
                c => text.push(c),
            }
        }
        None
    }
}
