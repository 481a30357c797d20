//! Stands in for sections that are still being written in their own modules.

macro_rules! section {
    ($($module:ident { $($name:ident),* })*) => {
        $(pub mod $module {
            pub mod config {
                $(
                    /// To come.
                    #[derive(Debug, Clone, PartialEq, Default, serde::Deserialize, serde::Serialize)]
                    #[serde(deny_unknown_fields, default)]
                    pub struct $name {}
                )*
            }
        })*
    };
}

section! {
    encode { H264, Opus }
}
