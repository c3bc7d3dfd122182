//! How a release leaves.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::wait::until;
use super::{NAMESPACE, RELEASE, Run};
use crate::cluster::Cluster;
use crate::cluster::snapshot::Snapshot;
use crate::cluster::traffic::ask_all;

impl<C: Cluster> Run<'_, C> {
    /// Without agents nobody takes anything off the nodes: the uninstall fails, says why, and breaks nothing. It is what
    /// the next one goes on from.
    pub(super) fn fail_to_leave(&mut self, chart: &str) -> Result<()> {
        let nowhere = ["--set", "agent.nodeSelector.absent=yes", "--set", "withdraw.timeoutSeconds=5"];
        let upgrade = ["upgrade", RELEASE, chart, "--namespace", NAMESPACE, "--reuse-values", "--wait"];
        self.cluster.helm(&[&upgrade[..], &nowhere].concat())?;
        let selector = "app.kubernetes.io/name=lvs-node-agent";
        until("no agent is left", || {
            Ok(self.get(&["pods", "-n", NAMESPACE, "-l", selector], "{.items[*].metadata.name}")?.is_empty())
        })?;
        ensure!(self.uninstall().is_err(), "helm uninstall succeeds although no agent could do its part");
        let said = self.cluster.kubectl(&["logs", "-n", NAMESPACE, "job/lvs-operator-withdraw"], "")?;
        let site = self.cluster.site();
        for node in [&site.director, &site.real_servers[0]] {
            let named = said.lines().any(|line| line.starts_with("error:") && line.contains(node.as_str()));
            ensure!(named, "{node} has not left, and is not named: {said}");
        }
        ask_all(self.cluster)?;
        self.holds(
            "an uninstall that no agent can follow fails and names the nodes, and the VIP still answers",
        );
        // Helm takes a release that has begun to leave for no upgrade any more.
        let anywhere = r#"[{"op": "remove", "path": "/spec/template/spec/nodeSelector"}]"#;
        let patch = ["patch", "daemonset", "lvs-node-agent", "-n", NAMESPACE, "--type=json", "-p", anywhere];
        self.cluster.kubectl(&patch, "")?;
        until("the agents, back again, have left their nodes", || {
            Ok(self.cluster.kubectl(&["get", "nodeplans", "-o", "name"], "")?.trim().is_empty())
        })
    }

    fn uninstall(&self) -> Result<()> {
        self.cluster
            .helm(&["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "5m"])
            .map(drop)
    }

    pub(super) fn leave(&mut self, before: &BTreeMap<String, Snapshot>) -> Result<()> {
        self.uninstall()?;
        let plans = self.cluster.kubectl(&["get", "nodeplans,nodeplanslices", "-o", "name"], "")?;
        ensure!(plans.trim().is_empty(), "after the uninstall there still are {plans}");
        for (node, snapshot) in self.snapshots()? {
            let differences =
                before.get(&node).map(|before| before.differences(&snapshot)).unwrap_or_default();
            ensure!(differences.is_empty(), "{node} is not as it was: {differences:#?}");
        }
        self.holds("helm uninstall: every node is as it was before");
        let services = self.get(&["virtualservices", "-A"], "{.items[*].metadata.name}")?;
        ensure!(!services.is_empty(), "the VirtualService has gone with the release");
        until("nothing else of the release is left", || {
            let kinds = "all,serviceaccounts,roles,rolebindings";
            let left = self.cluster.kubectl(&["get", kinds, "-n", NAMESPACE, "-o", "name"], "")?;
            let left: Vec<&str> = left.lines().filter(|name| name.contains("lvs-")).collect();
            ensure!(left.is_empty(), "{left:?}");
            Ok(true)
        })?;
        self.holds("the VirtualService stays, and nothing else of the release");
        Ok(())
    }
}
