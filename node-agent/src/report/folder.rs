//! Reports as a file of a folder that stands in for an API server: `DIR/reports/NODE.yaml`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lvs_core::names::NodeName;
use lvs_core::node_report::NodeReport;
use lvs_crds::report;

use crate::plan_source::folder::report_file;
use crate::plan_source::seen::Seen;
use crate::state::durable;

/// Writes reports into a folder.
pub struct Sink {
    file: PathBuf,
    node: NodeName,
}

impl Sink {
    /// A sink for a node's report.
    #[must_use]
    pub fn new(folder: &Path, node: &NodeName) -> Self {
        Self { file: report_file(folder, node), node: node.clone() }
    }

    /// Writes the report where it differs from what the file says. Whether it did.
    ///
    /// # Errors
    /// Where the file cannot be written; then it is as it was.
    pub fn write(&self, seen: &Seen, report: &NodeReport) -> anyhow::Result<bool> {
        let (of_node, of_slices) = report::split(&self.node, report, seen.named_slices());
        let mut documents = vec![serde_saphyr::to_string(&of_node)?];
        for status in &of_slices {
            documents.push(serde_saphyr::to_string(status)?);
        }
        let text = documents.join("---\n");
        if std::fs::read(&self.file).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(false);
        }
        durable::replace(&self.file, text.as_bytes())
            .with_context(|| format!("report {}", self.file.display()))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use lvs_core::names::ServiceName;
    use lvs_core::node_plan::{NodePlan, PlannedService};
    use lvs_core::node_report::ServiceReport;

    use super::*;

    /// A plan of one service, and a report on it.
    fn planned() -> (Seen, NodeReport) {
        let name = ServiceName::new("web", "shop");
        let mut plan = NodePlan::empty(3, "lineage");
        let part = PlannedService::idle("uid");
        let revision = part.revision;
        plan.services.insert(name.clone(), part.into());
        let (node_plan, slices) = lvs_crds::plan::split(&"rs-1".into(), &plan);
        let read = slices.iter().map(|slice| Arc::new(lvs_crds::ReadSlice::of(slice, None)));
        let slices = read.map(|slice| (slice.name.clone(), slice)).collect();
        let mut report = NodeReport::default();
        report.node.boot_id = "boot".into();
        let of_service = ServiceReport {
            counters_zeroed: None,
            revision,
            applied: true,
            vips: BTreeMap::default(),
            receives: BTreeSet::default(),
            redirects: BTreeSet::default(),
            troubles: BTreeSet::default(),
        };
        report.services.insert(name, of_service);
        (Seen { node_plan: Some(node_plan), slices }, report)
    }

    #[test]
    fn the_file_holds_the_statuses_and_reads_back_as_the_report() {
        let folder = tempfile::tempdir().unwrap();
        let (seen, report) = planned();
        Sink::new(folder.path(), &"rs-1".into()).write(&seen, &report).unwrap();
        let text = std::fs::read_to_string(folder.path().join("reports/rs-1.yaml")).unwrap();
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        let kinds: Vec<&str> = documents.iter().map(|document| document["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["NodePlan", "NodePlanSlice"]);
        assert!(documents.iter().all(|document| document.get("spec").is_none()), "{text}");
        let statuses = documents.iter().map(|document| document["status"].clone()).collect::<Vec<_>>();
        let of_node = serde_json::from_value(statuses[0].clone()).unwrap();
        let of_slice = serde_json::from_value(statuses[1].clone()).unwrap();
        assert_eq!(report::assemble(Some(&of_node), [&of_slice]), Some(report));
    }

    #[test]
    fn an_equal_report_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let (seen, mut report) = planned();
        let sink = Sink::new(folder.path(), &"rs-1".into());
        assert!(sink.write(&seen, &report).unwrap());
        assert!(!sink.write(&seen, &report).unwrap());
        report.node.epoch = 9;
        assert!(sink.write(&seen, &report).unwrap());
    }
}
