//! Metric math: the expressions of GetMetricData and of alarms.
//!
//! Understood are numbers, ids, `+ - * / ^`, comparisons, `AND`/`&&`, `OR`/`||`, parentheses, `[a, b]` and the
//! functions ABS, AVG, CEIL, FILL, FLOOR, IF, MAX, METRICS, MIN, PERIOD and SUM. A function that
//! CloudWatch has and that is not among these is refused by name instead of being guessed.

use std::collections::BTreeMap;

/// Data points by the beginning of their period, in milliseconds since 1970 UTC.
pub(super) type Points = BTreeMap<i64, f64>;

/// How deep parentheses, calls and signs may nest. It bounds the stack that reading and working out need.
const DEEPEST: usize = 40;
/// How many operators one expression may have, for the same reason: a chain of operators is a deep tree.
const MOST_OPERATORS: usize = 200;

/// What an expression, or a part of one, comes out as.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// One number.
    Scalar(f64),
    /// One series.
    Series(Points),
    /// Several series with what to call each.
    Many(Vec<(String, Points)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Or,
    And,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

impl Operator {
    /// How strongly it binds; larger binds first.
    fn strength(self) -> u8 {
        match self {
            Operator::Or => 1,
            Operator::And => 2,
            Operator::Add | Operator::Subtract => 4,
            Operator::Multiply | Operator::Divide => 5,
            Operator::Power => 6,
            _ => 3,
        }
    }

    fn apply(self, left: f64, right: f64) -> f64 {
        let truth = |flag: bool| if flag { 1.0 } else { 0.0 };
        match self {
            Operator::Or => truth(left != 0.0 || right != 0.0),
            Operator::And => truth(left != 0.0 && right != 0.0),
            Operator::Less => truth(left < right),
            Operator::LessOrEqual => truth(left <= right),
            Operator::Greater => truth(left > right),
            Operator::GreaterOrEqual => truth(left >= right),
            Operator::Equal => truth(left == right),
            Operator::NotEqual => truth(left != right),
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            Operator::Divide => left / right,
            Operator::Power => left.powf(right),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Abs,
    Average,
    Ceiling,
    Fill,
    Floor,
    If,
    Maximum,
    Metrics,
    Minimum,
    Period,
    Sum,
}

impl Function {
    /// The function, and how few and how many arguments it takes.
    fn parse(name: &str) -> Option<(Function, usize, usize)> {
        Some(match name {
            "ABS" => (Function::Abs, 1, 1),
            "AVG" => (Function::Average, 1, 1),
            "CEIL" => (Function::Ceiling, 1, 1),
            "FILL" => (Function::Fill, 2, 2),
            "FLOOR" => (Function::Floor, 1, 1),
            "IF" => (Function::If, 2, 3),
            "MAX" => (Function::Maximum, 1, 1),
            "METRICS" => (Function::Metrics, 0, 1),
            "MIN" => (Function::Minimum, 1, 1),
            "PERIOD" => (Function::Period, 1, 1),
            "SUM" => (Function::Sum, 1, 1),
            _ => return None,
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Number(f64),
    Id(String),
    Text(String),
    /// `REPEAT` or `LINEAR` in FILL.
    Keyword(String),
    Array(Vec<Node>),
    Negative(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    Text(String),
    Operator(Operator),
    Open,
    Close,
    OpenArray,
    CloseArray,
    Comma,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        let second = rest[length..].chars().next();
        let mut double = |operator: Operator| {
            length += 1;
            Token::Operator(operator)
        };
        let token = match (first, second) {
            (space, _) if space.is_whitespace() => {
                rest = &rest[length..];
                continue;
            }
            ('<', Some('=')) => double(Operator::LessOrEqual),
            ('>', Some('=')) => double(Operator::GreaterOrEqual),
            ('=', Some('=')) => double(Operator::Equal),
            ('!', Some('=')) => double(Operator::NotEqual),
            ('&', Some('&')) => double(Operator::And),
            ('|', Some('|')) => double(Operator::Or),
            ('<', _) => Token::Operator(Operator::Less),
            ('>', _) => Token::Operator(Operator::Greater),
            ('+', _) => Token::Operator(Operator::Add),
            ('-', _) => Token::Operator(Operator::Subtract),
            ('*', _) => Token::Operator(Operator::Multiply),
            ('/', _) => Token::Operator(Operator::Divide),
            ('^', _) => Token::Operator(Operator::Power),
            ('(', _) => Token::Open,
            (')', _) => Token::Close,
            ('[', _) => Token::OpenArray,
            (']', _) => Token::CloseArray,
            (',', _) => Token::Comma,
            (quote @ ('"' | '\''), _) => {
                let inside = &rest[1..];
                let Some(end) = inside.find(quote) else {
                    return Err("Unterminated string".to_string());
                };
                length = end + 2;
                Token::Text(inside[..end].to_string())
            }
            (digit, _) if digit.is_ascii_digit() || digit == '.' => {
                length = number_length(rest);
                let number: f64 = rest[..length]
                    .parse()
                    .map_err(|_| format!("Invalid number '{}'", &rest[..length]))?;
                Token::Number(number)
            }
            (letter, _) if letter.is_ascii_alphabetic() => {
                length = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .unwrap_or(rest.len());
                match &rest[..length] {
                    "AND" => Token::Operator(Operator::And),
                    "OR" => Token::Operator(Operator::Or),
                    name => Token::Name(name.to_string()),
                }
            }
            (other, _) => return Err(format!("Unexpected character '{other}'")),
        };
        found.push(token);
        rest = &rest[length..];
    }
    Ok(found)
}

/// How many bytes of `text`, which begins with a digit or a point, belong to the number.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let after = digits(end + 1 + sign);
        if after > end + 1 + sign {
            end = after;
        }
    }
    end
}

/// An expression that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expression {
    root: Node,
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    operators: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn expect(&mut self, token: &Token, name: &str) -> Result<(), String> {
        if self.take().as_ref() == Some(token) {
            Ok(())
        } else {
            Err(format!("Missing '{name}'"))
        }
    }

    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Parser) -> Result<T, String>,
    ) -> Result<T, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("The expression is nested too deeply".to_string());
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Reads operands joined by operators that bind at least as strongly as `weakest`.
    fn binary(&mut self, weakest: u8) -> Result<Node, String> {
        let mut left = self.operand()?;
        while let Some(Token::Operator(operator)) = self.peek() {
            let operator = *operator;
            if operator.strength() < weakest {
                break;
            }
            self.operators += 1;
            if self.operators > MOST_OPERATORS {
                return Err("The expression has too many operators".to_string());
            }
            self.at += 1;
            let right = self.deeper(|parser| parser.binary(operator.strength() + 1))?;
            left = Node::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Node, String> {
        match self.take() {
            Some(Token::Number(number)) => Ok(Node::Number(number)),
            Some(Token::Text(text)) => Ok(Node::Text(text)),
            Some(Token::Operator(Operator::Subtract)) => {
                let strength = Operator::Power.strength();
                let inner = self.deeper(|parser| parser.binary(strength))?;
                Ok(Node::Negative(Box::new(inner)))
            }
            Some(Token::Open) => {
                let inner = self.deeper(|parser| parser.binary(0))?;
                self.expect(&Token::Close, ")")?;
                Ok(inner)
            }
            Some(Token::OpenArray) => Ok(Node::Array(self.list(&Token::CloseArray, "]")?)),
            Some(Token::Name(name)) => self.named(name),
            Some(other) => Err(format!("Unexpected {other:?}")),
            None => Err("Unexpected end of the expression".to_string()),
        }
    }

    fn named(&mut self, name: String) -> Result<Node, String> {
        if self.peek() == Some(&Token::Open) {
            self.at += 1;
            let arguments = self.list(&Token::Close, ")")?;
            let (function, fewest, most) =
                Function::parse(&name).ok_or_else(|| format!("Function '{name}' not found"))?;
            if !(fewest..=most).contains(&arguments.len()) {
                return Err(format!("Wrong number of arguments for {name}"));
            }
            return Ok(Node::Call(function, arguments));
        }
        if name.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Ok(Node::Id(name));
        }
        if matches!(name.as_str(), "REPEAT" | "LINEAR") {
            return Ok(Node::Keyword(name));
        }
        Err(format!("Unexpected name '{name}'"))
    }

    fn list(&mut self, end: &Token, name: &str) -> Result<Vec<Node>, String> {
        let mut items = Vec::new();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(items);
        }
        loop {
            items.push(self.deeper(|parser| parser.binary(0))?);
            if self.peek() == Some(&Token::Comma) {
                self.at += 1;
                continue;
            }
            self.expect(end, name)?;
            return Ok(items);
        }
    }
}

/// What an expression can reach while it is worked out.
pub(super) trait Surroundings {
    /// What the query `id` came out as; `None` if there is no such query.
    fn outcome_of(&self, id: &str) -> Option<&Outcome>;
    /// The period of the query `id`, in seconds.
    fn period_of(&self, id: &str) -> Option<i64>;
    /// The ids of all queries that read a metric.
    fn metric_ids(&self) -> Vec<String>;
    /// The beginnings of all periods asked for, which FILL fills.
    fn all_periods(&self) -> Vec<i64>;
}

impl Expression {
    /// Whether it is `SUM(METRICS())`.
    pub(super) fn is_sum_of_all_metrics(&self) -> bool {
        matches!(&self.root, Node::Call(Function::Sum, of)
            if matches!(of.as_slice(), [Node::Call(Function::Metrics, ids)] if ids.is_empty()))
    }

    /// Reads an expression; the error is a sentence for people.
    pub(super) fn parse(text: &str) -> Result<Expression, String> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
            operators: 0,
        };
        let root = parser.binary(0)?;
        match parser.peek() {
            None => Ok(Expression { root }),
            Some(extra) => Err(format!("Unexpected {extra:?}")),
        }
    }

    /// The ids that are mentioned, in order and with repetition.
    pub(super) fn mentioned(&self) -> Vec<String> {
        fn walk(node: &Node, found: &mut Vec<String>) {
            match node {
                Node::Id(id) => found.push(id.clone()),
                Node::Array(items) | Node::Call(_, items) => {
                    items.iter().for_each(|item| walk(item, found));
                }
                Node::Negative(inner) => walk(inner, found),
                Node::Binary(_, left, right) => {
                    walk(left, found);
                    walk(right, found);
                }
                Node::Number(_) | Node::Text(_) | Node::Keyword(_) => {}
            }
        }
        let mut found = Vec::new();
        walk(&self.root, &mut found);
        found
    }

    /// Whether METRICS() is called, which depends on every query that reads a metric.
    pub(super) fn mentions_all_metrics(&self) -> bool {
        fn walk(node: &Node) -> bool {
            match node {
                Node::Call(Function::Metrics, _) => true,
                Node::Array(items) | Node::Call(_, items) => items.iter().any(walk),
                Node::Negative(inner) => walk(inner),
                Node::Binary(_, left, right) => walk(left) || walk(right),
                _ => false,
            }
        }
        walk(&self.root)
    }

    /// Works the expression out; the error is a sentence for people.
    pub(super) fn work_out(&self, around: &dyn Surroundings) -> Result<Outcome, String> {
        work_out(&self.root, around)
    }
}

