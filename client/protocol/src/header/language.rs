//! Who sent a header: language and version.

/// Implementation language of a peer (`LanguageCode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// Java, and whatever a header without the field is.
    #[default]
    Java,
    /// C++.
    Cpp,
    /// .NET.
    Dotnet,
    /// Python.
    Python,
    /// Delphi.
    Delphi,
    /// Erlang.
    Erlang,
    /// Ruby.
    Ruby,
    /// Something else.
    Other,
    /// HTTP gateway.
    Http,
    /// Go.
    Go,
    /// PHP.
    Php,
    /// OpenMessaging.
    Oms,
    /// Rust; older peers do not know it.
    Rust,
    /// Node.js.
    NodeJs,
    /// A name or number that is not listed; written as `OTHER`.
    Unknown,
}

const LISTED: [(Language, &str); 14] = [
    (Language::Java, "JAVA"),
    (Language::Cpp, "CPP"),
    (Language::Dotnet, "DOTNET"),
    (Language::Python, "PYTHON"),
    (Language::Delphi, "DELPHI"),
    (Language::Erlang, "ERLANG"),
    (Language::Ruby, "RUBY"),
    (Language::Other, "OTHER"),
    (Language::Http, "HTTP"),
    (Language::Go, "GO"),
    (Language::Php, "PHP"),
    (Language::Oms, "OMS"),
    (Language::Rust, "RUST"),
    (Language::NodeJs, "NODE_JS"),
];

impl Language {
    /// The language with this number.
    pub fn from_code(code: i64) -> Self {
        let listed = usize::try_from(code).ok().and_then(|code| LISTED.get(code));
        listed.map_or(Self::Unknown, |(language, _)| *language)
    }

    /// The language with this name, in any case.
    pub fn from_name(name: &[u8]) -> Self {
        if name == b"JAVA" {
            return Self::Java;
        }
        let listed = LISTED
            .iter()
            .find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name));
        listed.map_or(Self::Unknown, |(language, _)| *language)
    }

    /// Its number in binary headers.
    pub fn code(self) -> u8 {
        self.index() as u8
    }

    /// Its name in JSON headers.
    pub fn name(self) -> &'static str {
        LISTED[self.index()].1
    }

    fn index(self) -> usize {
        match self {
            Self::Unknown => Self::Other as usize,
            listed => listed as usize,
        }
    }
}

/// Version ordinals (`MQVersion`): where behaviour changes, and what we say of ourselves.
pub mod version {
    /// What RingMQ sends, as server and as client: 4.9.8. Below 5.3.1, so that nobody tells us to
    /// go away; above 4.9.4, so that name servers answer in standard JSON.
    pub const OURS: i32 = V4_9_8;
    /// Clients from here on understand offset resets.
    pub const V3_0_7_SNAPSHOT: i32 = 28;
    /// Brokers from here on register with a whole body.
    pub const V3_0_11: i32 = 37;
    /// Clients from here on answer questions about what they run.
    pub const V3_1_8_SNAPSHOT: i32 = 62;
    /// Clients from here on name their own `maxReconsumeTimes`.
    pub const V3_4_9: i32 = 121;
    /// Consumers with SQL filters want at least this of their broker.
    pub const V4_1_0_SNAPSHOT: i32 = 232;
    /// Up to here the unique-key marker is part of what a query signs.
    pub const V4_9_3: i32 = 399;
    /// Clients from here on read routes in standard JSON only.
    pub const V4_9_4: i32 = 401;
    /// 4.9.7.
    pub const V4_9_7: i32 = 407;
    /// 4.9.8.
    pub const V4_9_8: i32 = 409;
    /// Brokers from here on append queue mappings to a compressed registration.
    pub const V5_0_0: i32 = 413;
    /// Clients above this are told to go away at shutdown.
    pub const V5_3_1: i32 = 475;
    /// 5.5.0 as released.
    pub const V5_5_0: i32 = 513;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree_for_every_language() {
        for (code, (language, name)) in LISTED.into_iter().enumerate() {
            assert_eq!(Language::from_code(code as i64), language);
            assert_eq!(Language::from_name(name.as_bytes()), language);
            assert_eq!(
                (usize::from(language.code()), language.name()),
                (code, name)
            );
        }
        assert_eq!(Language::from_name(b"go"), Language::Go);
        assert_eq!(Language::from_name(b"COBOL"), Language::Unknown);
        assert_eq!(Language::from_code(99), Language::Unknown);
        assert_eq!(Language::Unknown.name(), "OTHER");
    }
}
