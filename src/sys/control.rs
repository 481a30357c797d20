//! A device's control as its driver describes it: plain data, which viewers are shown as it is.

use serde::Serialize;

/// One control (brightness, exposure and so on), with its range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Control {
    /// V4L2's number for it (`V4L2_CID_…`).
    pub id: u32,
    /// The driver's name for it, for people.
    pub name: String,
    /// What kind of value it takes.
    pub kind: ControlKind,
    /// Smallest value.
    pub minimum: i64,
    /// Largest value.
    pub maximum: i64,
    /// Distance of values.
    pub step: u64,
    /// The driver's default.
    pub default: i64,
    /// The present value; absent for buttons and for what cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
    /// Of a menu.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<MenuItem>,
    /// It can never be set.
    pub read_only: bool,
    /// It cannot be set, or has no effect, as others stand now: an automatic mode has it.
    pub inactive: bool,
}

/// What kind of value a control takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ControlKind {
    /// A whole number.
    Integer,
    /// 0 or 1.
    Boolean,
    /// The value of one of the items.
    Menu,
    /// Set to do something; has no value.
    Button,
}

impl ControlKind {
    /// The word that stands in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Menu => "menu",
            Self::Button => "button",
        }
    }
}

/// One item of a menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MenuItem {
    /// What is set.
    pub value: u32,
    /// For people.
    pub name: String,
}
