//! A topic of an ntfy server.

use super::http::Url;
use super::{Failure, Hidden, Refused, hidden};
use crate::alerts::notice::Body;
use crate::api::types::NewAlertTarget;
use serde_json::json;

/// Unless another server is named.
const PUBLIC: &str = "https://ntfy.sh";
/// ntfy makes a file of what is longer, in bytes.
const MESSAGE: usize = 3_800;

/// A topic.
#[derive(Debug)]
pub struct Ntfy {
    pub(super) address: Url,
    pub(super) topic: String,
    pub(super) token: Option<Hidden>,
    priority: Option<u8>,
}

impl Ntfy {
    pub(super) fn read(asked: &NewAlertTarget) -> Result<Ntfy, Refused> {
        let topic = asked.topic.clone().ok_or_else(|| Refused("topic: say which".into()))?;
        let is_topic = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if topic.len() > 64 || !topic.chars().all(is_topic) {
            return Err(Refused("topic: at most 64 letters, digits, '-' and '_'".into()));
        }
        if asked.priority.is_some_and(|priority| !(1..=5).contains(&priority)) {
            return Err(Refused("priority: give 1 to 5".into()));
        }
        let address = Url::read(asked.url.as_deref().unwrap_or(PUBLIC))?;
        Ok(Ntfy { address, topic, token: hidden(&asked.token), priority: asked.priority })
    }

    /// What may be shown: on a public server whoever knows the topic reads it.
    pub(super) fn shown_topic(&self) -> String {
        // Of a short one nothing would be left to guess.
        let shown = if self.topic.len() >= 8 { 4 } else { 1 };
        format!("{}...", self.topic.get(..shown).unwrap_or_default())
    }

    pub(super) fn send(&self, body: &Body) -> Result<(), Failure> {
        let json = serde_json::to_vec(&self.message(body)).map_err(|error| Failure::passing(error.to_string()))?;
        let token = self.token.as_ref().map(|token| ("Authorization", format!("Bearer {}", token.0)));
        self.address.post(token.as_slice(), &json)
    }

    pub(super) fn message(&self, body: &Body) -> serde_json::Value {
        let (priority, tag) = match body.severity.as_str() {
            "critical" => (5, "rotating_light"),
            "warning" => (3, "warning"),
            _ => (2, "white_check_mark"),
        };
        let mut text = body.text.clone();
        if text.len() > MESSAGE {
            let end = (0..=MESSAGE).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            text.truncate(end);
        }
        json!({
            "topic": self.topic,
            "title": body.title,
            "message": text,
            "priority": self.priority.unwrap_or(priority),
            "tags": [tag],
        })
    }
}