fn work_out(node: &Node, around: &dyn Surroundings) -> Result<Outcome, String> {
    match node {
        Node::Number(number) => Ok(Outcome::Scalar(*number)),
        Node::Id(id) => around
            .outcome_of(id)
            .cloned()
            .ok_or_else(|| format!("Undefined variable '{id}'")),
        Node::Text(_) => Err("A string is not a value".to_string()),
        Node::Keyword(word) => Err(format!("{word} can only be used in FILL")),
        Node::Array(items) => {
            let mut series = Vec::new();
            for item in items {
                let label = match item {
                    Node::Id(id) => id.clone(),
                    _ => format!("expr_{}", series.len() + 1),
                };
                match work_out(item, around)? {
                    Outcome::Series(points) => series.push((label, points)),
                    Outcome::Many(more) => series.extend(more),
                    Outcome::Scalar(_) => {
                        return Err("An array can only contain time series".to_string());
                    }
                }
            }
            Ok(Outcome::Many(series))
        }
        Node::Negative(inner) => each(work_out(inner, around)?, |value| -value),
        Node::Binary(operator, left, right) => {
            combine(*operator, work_out(left, around)?, work_out(right, around)?)
        }
        Node::Call(function, arguments) => call(*function, arguments, around),
    }
}

/// Applies a function to every value. A data point that is no number afterwards is left out.
fn each(outcome: Outcome, function: impl Fn(f64) -> f64) -> Result<Outcome, String> {
    let of_points = |points: Points| -> Points {
        points
            .into_iter()
            .map(|(at, value)| (at, function(value)))
            .filter(|(_, value)| value.is_finite())
            .collect()
    };
    Ok(match outcome {
        Outcome::Scalar(number) => Outcome::Scalar(function(number)),
        Outcome::Series(points) => Outcome::Series(of_points(points)),
        Outcome::Many(series) => Outcome::Many(
            series
                .into_iter()
                .map(|(label, points)| (label, of_points(points)))
                .collect(),
        ),
    })
}

