//! The rule of a composite alarm: ALARM(), OK(), INSUFFICIENT_DATA(), AND, OR, NOT, parentheses, TRUE, FALSE.

use super::AlarmState;

/// How deep parentheses and NOT may nest.
const DEEPEST: usize = 50;
/// How many alarms one rule may name, as on AWS.
const MOST_ALARMS: usize = 100;

/// A rule that was understood. Alarms are held by name, also when the rule gave an ARN.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rule {
    Constant(bool),
    State(AlarmState, String),
    Not(Box<Rule>),
    All(Vec<Rule>),
    Any(Vec<Rule>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Open,
    Close,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' => {
                found.push(if first == '(' {
                    Token::Open
                } else {
                    Token::Close
                });
                1
            }
            '"' => {
                let end = rest[1..]
                    .find('"')
                    .ok_or("a quotation mark is not closed")?;
                found.push(Token::Quoted(rest[1..=end].to_string()));
                end + 2
            }
            space if space.is_whitespace() => space.len_utf8(),
            _ => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"'))
                    .unwrap_or(rest.len());
                found.push(Token::Word(rest[..end].to_string()));
                end
            }
        };
        rest = &rest[length..];
    }
    Ok(found)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn next_is(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Word(found)) if found == word)
    }

    fn any(&mut self) -> Result<Rule, String> {
        let mut parts = vec![self.all()?];
        while self.next_is("OR") {
            self.at += 1;
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 {
            parts.swap_remove(0)
        } else {
            Rule::Any(parts)
        })
    }

    fn all(&mut self) -> Result<Rule, String> {
        let mut parts = vec![self.one()?];
        while self.next_is("AND") {
            self.at += 1;
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 {
            parts.swap_remove(0)
        } else {
            Rule::All(parts)
        })
    }

    fn one(&mut self) -> Result<Rule, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it is nested too deeply".to_string());
        }
        let rule = match self.take() {
            Some(Token::Open) => {
                let inner = self.any()?;
                self.close()?;
                Ok(inner)
            }
            Some(Token::Word(word)) => match word.as_str() {
                "NOT" => Ok(Rule::Not(Box::new(self.one()?))),
                "TRUE" => Ok(Rule::Constant(true)),
                "FALSE" => Ok(Rule::Constant(false)),
                "ALARM" => self.state(AlarmState::Alarm),
                "OK" => self.state(AlarmState::Ok),
                "INSUFFICIENT_DATA" => self.state(AlarmState::InsufficientData),
                other => Err(format!("'{other}' is not a function or operator")),
            },
            Some(other) => Err(format!("{other:?} is not expected")),
            None => Err("it ends too early".to_string()),
        };
        self.depth -= 1;
        rule
    }

    fn state(&mut self, state: AlarmState) -> Result<Rule, String> {
        if self.take() != Some(Token::Open) {
            return Err(format!("'(' is missing after {}", state.as_aws()));
        }
        let mut name = match self.take() {
            Some(Token::Quoted(name)) => name,
            Some(Token::Word(mut name)) => {
                // A name without quotation marks may contain blanks.
                while let Some(Token::Word(more)) = self.tokens.get(self.at) {
                    name.push(' ');
                    name.push_str(more);
                    self.at += 1;
                }
                name
            }
            _ => {
                return Err(format!(
                    "the name of an alarm is missing in {}()",
                    state.as_aws()
                ));
            }
        };
        self.close()?;
        if name.starts_with("arn:") {
            match name.split_once(":alarm:") {
                Some((_, bare)) => name = bare.to_string(),
                None => return Err(format!("'{name}' is not the ARN of an alarm")),
            }
        }
        Ok(Rule::State(state, name))
    }

    fn close(&mut self) -> Result<(), String> {
        if self.take() == Some(Token::Close) {
            Ok(())
        } else {
            Err("')' is missing".to_string())
        }
    }
}

impl Rule {
    /// Reads a rule; the error is a part of a sentence for people.
    pub(super) fn parse(text: &str) -> Result<Rule, String> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
        };
        let rule = parser.any()?;
        if let Some(extra) = parser.tokens.get(parser.at) {
            return Err(format!("{extra:?} is not expected"));
        }
        if rule.alarms().len() > MOST_ALARMS {
            return Err(format!("it names more than {MOST_ALARMS} alarms"));
        }
        Ok(rule)
    }

    /// The alarms that are named, in order, each once.
    pub(super) fn alarms(&self) -> Vec<&str> {
        fn walk<'a>(rule: &'a Rule, found: &mut Vec<&'a str>) {
            match rule {
                Rule::Constant(_) => {}
                Rule::State(_, name) if found.contains(&name.as_str()) => {}
                Rule::State(_, name) => found.push(name),
                Rule::Not(inner) => walk(inner, found),
                Rule::All(parts) | Rule::Any(parts) => {
                    parts.iter().for_each(|part| walk(part, found));
                }
            }
        }
        let mut found = Vec::new();
        walk(self, &mut found);
        found
    }

    /// Whether the rule holds; an alarm that does not exist is in no state.
    pub(super) fn holds(&self, state_of: &dyn Fn(&str) -> Option<AlarmState>) -> bool {
        match self {
            Rule::Constant(value) => *value,
            Rule::State(state, name) => state_of(name) == Some(*state),
            Rule::Not(inner) => !inner.holds(state_of),
            Rule::All(parts) => parts.iter().all(|part| part.holds(state_of)),
            Rule::Any(parts) => parts.iter().any(|part| part.holds(state_of)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(text: &str) -> bool {
        Rule::parse(text).expect(text).holds(&|name| match name {
            "a" => Some(AlarmState::Alarm),
            "with blank" | "o" => Some(AlarmState::Ok),
            "i" => Some(AlarmState::InsufficientData),
            _ => None,
        })
    }

    #[test]
    fn rules_are_read_as_aws_documents_them() {
        assert!(holds("ALARM(a)"));
        assert!(holds(r#"ALARM("a") AND OK("with blank")"#));
        assert!(holds("OK(with blank)"));
        assert!(holds(
            "ALARM(arn:aws:cloudwatch:eu-central-1:123456789012:alarm:a)"
        ));
        assert!(holds("NOT ALARM(o) AND NOT (ALARM(i) OR FALSE)"));
        assert!(holds("ALARM(a) OR ALARM(o) AND FALSE"));
        assert!(holds("INSUFFICIENT_DATA(i) AND TRUE"));
        assert!(!holds("ALARM(missing) OR OK(missing)"));
    }

    #[test]
    fn broken_rules_are_refused() {
        for text in [
            "",
            "ALARM",
            "ALARM()",
            "ALARM(a",
            "ALARM(a) ALARM(o)",
            "AND",
            "XOR(a)",
            "\"a",
            "ALARM(arn:aws:x)",
        ] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
        assert!(Rule::parse(&"(".repeat(10_000)).is_err());
        assert!(Rule::parse(&"NOT ".repeat(3_000)).is_err());
    }

    proptest! {
        #[test]
        fn nothing_written_can_make_it_panic(text in "([A-Z]{2,5}|[()\" é]|ALARM\\(|OK\\(a\\)| AND | OR |NOT ){0,20}") {
            drop(Rule::parse(&text));
        }
    }
}
