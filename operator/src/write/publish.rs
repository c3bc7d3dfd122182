//! Events of the API server (events.k8s.io/v1), on the VirtualService that they are about.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use lvs_crds::VirtualService;
use tokio::time::timeout;

use super::events::{Events, Transition};
use crate::change::ServiceStatusChange;
use crate::clock;
use crate::log::chain;

/// An event that takes longer is not worth it.
const EVENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Publishes events.
pub(super) struct Publisher {
    recorder: Recorder,
    events: Events,
}

impl Publisher {
    /// A publisher with a client whose calls end.
    pub(super) fn new(client: Client) -> Self {
        let reporter = Reporter::from(lvs_crds::names::OPERATOR);
        Self { recorder: Recorder::new(client, reporter), events: Events::new() }
    }

    /// Publishes a service's transitions beside everything else; one that fails is forgotten.
    pub(super) fn publish(&mut self, change: &ServiceStatusChange) {
        let regarding = ObjectReference {
            api_version: Some(VirtualService::api_version(&()).into_owned()),
            kind: Some(VirtualService::kind(&()).into_owned()),
            namespace: Some(change.name.namespace.clone()),
            name: Some(change.name.name.clone()),
            uid: Some(change.uid.clone()),
            ..ObjectReference::default()
        };
        let due: Vec<Event> = self.events.due(change, clock::monotonic()).iter().map(event).collect();
        let recorder = self.recorder.clone();
        tokio::spawn(async move {
            for event in due {
                match timeout(EVENT_TIMEOUT, recorder.publish(&event, &regarding)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(error = chain(&error), "an event was not taken"),
                    Err(_) => tracing::debug!("an event was not answered"),
                }
            }
        });
    }
}

fn event(transition: &Transition<'_>) -> Event {
    let condition = transition.condition;
    Event {
        type_: if transition.warning { EventType::Warning } else { EventType::Normal },
        reason: condition.reason.to_string(),
        note: Some(note(&format!("{} is {}: {}", condition.kind, condition.status, condition.message))),
        action: condition.kind.to_string(),
        secondary: None,
    }
}

/// The API server takes notes of at most 1024 bytes.
fn note(text: &str) -> String {
    const LONGEST: usize = 1024;
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(LONGEST - "…".len());
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_fits_whatever_letters_it_has() {
        assert_eq!(note("short"), "short");
        let long = note(&"ä".repeat(2000));
        assert!(long.len() <= 1024 && long.ends_with('…'), "{}", long.len());
    }
}
