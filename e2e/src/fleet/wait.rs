//! Waiting for what the product does by itself.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Fleet, PATIENCE};
use crate::lab::process::wait_until;

impl Fleet {
    /// A condition of a service in namespace `default`: its status, reason and message.
    ///
    /// Fails where there is no status yet.
    pub fn condition(&self, service: &str, kind: &str) -> Result<(String, String, String)> {
        let documents = self.service(service)?;
        let mut conditions =
            documents.iter().filter_map(|document| document["status"]["conditions"].as_array()).flatten();
        let found = conditions.find(|condition| condition["type"] == kind);
        let found = found.with_context(|| format!("{service} has no condition {kind} yet"))?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Ok((text("status"), text("reason"), text("message")))
    }

    /// Waits until a service is programmed on every node and ready. Fails, with its conditions, where it is not in time.
    pub fn wait_ready(&self, service: &str) -> Result<()> {
        wait_until(&format!("{service} is programmed and ready"), PATIENCE, || {
            self.ensure_ready(service).map(|()| true)
        })
    }

    /// Fails unless a service's status says that it is programmed on every node and ready.
    pub fn ensure_ready(&self, service: &str) -> Result<()> {
        for kind in ["Programmed", "Ready"] {
            let (status, reason, message) = self.condition(service, kind)?;
            ensure!(status == "True", "{kind} is {status}: {reason}: {message}");
        }
        Ok(())
    }

    /// Waits until a condition of a service has a reason, and returns its message. Fails where it does not in time.
    pub fn wait_reason(&self, service: &str, kind: &str, wanted: &str) -> Result<String> {
        let mut found = String::new();
        wait_until(&format!("{kind} of {service} says {wanted}"), PATIENCE, || {
            let (_, reason, message) = self.condition(service, kind)?;
            ensure!(reason == wanted, "it says {reason}: {message}");
            found = message;
            Ok(true)
        })?;
        Ok(found)
    }

    /// Waits until a node reports a trouble of its own, and returns its message. Fails where it does not in time.
    pub fn wait_trouble(&self, node: &str, wanted: &str) -> Result<String> {
        let mut found = String::new();
        wait_until(&format!("{node} says {wanted}"), PATIENCE, || {
            let report = self.report(node)?;
            let troubles =
                report.iter().filter_map(|document| document["status"]["troubles"].as_array()).flatten();
            let said: Vec<&Value> = troubles.collect();
            let trouble = said.iter().find(|trouble| trouble["reason"] == wanted);
            let message = trouble.and_then(|trouble| trouble["message"].as_str());
            message.with_context(|| format!("it says {said:?}"))?.clone_into(&mut found);
            Ok(true)
        })?;
        Ok(found)
    }

    /// Waits until no plan asks anything of a node and each of these agents says that nothing on its node is ours.
    ///
    /// Fails where that is not so in time.
    pub fn wait_clean(&self, nodes: &[&str]) -> Result<()> {
        for node in nodes {
            wait_until(&format!("{node} is clean"), PATIENCE, || self.ensure_clean(node).map(|()| true))?;
        }
        Ok(())
    }

    /// Fails unless no plan asks anything of a node and its agent says that nothing there is ours.
    pub fn ensure_clean(&self, node: &str) -> Result<()> {
        let plan = self.plan(node)?;
        let report = self.report(node)?;
        let slices = plan.iter().filter(|document| document["kind"] == "NodePlanSlice").count();
        let clean = report.iter().any(|document| document["status"]["clean"] == true);
        ensure!(slices == 0, "its plan still has {slices} slices");
        ensure!(clean, "its report does not say clean");
        Ok(())
    }
}