/// Two series are combined where both have a data point: what is missing stays missing.
fn combine(operator: Operator, left: Outcome, right: Outcome) -> Result<Outcome, String> {
    match (left, right) {
        (left, Outcome::Scalar(right)) => each(left, |left| operator.apply(left, right)),
        (Outcome::Scalar(left), right) => each(right, |right| operator.apply(left, right)),
        (Outcome::Series(left), Outcome::Series(right)) => {
            Ok(Outcome::Series(join(operator, &left, &right)))
        }
        (Outcome::Many(left), Outcome::Series(right)) => Ok(Outcome::Many(
            left.into_iter()
                .map(|(label, left)| (label, join(operator, &left, &right)))
                .collect(),
        )),
        (Outcome::Series(left), Outcome::Many(right)) => Ok(Outcome::Many(
            right
                .into_iter()
                .map(|(label, right)| (label, join(operator, &left, &right)))
                .collect(),
        )),
        (Outcome::Many(_), Outcome::Many(_)) => {
            Err("Unsupported operand types: two arrays of time series".to_string())
        }
    }
}

fn join(operator: Operator, left: &Points, right: &Points) -> Points {
    left.iter()
        .filter_map(|(at, left)| Some((*at, operator.apply(*left, *right.get(at)?))))
        .filter(|(_, value)| value.is_finite())
        .collect()
}

