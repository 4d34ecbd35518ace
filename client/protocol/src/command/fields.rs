//! Header fields declared once: struct, decoding, encoding and what is required.

use std::borrow::Cow;

use crate::header::{ExtWriter, Text};

/// What can be a field of a typed header.
pub trait Field<'a>: Sized {
    /// The value a text stands for; nothing where it does not parse, as Java leaves it then.
    fn read(text: Text<'a>) -> Option<Self>;
    /// Puts the field, if it has a value.
    fn put(&self, name: &str, ext: &mut ExtWriter<'_>);
}

impl Field<'_> for i32 {
    fn read(text: Text<'_>) -> Option<Self> {
        text.parse_i32()
    }
    fn put(&self, name: &str, ext: &mut ExtWriter<'_>) {
        ext.put(name, *self);
    }
}

impl Field<'_> for i64 {
    fn read(text: Text<'_>) -> Option<Self> {
        text.parse_i64()
    }
    fn put(&self, name: &str, ext: &mut ExtWriter<'_>) {
        ext.put(name, *self);
    }
}

impl Field<'_> for bool {
    fn read(text: Text<'_>) -> Option<Self> {
        Some(text.parse_bool())
    }
    fn put(&self, name: &str, ext: &mut ExtWriter<'_>) {
        ext.put(name, *self);
    }
}

impl<'a> Field<'a> for Cow<'a, str> {
    fn read(text: Text<'a>) -> Option<Self> {
        Some(text.to_cow())
    }
    fn put(&self, name: &str, ext: &mut ExtWriter<'_>) {
        ext.put(name, self);
    }
}

impl<'a> Field<'a> for Text<'a> {
    fn read(text: Text<'a>) -> Option<Self> {
        Some(text)
    }
    fn put(&self, name: &str, ext: &mut ExtWriter<'_>) {
        ext.put(name, *self);
    }
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    fn read(text: Text<'a>) -> Option<Self> {
        T::read(text).map(Some)
    }
    fn put(&self, name: &str, ext: &mut ExtWriter<'_>) {
        if let Some(value) = self {
            value.put(name, ext);
        }
    }
}

/// Declares typed headers: `required "name on the wire" => field: Type = default`, where
/// `required` and the default may be left out.
macro_rules! fields {
    ($(#[$doc:meta])* pub struct $name:ident<'a> { $($body:tt)* }) => {
        fields! { @declare [$(#[$doc])*] $name [<'a>] ['a] $($body)* }
    };
    ($(#[$doc:meta])* pub struct $name:ident { $($body:tt)* }) => {
        fields! { @declare [$(#[$doc])*] $name [] ['_] $($body)* }
    };
    (@declare [$($doc:tt)*] $name:ident [$($generics:tt)*] [$life:lifetime]
        $($(#[$field_doc:meta])* $($required:ident)? $wire:literal => $field:ident: $type:ty $(= $default:expr)?,)*
    ) => {
        $($doc)*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name $($generics)* {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $($generics)* Default for $name $($generics)* {
            fn default() -> Self {
                Self { $($field: fields!(@default $($default)?),)* }
            }
        }

        impl $($generics)* $name $($generics)* {
            /// Fields that a peer of the reference cannot do without.
            pub const REQUIRED: &'static [&'static str] = &[$($(fields!(@name $required $wire),)?)*];

            /// Reads the fields; absent and unparsable ones are at their defaults.
            pub fn decode(ext: &$crate::header::Ext<$life>) -> Self {
                let mut header = Self::default();
                for (name, value) in ext.iter() {
                    $(if name == $wire {
                        if let Some(value) = $crate::command::Field::read(value) {
                            header.$field = value;
                        }
                        continue;
                    })*
                }
                header
            }

            /// The first required field that is not there.
            pub fn first_missing(ext: &$crate::header::Ext<'_>) -> Option<&'static str> {
                Self::REQUIRED.iter().copied().find(|name| ext.get(name).is_none())
            }

            /// Puts the fields that have a value.
            pub fn put(&self, ext: &mut $crate::header::ExtWriter<'_>) {
                ext.open();
                $($crate::command::Field::put(&self.$field, $wire, ext);)*
            }
        }
    };
    (@default $default:expr) => { $default };
    (@default) => { Default::default() };
    (@name required $wire:literal) => { $wire };
}
