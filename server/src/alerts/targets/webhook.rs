//! A webhook: a POST of JSON, signed if it has a secret.

use super::http::Url;
use super::{Failure, Hidden, Refused, hidden};
use crate::alerts::notice::Body;
use crate::api::types::NewAlertTarget;
use ring::hmac;
use std::fmt::Write;

/// A webhook.
#[derive(Debug)]
pub struct Webhook {
    pub(super) address: Url,
    pub(super) secret: Option<Hidden>,
}

impl Webhook {
    pub(super) fn read(asked: &NewAlertTarget) -> Result<Webhook, Refused> {
        let url = asked.url.as_deref().ok_or_else(|| Refused("url: say where to send it".into()))?;
        Ok(Webhook { address: Url::read(url)?, secret: hidden(&asked.secret) })
    }

    pub(super) fn send(&self, body: &Body) -> Result<(), Failure> {
        let json = serde_json::to_vec(body).map_err(|error| Failure::passing(error.to_string()))?;
        let mut headers = vec![("X-Muster-Id", body.id.clone())];
        if let Some(secret) = &self.secret {
            headers.push(("X-Muster-Signature", signature(secret, &json)));
        }
        self.address.post(&headers, &json)
    }
}

/// `sha256=` and the body's HMAC by the secret, in hexadecimal: as GitHub's webhooks have it.
pub(super) fn signature(secret: &Hidden, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.0.as_bytes());
    hmac::sign(&key, body).as_ref().iter().fold(String::from("sha256="), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