fn call(
    function: Function,
    arguments: &[Node],
    around: &dyn Surroundings,
) -> Result<Outcome, String> {
    let argument = |index: usize| work_out(&arguments[index], around);
    match function {
        Function::Abs => each(argument(0)?, f64::abs),
        Function::Ceiling => each(argument(0)?, f64::ceil),
        Function::Floor => each(argument(0)?, f64::floor),
        Function::Sum | Function::Average | Function::Minimum | Function::Maximum => {
            gather(function, argument(0)?)
        }
        Function::Metrics => {
            let wanted = match arguments.first() {
                None => "",
                Some(Node::Text(text)) => text,
                Some(_) => return Err("METRICS takes a string".to_string()),
            };
            let mut series = Vec::new();
            for id in around
                .metric_ids()
                .into_iter()
                .filter(|id| id.contains(wanted))
            {
                if let Some(Outcome::Series(points)) = around.outcome_of(&id) {
                    series.push((id, points.clone()));
                }
            }
            Ok(Outcome::Many(series))
        }
        Function::Period => match &arguments[0] {
            Node::Id(id) => around
                .period_of(id)
                .map(|seconds| Outcome::Scalar(seconds as f64))
                .ok_or_else(|| format!("Undefined variable '{id}'")),
            _ => Err("PERIOD takes the id of a metric".to_string()),
        },
        Function::Fill => fill(argument(0)?, &arguments[1], around),
        Function::If => {
            let otherwise = if arguments.len() == 3 {
                Some(argument(2)?)
            } else {
                None
            };
            choose(argument(0)?, argument(1)?, otherwise)
        }
    }
}

