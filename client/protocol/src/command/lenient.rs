//! Readers of JSON members as forgiving as fastjson: numbers and booleans inside strings, enums by
//! name or number, null for the default.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A string, or a number or boolean as its text; null is empty.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Scalar::deserialize(deserializer)?.text())
}

/// As [`text`], null is none.
pub(super) fn some_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Text(text) => Some(text),
        Scalar::Number(number) => Some(number.to_string()),
        Scalar::Flag(flag) => Some(flag.to_string()),
        Scalar::None => None,
    })
}

/// A number in the range of `T`, also inside a string; anything else is 0.
pub(super) fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64> + Default,
{
    let number = Scalar::deserialize(deserializer)?.number();
    Ok(number
        .and_then(|number| T::try_from(number).ok())
        .unwrap_or_default())
}

/// As [`number`], null and anything unreadable are none.
pub(super) fn some_number<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let number = Scalar::deserialize(deserializer)?.number();
    Ok(number.and_then(|number| T::try_from(number).ok()))
}

/// A boolean, also inside a string or as a number; anything else is false.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Scalar::deserialize(deserializer)?
        .flag()
        .unwrap_or_default())
}

/// As [`flag`], null is none.
pub(super) fn some_flag<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<bool>, D::Error> {
    Ok(Scalar::deserialize(deserializer)?.flag())
}

/// A list of numbers, each also inside a string; null is empty.
pub(super) fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i32>, D::Error> {
    let scalars = Option::<Vec<Scalar>>::deserialize(deserializer)?.unwrap_or_default();
    let number = |scalar: Scalar| i32::try_from(scalar.number()?).ok();
    Ok(scalars.into_iter().filter_map(number).collect())
}

/// A table of texts, each as [`text`]; null is empty.
pub(super) fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let table = Option::<BTreeMap<String, Scalar>>::deserialize(deserializer)?;
    let table = table.unwrap_or_default().into_iter();
    Ok(table.map(|(name, value)| (name, value.text())).collect())
}

/// Anything that may be null: null is the default.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An enum by its name in any case or by its place in `names`; nothing where it is neither.
pub(super) fn variant<'de, D, T>(
    deserializer: D,
    names: &[(T, &str)],
) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Copy,
{
    let scalar = Scalar::deserialize(deserializer)?;
    if let Scalar::Text(name) = &scalar {
        let named = names
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name));
        if let Some((variant, _)) = named {
            return Ok(Some(*variant));
        }
    }
    let place = scalar
        .number()
        .and_then(|number| usize::try_from(number).ok());
    Ok(place
        .and_then(|place| names.get(place))
        .map(|(variant, _)| *variant))
}

/// A JSON value without members.
enum Scalar {
    Text(String),
    Number(i64),
    Flag(bool),
    None,
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::None => String::new(),
        }
    }

    fn number(&self) -> Option<i64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Number(number) => Some(*number),
            Self::Flag(flag) => Some(i64::from(*flag)),
            Self::None => None,
        }
    }

    fn flag(&self) -> Option<bool> {
        match self {
            Self::Text(text) => Some(text.eq_ignore_ascii_case("true") || text == "1"),
            Self::Number(number) => Some(*number != 0),
            Self::Flag(flag) => Some(*flag),
            Self::None => None,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, number, boolean or null")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(number).map_or(Scalar::None, Scalar::Number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number as i64))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar::Flag(flag))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::None)
    }
}
