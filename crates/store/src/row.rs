//! Between records and rows: writing a record's columns, and reading a column back with its place in the error.

use crate::error::Doing as _;
use crate::error::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Any;
use sqlx::Executor;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::query::QueryAs;
use switchback_domain::moment::Moment;
use switchback_domain::revision::RevisionArn;

/// What can be bound to a statement.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
    Real(f64),
}

impl Value {
    fn bind<'q>(self, query: Query<'q, Any, AnyArguments<'q>>) -> Query<'q, Any, AnyArguments<'q>> {
        match self {
            Value::Text(text) => query.bind(text),
            Value::Integer(number) => query.bind(number),
            Value::Real(number) => query.bind(number),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(Some(text.to_string()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Value {
        Value::Text(text)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Value {
        Value::Text(text.map(str::to_string))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Value {
        Value::Integer(number)
    }
}

impl From<Moment> for Value {
    fn from(moment: Moment) -> Value {
        Value::Integer(Some(moment.millis()))
    }
}

impl From<Option<Moment>> for Value {
    fn from(moment: Option<Moment>) -> Value {
        Value::Integer(moment.map(Moment::millis))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Real(number)
    }
}

/// The columns of one row with their values. The same list makes the INSERT and the UPDATE, so that no column can be
/// bound to another one's value or be forgotten in one of the two.
#[derive(Debug, Default)]
pub(crate) struct Columns(Vec<(&'static str, Value)>);

impl Columns {
    pub(crate) fn new() -> Columns {
        Columns::default()
    }

    pub(crate) fn with(mut self, column: &'static str, value: impl Into<Value>) -> Columns {
        self.0.push((column, value.into()));
        self
    }

    pub(crate) fn with_json(
        self,
        column: &'static str,
        value: &impl Serialize,
    ) -> Result<Columns, StoreError> {
        let text = serde_json::to_string(value)
            .map_err(|source| StoreError::Unwritable { column, source })?;
        Ok(self.with(column, text))
    }

    /// Runs `head (columns) values (…) tail`, for example `insert into gates` and `on conflict do nothing`; gives the
    /// number of rows that were written.
    pub(crate) async fn insert<'e>(
        self,
        executor: impl Executor<'e, Database = Any>,
        doing: &'static str,
        head: &str,
        tail: &str,
    ) -> Result<u64, StoreError> {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
        let places: Vec<String> = (1..=names.len())
            .map(|number| format!("${number}"))
            .collect();
        let sql = format!(
            "{head} ({}) values ({}) {tail}",
            names.join(", "),
            places.join(", ")
        );
        let query = self
            .0
            .into_iter()
            .fold(sqlx::query(&sql), |query, (_, value)| value.bind(query));
        Ok(query.execute(executor).await.doing(doing)?.rows_affected())
    }

    /// Runs `update table set … , generation = generation + 1 where id = … and generation = …` and gives the new
    /// generation. A row that has moved on is a conflict.
    pub(crate) async fn update<'e>(
        self,
        executor: impl Executor<'e, Database = Any>,
        doing: &'static str,
        table: &'static str,
        id: &str,
        generation: i64,
    ) -> Result<i64, StoreError> {
        let sets: Vec<String> = self
            .0
            .iter()
            .enumerate()
            .map(|(index, (name, _))| format!("{name} = ${}", index + 1))
            .collect();
        let sql = format!(
            "update {table} set {}, generation = generation + 1 where id = ${} and generation = ${}",
            sets.join(", "),
            sets.len() + 1,
            sets.len() + 2,
        );
        let query = self
            .0
            .into_iter()
            .fold(sqlx::query(&sql), |query, (_, value)| value.bind(query));
        let result = query
            .bind(id)
            .bind(generation)
            .execute(executor)
            .await
            .doing(doing)?;
        if result.rows_affected() == 1 {
            Ok(generation + 1)
        } else {
            Err(StoreError::Conflict {
                what: format!("{doing}: {table} {id} is no longer at generation {generation}"),
            })
        }
    }
}

/// The WHERE of a list: conditions over numbered places, only those that were asked for, so that the planner sees
/// which index serves.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    clauses: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition in which every `?` is the value's place.
    pub(crate) fn add(&mut self, clause: &str, value: impl Into<Value>) {
        let place = self.place(value);
        self.clauses.push(clause.replace('?', &place));
    }

    /// Adds a condition over two values, `?1` and `?2`.
    pub(crate) fn add_pair(&mut self, clause: &str, one: impl Into<Value>, two: impl Into<Value>) {
        let one = self.place(one);
        let two = self.place(two);
        self.clauses
            .push(clause.replace("?1", &one).replace("?2", &two));
    }

    /// Takes a value that stands elsewhere in the statement, and gives its place.
    pub(crate) fn place(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Adds `column in (…)`. Of no values nothing is one.
    pub(crate) fn add_one_of<'a>(
        &mut self,
        column: &str,
        values: impl IntoIterator<Item = &'a str>,
    ) {
        let places: Vec<String> = values.into_iter().map(|value| self.place(value)).collect();
        self.clauses.push(if places.is_empty() {
            "1 = 0".to_string()
        } else {
            format!("{column} in ({})", places.join(", "))
        });
    }

    /// ` where …`, or nothing.
    pub(crate) fn sql(&self) -> String {
        if self.clauses.is_empty() {
            String::new()
        } else {
            format!(" where {}", self.clauses.join(" and "))
        }
    }

    /// Binds every value to its place, in a statement whose rows are read column by column.
    #[cfg(test)]
    pub(crate) fn bind<'q>(
        self,
        query: Query<'q, Any, AnyArguments<'q>>,
    ) -> Query<'q, Any, AnyArguments<'q>> {
        self.values
            .into_iter()
            .fold(query, |query, value| value.bind(query))
    }

    /// Binds every value to its place.
    pub(crate) fn bind_as<'q, R>(
        self,
        query: QueryAs<'q, Any, R, AnyArguments<'q>>,
    ) -> QueryAs<'q, Any, R, AnyArguments<'q>> {
        self.values
            .into_iter()
            .fold(query, |query, value| match value {
                Value::Text(text) => query.bind(text),
                Value::Integer(number) => query.bind(number),
                Value::Real(number) => query.bind(number),
            })
    }
}

/// `column contains the place's text`, whatever the case. Both sides are lowered by the database, because the two
/// databases disagree with Rust, and with each other, about letters beyond ASCII.
pub(crate) fn contains(column: &str) -> String {
    format!("lower({column}) like '%' || lower(?) || '%' escape '!'")
}

/// Text in which LIKE finds nothing but the text itself.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_")
}

/// Where a value was read, for the error.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'static str,
    pub(crate) row: &'a str,
}

