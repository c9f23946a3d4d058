//! The templates of a task's settings: the part of Go's language that names something.
//!
//! ```text
//! {{.Service.ID}} {{.Service.Name}} {{.Service.Labels.zone}} {{index .Service.Labels "a.b"}}
//! {{.Node.ID}} {{.Node.Hostname}} {{.Node.Platform.OS}} {{.Node.Platform.Architecture}}
//! {{.Task.ID}} {{.Task.Name}} {{.Task.Slot}}   {{"a text"}}   {{/* a remark */}}   {{- and -}} take blanks away
//! ```
//! A label that is missing is an error by its field, and empty by `index`, as in Go.

use model::Task;

use super::TaskNode;
use crate::settings::InvalidSettings;

/// What templates can name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) task: &'a Task,
    pub(super) node: &'a TaskNode,
}

impl Context<'_> {
    /// The text with every action replaced by what it names.
    pub(super) fn expand(&self, template: &str) -> Result<String, InvalidSettings> {
        let refuse = |reason: String| InvalidSettings(format!("failed to expand template \"{template}\": {reason}"));
        let mut text = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (action, after) =
                split_action(after).ok_or_else(|| refuse("an action is not closed by \"}}\"".to_owned()))?;
            let (action, trims_before) = trim_mark(action, true);
            let (action, trims_after) = trim_mark(action, false);
            text.push_str(if trims_before { before.trim_end() } else { before });
            text.push_str(&self.value(action.trim()).map_err(refuse)?);
            rest = if trims_after { after.trim_start() } else { after };
        }
        text.push_str(rest);
        Ok(text)
    }

    fn value(&self, action: &str) -> Result<String, String> {
        if action.starts_with("/*") && action.ends_with("*/") {
            return Ok(String::new());
        }
        if action.starts_with('"') || action.starts_with('`') {
            return quoted(action);
        }
        if let Some(arguments) = action.strip_prefix("index ") {
            let (path, key) = arguments.trim().split_once(char::is_whitespace).unwrap_or((arguments, ""));
            let key = quoted(key.trim())?;
            if path != ".Service.Labels" {
                return Err(format!("`index` finds labels of the service, not \"{path}\""));
            }
            return Ok(self.task.state.service_labels.get(&key).cloned().unwrap_or_default());
        }
        let path = action.strip_prefix('.').ok_or_else(|| format!("unknown action \"{action}\""))?;
        self.field(path).ok_or_else(|| format!("unknown field \".{path}\""))
    }

    fn field(&self, path: &str) -> Option<String> {
        let task = self.task;
        if let Some(label) = path.strip_prefix("Service.Labels.") {
            return task.state.service_labels.get(label).cloned();
        }
        Some(match path {
            "Service.ID" => task.state.service_id.to_string(),
            "Service.Name" => task.state.service_name.clone(),
            "Node.ID" => self.node.id.to_string(),
            "Node.Hostname" => self.node.hostname.clone(),
            "Node.Platform.OS" => self.node.platform.os.clone(),
            "Node.Platform.Architecture" => self.node.platform.architecture.clone(),
            "Task.ID" => task.id.to_string(),
            "Task.Name" => task.container_name(),
            // Where places are nodes, the node is the place.
            "Task.Slot" if task.state.slot == 0 => self.node.id.to_string(),
            "Task.Slot" => task.state.slot.to_string(),
            _ => return None,
        })
    }
}

/// Splits at the end of the action; braces within quotes do not end it.
fn split_action(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        match quote {
            Some('"') if is_escaped => is_escaped = false,
            Some('"') if character == '\\' => is_escaped = true,
            Some(open) if character == open => quote = None,
            None if matches!(character, '"' | '`') => quote = Some(character),
            None if text[at..].starts_with("}}") => return Some((&text[..at], &text[at + 2..])),
            Some(_) | None => {}
        }
    }
    None
}

/// Takes the mark off that takes blanks away: a minus with a blank on its inner side.
fn trim_mark(action: &str, is_first: bool) -> (&str, bool) {
    let inner = if is_first { action.strip_prefix('-') } else { action.strip_suffix('-') };
    let is_blank = |character: Option<char>| character.is_some_and(char::is_whitespace);
    match inner {
        Some(inner) if is_first && is_blank(inner.chars().next()) => (inner, true),
        Some(inner) if !is_first && is_blank(inner.chars().next_back()) => (inner, true),
        Some(_) | None => (action, false),
    }
}

/// Reads one text in Go's quotes; of the escapes only those of the quote and the backslash.
fn quoted(text: &str) -> Result<String, String> {
    let wrong = || format!("\"{text}\" is no text in quotes");
    if let Some(raw) = text.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        return if raw.contains('`') { Err(wrong()) } else { Ok(raw.to_owned()) };
    }
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(wrong)?;
    let mut plain = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Err(wrong()),
            '\\' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => plain.push(escaped),
                Some(_) | None => return Err(wrong()),
            },
            character => plain.push(character),
        }
    }
    Ok(plain)
}