/// SUM, AVG, MIN and MAX: over time for one series, across series for several.
fn gather(function: Function, outcome: Outcome) -> Result<Outcome, String> {
    let over = |values: &[f64], of: usize| -> f64 {
        let sum: f64 = values.iter().sum();
        match function {
            Function::Sum => sum,
            // CloudWatch's documentation: "Missing values are treated as 0."
            Function::Average => sum / of as f64,
            Function::Minimum => values.iter().copied().fold(f64::INFINITY, f64::min),
            _ => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    };
    match outcome {
        Outcome::Scalar(_) => Err("A scalar is not a time series".to_string()),
        Outcome::Series(points) if points.is_empty() => Ok(Outcome::Scalar(f64::NAN)),
        Outcome::Series(points) => {
            let values: Vec<f64> = points.into_values().collect();
            Ok(Outcome::Scalar(over(&values, values.len())))
        }
        Outcome::Many(series) => {
            let mut by_time: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
            for (_, points) in &series {
                for (at, value) in points {
                    by_time.entry(*at).or_default().push(*value);
                }
            }
            let gathered = by_time
                .into_iter()
                .map(|(at, values)| (at, over(&values, series.len())));
            Ok(Outcome::Series(
                gathered.filter(|(_, value)| value.is_finite()).collect(),
            ))
        }
    }
}

fn fill(outcome: Outcome, filler: &Node, around: &dyn Surroundings) -> Result<Outcome, String> {
    enum Filler {
        Repeat,
        Linear,
        Number(f64),
        Points(Points),
    }
    let filler = match filler {
        Node::Keyword(word) if word == "REPEAT" => Filler::Repeat,
        Node::Keyword(_) => Filler::Linear,
        other => match work_out(other, around)? {
            Outcome::Scalar(number) => Filler::Number(number),
            Outcome::Series(points) => Filler::Points(points),
            Outcome::Many(_) => return Err("FILL cannot fill with several series".to_string()),
        },
    };
    let periods = around.all_periods();
    let fill_points = |points: Points| -> Points {
        let mut filled = points.clone();
        for at in periods.iter().filter(|at| !points.contains_key(at)) {
            let before = || points.range(..at).next_back();
            let value = match &filler {
                Filler::Number(number) => Some(*number),
                Filler::Points(values) => values.get(at).copied(),
                Filler::Repeat => before().map(|(_, value)| *value),
                Filler::Linear => match (before(), points.range(at..).next()) {
                    (Some((from, low)), Some((to, high))) => {
                        let share = (at - from) as f64 / (to - from) as f64;
                        Some(low + (high - low) * share)
                    }
                    _ => None,
                },
            };
            if let Some(value) = value.filter(|value| value.is_finite()) {
                filled.insert(*at, value);
            }
        }
        filled
    };
    match outcome {
        Outcome::Scalar(_) => Err("FILL needs a time series".to_string()),
        Outcome::Series(points) => Ok(Outcome::Series(fill_points(points))),
        Outcome::Many(series) => Ok(Outcome::Many(
            series
                .into_iter()
                .map(|(label, points)| (label, fill_points(points)))
                .collect(),
        )),
    }
}

fn choose(
    condition: Outcome,
    then: Outcome,
    otherwise: Option<Outcome>,
) -> Result<Outcome, String> {
    let any_many = [Some(&condition), Some(&then), otherwise.as_ref()]
        .into_iter()
        .flatten()
        .any(|outcome| matches!(outcome, Outcome::Many(_)));
    if any_many {
        return Err("IF does not take an array of time series".to_string());
    }
    let at = |outcome: &Outcome, at: i64| match outcome {
        Outcome::Scalar(number) => Some(*number),
        Outcome::Series(points) => points.get(&at).copied(),
        Outcome::Many(_) => None,
    };
    // The times to answer for: those of the condition; with a plain number as the condition, those of the branches.
    let mut times: Vec<i64> = Vec::new();
    if let Outcome::Series(points) = &condition {
        times.extend(points.keys());
    } else {
        let mut any_series = false;
        for branch in [Some(&then), otherwise.as_ref()].into_iter().flatten() {
            if let Outcome::Series(points) = branch {
                any_series = true;
                times.extend(points.keys());
            }
        }
        if !any_series {
            let (Outcome::Scalar(condition), Outcome::Scalar(then)) = (condition, then) else {
                return Err("IF needs numbers or time series".to_string());
            };
            let otherwise = match otherwise {
                Some(Outcome::Scalar(number)) => number,
                _ => f64::NAN,
            };
            return Ok(Outcome::Scalar(if condition != 0.0 {
                then
            } else {
                otherwise
            }));
        }
    }
    let mut points = Points::new();
    for time in times {
        let holds = at(&condition, time).is_some_and(|value| value != 0.0 && !value.is_nan());
        let value = if holds {
            at(&then, time)
        } else {
            otherwise.as_ref().and_then(|branch| at(branch, time))
        };
        if let Some(value) = value.filter(|value| value.is_finite()) {
            points.insert(time, value);
        }
    }
    Ok(Outcome::Series(points))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Fixed {
        series: BTreeMap<String, Outcome>,
    }

    impl Surroundings for Fixed {
        fn outcome_of(&self, id: &str) -> Option<&Outcome> {
            self.series.get(id)
        }
        fn period_of(&self, id: &str) -> Option<i64> {
            self.series.contains_key(id).then_some(60)
        }
        fn metric_ids(&self) -> Vec<String> {
            self.series.keys().cloned().collect()
        }
        fn all_periods(&self) -> Vec<i64> {
            vec![0, 1, 2, 3]
        }
    }

    fn around() -> Fixed {
        let series = |points: &[(i64, f64)]| Outcome::Series(points.iter().copied().collect());
        Fixed {
            series: BTreeMap::from([
                ("m1".to_string(), series(&[(0, 10.0), (1, 20.0), (3, 40.0)])),
                ("m2".to_string(), series(&[(0, 2.0), (1, 0.0), (2, 5.0)])),
            ]),
        }
    }

    fn work(text: &str) -> Result<Outcome, String> {
        Expression::parse(text)?.work_out(&around())
    }

    fn points(text: &str) -> Vec<(i64, f64)> {
        match work(text) {
            Ok(Outcome::Series(points)) => points.into_iter().collect(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn precedence_is_that_of_arithmetic() {
        assert_eq!(work("1 + 2 * 3 - 8 / 2 / 2"), Ok(Outcome::Scalar(5.0)));
        assert_eq!(work("-2 ^ 2 + (1 + 1) * 3"), Ok(Outcome::Scalar(2.0)));
        assert_eq!(work("1 < 2 AND 3 >= 4 || 1 == 1"), Ok(Outcome::Scalar(1.0)));
        assert_eq!(work("1.5e2 - .5"), Ok(Outcome::Scalar(149.5)));
        assert_eq!(work("3 - -2"), Ok(Outcome::Scalar(5.0)));
    }

    #[test]
    fn what_is_missing_on_one_side_is_missing_in_the_result() {
        assert_eq!(points("m1 + m2"), [(0, 12.0), (1, 20.0)]);
    }

    #[test]
    fn a_division_by_zero_is_no_data_point() {
        assert_eq!(points("m1 / m2"), [(0, 5.0)]);
    }

    #[test]
    fn functions_over_time_and_across_series() {
        assert_eq!(work("SUM(m1)"), Ok(Outcome::Scalar(70.0)));
        assert_eq!(points("m1 / MAX(m1)"), [(0, 0.25), (1, 0.5), (3, 1.0)]);
        assert_eq!(
            points("SUM(METRICS())"),
            [(0, 12.0), (1, 20.0), (2, 5.0), (3, 40.0)]
        );
        assert_eq!(
            points("AVG([m1, m2])"),
            [(0, 6.0), (1, 10.0), (2, 2.5), (3, 20.0)]
        );
        assert_eq!(
            points("MIN(METRICS('m1'))"),
            [(0, 10.0), (1, 20.0), (3, 40.0)]
        );
        assert_eq!(points("m1 / PERIOD(m1)")[1], (1, 20.0 / 60.0));
    }

    #[test]
    fn filling_and_choosing() {
        assert_eq!(
            points("FILL(m1, 0)"),
            [(0, 10.0), (1, 20.0), (2, 0.0), (3, 40.0)]
        );
        assert_eq!(points("FILL(m1, REPEAT)")[2], (2, 20.0));
        assert_eq!(points("FILL(m1, LINEAR)")[2], (2, 30.0));
        assert_eq!(points("FILL(m1, m2)")[2], (2, 5.0));
        assert_eq!(
            points("IF(m1 > 15, m1, 0)"),
            [(0, 0.0), (1, 20.0), (3, 40.0)]
        );
        assert_eq!(points("IF(m1 > 15, 1)"), [(1, 1.0), (3, 1.0)]);
        assert_eq!(work("IF(1 > 2, 3, 4)"), Ok(Outcome::Scalar(4.0)));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_a_reason() {
        for (text, reason) in [
            ("RATE(m1)", "Function 'RATE' not found"),
            ("m9", "Undefined variable 'm9'"),
            ("m1 +", "Unexpected end"),
            ("m1 m2", "Unexpected"),
            ("SUM(1)", "A scalar is not"),
            ("METRICS() + METRICS()", "two arrays"),
            ("(m1", "Missing ')'"),
            ("m1 # m2", "Unexpected character '#'"),
            ("REPEAT", "only be used in FILL"),
        ] {
            let error = work(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn endless_nesting_is_refused_before_it_costs_the_stack() {
        assert!(Expression::parse(&"(".repeat(2000)).is_err());
        assert!(Expression::parse(&"-".repeat(2000)).is_err());
        assert!(Expression::parse(&format!("1{}", "+1".repeat(1000))).is_err());
        assert!(Expression::parse(&format!("1{}", "+1".repeat(200))).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_written_can_make_it_panic(text in "\\PC{0,60}") {
            drop(work(&text));
        }

        #[test]
        fn nothing_that_looks_like_an_expression_can_either(
            parts in prop::collection::vec(prop::sample::select(vec![
                "m1", "m2", "m9", "1", "0", "1e999", ".", "+", "-", "*", "/", "^", "(", ")", "[", "]", ",", "<=",
                "==", "AND", "||", "SUM(", "AVG(", "MIN(", "FILL(", "IF(", "METRICS()", "PERIOD(", "ABS(", "REPEAT",
                "LINEAR", "'m'", "\"", " ", "e", "é",
            ]), 0..40),
        ) {
            if let Ok(Outcome::Series(points)) = work(&parts.concat()) {
                prop_assert!(points.values().all(|value| value.is_finite()));
            }
        }
    }
}
