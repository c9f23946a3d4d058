//! What is answered: a body with headers, or a refusal in the words of Azure Resource Manager.

use serde_json::{Value, json};

/// An answer to a request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

/// The body of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// None.
    Empty,
    /// JSON.
    Json(Value),
    /// Plain text.
    Text(String),
}

impl Answer {
    /// JSON without any headers of its own.
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Body::Json(body) }
    }

    /// No body at all.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Empty }
    }

    /// The same with one header more.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A request that is not granted.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// The code and message of the cause, where the outer ones say nothing.
    pub(crate) detail: Option<(String, String)>,
    pub(crate) retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), detail: None, retry_after: None }
    }

    /// What a body holds that it must not, or lacks.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameter", message)
    }

    /// As an answer.
    pub(crate) fn into_answer(self) -> Answer {
        let details: Vec<_> =
            self.detail.iter().map(|(code, message)| json!({ "code": code, "message": message })).collect();
        let body = json!({ "error": { "code": self.code, "message": self.message, "details": details } });
        let answer = Answer::json(self.status, body);
        match self.retry_after {
            Some(seconds) => answer.with("retry-after", seconds.to_string()),
            None => answer,
        }
    }
}

/// What a request comes to.
pub(crate) type Answered = Result<Answer, Refusal>;
