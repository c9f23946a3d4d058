//! What is drawn: spoilt documents, bodies that are none, and texts that mean nothing.
//!
//! A seeded generator draws the same in every run.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::served::Answer;

/// Drawn requests of each kind.
pub(super) const CASES: usize = 300;
/// Beyond what any body may hold.
const HUGE: usize = 2 << 20;

/// Draws.
#[derive(Debug)]
pub(super) struct Drawing(TestRunner);

impl Default for Drawing {
    fn default() -> Self {
        Self(TestRunner::deterministic())
    }
}

impl Drawing {
    /// Draws one.
    pub(super) fn draw<S: Strategy>(&mut self, strategy: &S) -> S::Value {
        strategy.new_tree(&mut self.0).unwrap().current()
    }

    /// A text that means nothing, as a part of a path or a query.
    pub(super) fn nonsense(&mut self) -> String {
        encode(&self.draw(&"[-%=&+{}\\[\\]\":,/a-f0-9]{0,24}|\\PC{0,8}"))
    }

    /// A few bytes.
    pub(super) fn bytes(&mut self) -> Vec<u8> {
        self.draw(&proptest::collection::vec(any::<u8>(), 0..64))
    }
}

/// A text, as a part of a path or a query.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The document with something else at each of its places in turn, and then at drawn ones.
pub(super) fn spoilt(whole: &Value) -> impl Iterator<Item = Value> {
    let (mut drawing, mut all) = (Drawing::default(), Vec::new());
    pointers(whole, "", &mut all);
    let drawn = (proptest::sample::select(all.clone()), any_value());
    let every = all.into_iter().flat_map(|place| [(place.clone(), json!({})), (place, json!(-1))]);
    every.chain((0..CASES).map(move |_| drawing.draw(&drawn))).map(|(place, value)| {
        let mut document = whole.clone();
        *document.pointer_mut(&place).unwrap() = value;
        document
    })
}

/// Bodies that are no document: the beginnings of one, drawn bytes, depths and lengths beyond all bounds, other encodings.
pub(super) fn broken_bodies(whole: &Value) -> Vec<Vec<u8>> {
    let (mut drawing, text) = (Drawing::default(), whole.to_string());
    let step = (text.len() / 40).max(1);
    let mut bodies: Vec<_> = (1..text.len()).step_by(step).map(|end| text.as_bytes()[..end].to_vec()).collect();
    bodies.extend((0..CASES).map(|_| drawing.bytes()));
    bodies.extend([
        b"[".repeat(100_000),
        b"{\"a\":".repeat(100_000),
        format!("{{\"Name\":\"{}\"}}", "x".repeat(HUGE)).into_bytes(),
        b"{\"Name\":\"\xff\xfe\"}".to_vec(),
        b"{\"Name\":\"\\ud800\"}".to_vec(),
        b"{\"Name\":1e999}".to_vec(),
        b"{}{}".to_vec(),
        b"[]".to_vec(),
        b"\0".to_vec(),
    ]);
    bodies
}

/// Refused for a reason, or done: a drawn request may be a good one by chance.
#[track_caller]
pub(super) fn check(answer: &Answer, what: &str) {
    if !matches!(answer.status.as_u16(), 200 | 201 | 204 | 304) {
        check_refused(answer, what);
    }
}

/// Refused for a reason that is the client's affair.
#[track_caller]
pub(super) fn check_refused(answer: &Answer, what: &str) {
    let what: String = what.chars().take(2_000).collect();
    let document: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let message = document["message"].as_str().unwrap_or_default();
    let status = answer.status.as_u16();
    let is_not_offered = status == 501
        && (message.contains("this engine ")
            || message.ends_with("renaming services is not supported")
            || message.ends_with("service mode change is not allowed"));
    assert!((400..500).contains(&status) || is_not_offered, "{status} {}: {what}", answer.body);
    assert!(!message.is_empty(), "{status} {:?}: {what}", answer.body);
}

/// The pointers to everything in a document.
fn pointers(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match value {
        Value::Object(members) => {
            let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
            members.iter().for_each(|(key, value)| pointers(value, &format!("{here}/{}", escaped(key)), all));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| pointers(value, &format!("{here}/{at}"), all));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a client may put where something else belongs.
fn any_value() -> impl Strategy<Value = Value> {
    let odd = [
        json!(null),
        json!({}),
        json!([]),
        json!([null]),
        json!(""),
        json!("\u{0}"),
        json!("../../.."),
        json!("x".repeat(5_000)),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MAX),
        json!(i64::MIN),
        json!({"": {"": []}}),
        json!({"a": "\u{0}"}),
        json!(["\u{0}"]),
    ];
    prop_oneof![
        4 => proptest::sample::select(odd.to_vec()),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        2 => "\\PC{0,12}".prop_map(Value::from),
        2 => "[a-z/:.@{}=-]{0,12}".prop_map(Value::from),
        1 => Just(json!("A".repeat(300))),
    ]
}
