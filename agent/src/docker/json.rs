//! Pieces of the engine's JSON, borrowed where it has no escapes.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Why bytes are not what the engine usually says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// Not JSON, or a field of another type.
    Json,
    /// No id, or one that is not 64 hexadecimal digits.
    Id,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParseError::Json => "the JSON has another shape",
            ParseError::Id => "the id is not 64 hexadecimal digits",
        })
    }
}

impl std::error::Error for ParseError {}

/// Keys and values of an object of strings.
pub(crate) type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// A string. Within an `Option` or a `Vec`, serde borrows it only so.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// An object as its entries: labels, attributes, networks by name.
#[derive(Debug)]
pub(crate) struct Entries<'a, V>(pub Vec<(Cow<'a, str>, V)>);

impl<V> Default for Entries<'_, V> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<'a> Entries<'a, Option<Text<'a>>> {
    /// Sorted by key; of equal keys the first; null is an empty value.
    pub fn into_sorted(self) -> Pairs<'a> {
        let text = |value: Option<Text<'a>>| value.unwrap_or_default().0;
        let mut pairs: Pairs<'a> = self.0.into_iter().map(|(key, value)| (key, text(value))).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, first| later.0 == first.0);
        pairs
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Entries<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Collect<V> {
            type Value = Vec<(Cow<'de, str>, V)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<Text<'de>, V>()? {
                    entries.push((key.0, value));
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Collect(PhantomData)).map(Entries)
    }
}

/// For a field that Go writes as `null` when it is empty.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
