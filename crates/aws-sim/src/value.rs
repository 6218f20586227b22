//! The neutral value tree that every wire protocol is decoded into and encoded from.
//!
//! An operation is written once, over [`Value`]; the door's codecs turn it into JSON 1.0/1.1, RPC v2
//! CBOR or Query/XML. Query requests carry only text, so the readers below accept text where a
//! number or a boolean is meant, exactly as AWS's own Query services do.

/// One value of a request or an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing. A map entry with this value is left out of every encoded answer.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating point number.
    Double(f64),
    /// Text.
    Text(String),
    /// A moment, in milliseconds since 1970 UTC. JSON: epoch seconds as a number; CBOR: tag 1; XML: ISO 8601.
    Time(i64),
    /// A list.
    List(Vec<Value>),
    /// A structure or map.
    Map(Members),
}

/// The members of a structure or map, by name: as a `BTreeMap` has them, but in a list that takes no more room than
/// they need. Most structures have few members, of which an account keeps a great many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members(Vec<(String, Value)>);

impl Members {
    /// None.
    pub const fn new() -> Members {
        Members(Vec::new())
    }

    /// Where the member is, or where it would stand.
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| own.as_str().cmp(name))
    }

    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(self.find(name).ok()?).map(|(_, value)| value)
    }

    /// The member of this name, to change.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        let at = self.find(name).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Whether there is a member of this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Adds a member or puts another in its place, which is answered.
    pub fn insert(&mut self, name: String, value: Value) -> Option<Value> {
        match self.find(&name) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.find(name).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Keeps the members for which this holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&String, &mut Value) -> bool) {
        self.0.retain_mut(|(name, value)| keep(name, value));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, by name.
    pub fn iter(&self) -> MembersIter<'_> {
        self.0.iter().map(member)
    }

    /// All of them to change, by name.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Value)> {
        self.0.iter_mut().map(|(name, value)| (&*name, value))
    }

    /// Their names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Themselves, by name.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Themselves to change, by name.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

fn member((name, value): &(String, Value)) -> (&String, &Value) {
    (name, value)
}

/// What [`Members::iter`] goes through.
pub type MembersIter<'a> = std::iter::Map<
    std::slice::Iter<'a, (String, Value)>,
    fn(&'a (String, Value)) -> (&'a String, &'a Value),
>;

impl FromIterator<(String, Value)> for Members {
    /// Of two members of one name the later one counts.
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Members {
        let mut all: Vec<(String, Value)> = members.into_iter().collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(&mut later.1, &mut kept.1);
            }
            same
        });
        Members(all)
    }
}

impl Extend<(String, Value)> for Members {
    fn extend<I: IntoIterator<Item = (String, Value)>>(&mut self, members: I) {
        for (name, value) in members {
            self.insert(name, value);
        }
    }
}

impl IntoIterator for Members {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Members {
    type Item = (&'a String, &'a Value);
    type IntoIter = MembersIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

static NULL: Value = Value::Null;

impl Value {
    /// An empty structure.
    pub fn map() -> Value {
        Value::Map(Members::new())
    }

    /// The member `key`, or [`Value::Null`].
    pub fn get(&self, key: &str) -> &Value {
        match self {
            Value::Map(map) => map.get(key).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    /// Adds a member and gives the structure back; `Null` is not added.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Value {
        if let Value::Map(map) = &mut self {
            let value = value.into();
            if value != Value::Null {
                map.insert(key.to_string(), value);
            }
        }
        self
    }

    /// Whether the value is absent.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number; text is parsed (Query).
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            Value::Double(number) if number.fract() == 0.0 => Some(*number as i64),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The number; text is parsed (Query).
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Double(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The boolean; the text `true` or `false` is accepted (Query).
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The list; anything else is an empty one.
    pub fn as_list(&self) -> &[Value] {
        match self {
            Value::List(list) => list,
            _ => &[],
        }
    }

    /// The structure, if it is one.
    pub fn as_map(&self) -> Option<&Members> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The moment in milliseconds since 1970 UTC: from a time, a number of seconds, or ISO 8601 text.
    /// Seconds that milliseconds cannot hold become the earliest or the latest moment, so that they
    /// still compare as what they are.
    pub fn as_time_ms(&self) -> Option<i64> {
        match self {
            Value::Time(ms) => Some(*ms),
            Value::Int(seconds) => Some(seconds.saturating_mul(1000)),
            Value::Double(seconds) => Some((seconds * 1000.0).round() as i64),
            Value::Text(text) => {
                time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
                    .ok()
                    .map(|at| (at.unix_timestamp_nanos() / 1_000_000) as i64)
            }
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_string())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}
impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Double(number)
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Bool(flag)
    }
}
impl From<Vec<Value>> for Value {
    fn from(list: Vec<Value>) -> Value {
        Value::List(list)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(option: Option<T>) -> Value {
        option.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_kept_as_a_map_keeps_them() {
        let named = |name: &str, number: i64| (name.to_string(), Value::Int(number));
        let given = [("b", 1), ("a", 2), ("b", 3), ("c", 4), ("a", 5)];
        let mut members: Members = given
            .map(|(name, number)| named(name, number))
            .into_iter()
            .collect();
        let mut one_by_one = Members::new();
        one_by_one.extend(given.map(|(name, number)| named(name, number)));
        assert_eq!(members, one_by_one);
        let expected = [named("a", 5), named("b", 3), named("c", 4)];
        assert_eq!(members.clone().into_iter().collect::<Vec<_>>(), expected);
        assert_eq!(
            members.insert("b".to_string(), Value::Int(6)),
            Some(Value::Int(3))
        );
        assert_eq!(members.get("b"), Some(&Value::Int(6)));
        assert_eq!(members.remove("a"), Some(Value::Int(5)));
        assert_eq!(members.get("a"), None);
        members.retain(|name, _| name != "c");
        assert_eq!(members.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn seconds_beyond_what_milliseconds_hold_are_the_last_moment() {
        let largest = i64::MAX / 1000;
        for (seconds, ms) in [
            (Value::Int(1_795_255_200), 1_795_255_200_000),
            (Value::Int(largest), largest * 1000),
            (Value::Int(largest + 1), i64::MAX),
            (Value::Int(-largest - 1), i64::MIN),
            (Value::Int(i64::MAX), i64::MAX),
            (Value::Int(i64::MIN), i64::MIN),
            (Value::Double(1.5), 1_500),
            (Value::Double(1e300), i64::MAX),
            (Value::Double(-1e300), i64::MIN),
        ] {
            assert_eq!(seconds.as_time_ms(), Some(ms), "{seconds:?}");
        }
    }
}
