//! A part of a broker's table of topics or groups: clients since 5.4 ask for the whole of it page by
//! page (`enableSplitMetadata`), and begin again when it has changed in between.

use ringmq_protocol::header::Ext;

use crate::data_version::DataVersion;
use crate::limits;

/// Rows `first` to before `first + most`, in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows to pass over.
    pub first: usize,
    /// Rows to show at most.
    pub most: usize,
}

impl Page {
    /// The page that a request asks for: `first_field` counts from 0, `most_field` is the size. Whoever
    /// names neither of them nor `dataVersion` is an older client and gets everything; one who has
    /// pages of another version begins at the start.
    pub fn asked(ext: &Ext<'_>, first_field: &str, most_field: &str, version: DataVersion) -> Self {
        let number = |name| ext.get_i32(name).and_then(|n| usize::try_from(n).ok());
        let known = ext.get("dataVersion");
        if known.is_none() && ext.get(first_field).is_none() && ext.get(most_field).is_none() {
            return Self {
                first: 0,
                most: usize::MAX,
            };
        }
        let known = known.and_then(|text| serde_json::from_str(&text.to_cow()).ok());
        let first = number(first_field).filter(|_| known == Some(version));
        let most = number(most_field).unwrap_or(usize::MAX);
        Self {
            first: first.unwrap_or(0),
            most: most.min(limits::PAGE_ROWS_MAX),
        }
    }
}