impl Place<'_> {
    pub(crate) fn wrong(self, column: &'static str, problem: impl Into<String>) -> StoreError {
        StoreError::Inconsistent {
            table: self.table,
            column,
            row: self.row.to_string(),
            problem: problem.into(),
        }
    }

    pub(crate) fn word<T>(
        self,
        column: &'static str,
        word: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        parse(word)
            .ok_or_else(|| self.wrong(column, format!("{word:?} is not a word of this column")))
    }

    pub(crate) fn word_or_none<T>(
        self,
        column: &'static str,
        word: Option<&str>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        word.map(|word| self.word(column, word, parse)).transpose()
    }

    pub(crate) fn json<T: DeserializeOwned>(
        self,
        column: &'static str,
        text: &str,
    ) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| self.wrong(column, error.to_string()))
    }

    pub(crate) fn revision(
        self,
        column: &'static str,
        text: &str,
    ) -> Result<RevisionArn, StoreError> {
        RevisionArn::parse(text).map_err(|error| self.wrong(column, error.to_string()))
    }

    pub(crate) fn revision_or_none(
        self,
        column: &'static str,
        text: Option<&str>,
    ) -> Result<Option<RevisionArn>, StoreError> {
        text.map(|text| self.revision(column, text)).transpose()
    }
}

/// Rows into records, or the first row's error.
pub(crate) fn records<R, T: TryFrom<R, Error = StoreError>>(
    rows: Vec<R>,
) -> Result<Vec<T>, StoreError> {
    rows.into_iter().map(T::try_from).collect()
}

/// A row into a record, if there is one.
pub(crate) fn record<R, T: TryFrom<R, Error = StoreError>>(
    row: Option<R>,
) -> Result<Option<T>, StoreError> {
    row.map(T::try_from).transpose()
}
