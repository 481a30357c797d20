//! What a check found.

use serde::Serialize;

/// One part, tried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which part: `camera main`, `broker`, `ice stun:stun.example.org`.
    pub part: String,
    /// Whether it works.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
    /// What to do, where something is to be done.
    pub advice: Option<String>,
}

impl Finding {
    /// It works.
    pub fn good(part: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { part: part.into(), ok: true, detail: detail.into(), advice: None }
    }

    /// It does not.
    pub fn bad(part: impl Into<String>, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { part: part.into(), ok: false, detail: detail.into(), advice: Some(advice.into()) }
    }

    /// It works, and something is worth knowing.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// For people.
    pub fn text(&self) -> String {
        let verdict = if self.ok { "ok  " } else { "FAIL" };
        let advice = self.advice.as_ref().map(|advice| format!("\n      {advice}")).unwrap_or_default();
        format!("{verdict}  {}: {}{advice}", self.part, self.detail)
    }
}
